package reuse

import (
	"cmp"
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/joelhooks/gh-sbw/internal/layer"
	"github.com/joelhooks/gh-sbw/internal/layout"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// listAll lists layers, several in parallel. A layer that cannot be read gets an
// odd listing.
func listAll(ctx context.Context, o Options, layers []v1.Descriptor, r *pipeline.Reporter) ([]*layer.Listing, error) {
	all := make([]*layer.Listing, len(layers))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, d := range layers {
		g.Go(func() (err error) {
			all[i], err = list(gctx, o, d, r)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return all, nil
}

// list returns the listing of a layer, from the store if the layer was read
// before.
func list(ctx context.Context, o Options, d v1.Descriptor, r *pipeline.Reporter) (*layer.Listing, error) {
	if o.listed != nil {
		if l, ok := o.listed.Load(d.Digest); ok {
			return l.(*layer.Listing), nil
		}
	}
	l, err := listOnce(ctx, o, d, r)
	if err == nil && o.listed != nil {
		o.listed.Store(d.Digest, l)
	}
	return l, err
}

func listOnce(ctx context.Context, o Options, d v1.Descriptor, r *pipeline.Reporter) (*layer.Listing, error) {
	if l := layer.Remembered(o.Facts, d.Digest); l != nil {
		return l, nil
	}
	if strings.Contains(string(d.MediaType), "+encrypted") {
		return &layer.Listing{Odd: "it is encrypted"}, nil
	}
	f, err := os.Open(layout.BlobPath(o.Dir, d.Digest))
	if err != nil {
		return &layer.Listing{Odd: err.Error()}, nil
	}
	defer f.Close()
	r.Detailf("listing layer %s", d.Digest.Hex[:12])
	l, err := layer.Read(ctx, f)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return &layer.Listing{Odd: err.Error()}, nil
	}
	return l, layer.Remember(o.Facts, d.Digest, l)
}

// Remember stores the listings of a published image's layers, so that the next Rewrite does not have to
// read them.
func Remember(ctx context.Context, digest string, o Options, r *pipeline.Reporter) error {
	imgs, err := layout.Images(o.Dir, digest)
	if err != nil {
		return err
	}
	var layers []v1.Descriptor
	for _, img := range imgs {
		for _, d := range img.Manifest.Layers {
			if !layer.Stored(o.Facts, d.Digest) {
				layers = append(layers, d)
			}
		}
	}
	slices.SortFunc(layers, func(a, b v1.Descriptor) int { return cmp.Compare(a.Digest.Hex, b.Digest.Hex) })
	layers = slices.CompactFunc(layers, func(a, b v1.Descriptor) bool { return a.Digest == b.Digest })
	_, err = listAll(ctx, o, layers, r)
	return err
}

// Carry copies what is stored about the layers of one image to those of another. Both must have the same layers
// in different forms, such as a rewritten image and the one that was pushed.
func Carry(from, to string, o Options) error {
	a, err := layout.Images(o.Dir, from)
	if err != nil {
		return err
	}
	b, err := layout.Images(o.Dir, to)
	if err != nil {
		return err
	}
	p := Packer{Dir: o.Dir, Facts: o.Facts}
	for i := range min(len(a), len(b)) {
		x, y := a[i].Manifest.Layers, b[i].Manifest.Layers
		for l := range min(len(x), len(y)) {
			if x[l].Digest != y[l].Digest && slices.Equal(a[i].Config.RootFS.DiffIDs, b[i].Config.RootFS.DiffIDs) {
				err = errors.Join(err, p.alias(x[l].Digest, y[l].Digest))
			}
		}
	}
	return err
}
