package push

import (
	"cmp"
	"context"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/joelhooks/gh-sbw/internal/layout"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// packs reports whether a blob has to be compressed before it can be sent.
func (r *run) packs(b blob) bool { return r.job.Pack != nil && layout.Plain(b.desc) }

// packAndSend compresses layers one after the other, because each uses all
// processors, and meanwhile sends those that are ready. It starts with the
// smallest layer, so that the uplink has something to do as soon as possible.
// This is the shortest schedule if sending takes longer than compressing
// (Johnson's rule for a flow shop with two machines).
func (r *run) packAndSend(ctx context.Context, known seen, plain, missing []blob) error {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.blobs(gctx, missing, false) })
	packed := map[v1.Hash]v1.Descriptor{}
	g.Go(func() error {
		sending, sctx := errgroup.WithContext(gctx)
		sending.SetLimit(r.opts.Jobs + 2)
		err := r.packEach(sctx, plain, packed, func(b blob) {
			if known.blobs[b.digest] {
				r.done(b, existing)
				return
			}
			r.rep.Progress(pipeline.Progress{Item: b.label(), Total: b.size, Unit: pipeline.Bytes})
			r.assignSession([]blob{b})
			sending.Go(func() error { return r.blob(sctx, b, false) })
		})
		if serr := sending.Wait(); serr != nil {
			return serr // this also stopped the compression
		}
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	return r.adopt(packed)
}

// packAll compresses all layers without sending them.
func (r *run) packAll(ctx context.Context) error {
	var plain []blob
	for _, b := range r.image.blobs {
		if r.packs(b) {
			plain = append(plain, b)
		}
	}
	packed := map[v1.Hash]v1.Descriptor{}
	if err := r.packEach(ctx, plain, packed, func(blob) {}); err != nil {
		return err
	}
	return r.adopt(packed)
}

func (r *run) packEach(ctx context.Context, plain []blob, packed map[v1.Hash]v1.Descriptor, done func(blob)) error {
	plain = slices.SortedStableFunc(slices.Values(plain), func(a, b blob) int { return cmp.Compare(a.size, b.size) })
	for _, b := range plain {
		r.rep.Detailf("compressing %s", b.label())
		d, err := r.job.Pack(ctx, b.desc)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return &pipeline.Finding{Code: codeCompress, Severity: pipeline.Error, Where: r.job.Layout, Err: err,
				What: b.name + " cannot be compressed", Why: err.Error(), Fix: "check that the disk has room, and build the image again"}
		}
		packed[b.digest] = d
		b.digest, b.size, b.desc, b.path = d.Digest, d.Size, d, layout.BlobPath(r.job.Layout, d.Digest)
		done(b)
	}
	return nil
}

// adopt replaces the image to push by the one with the compressed layers.
func (r *run) adopt(packed map[v1.Hash]v1.Descriptor) error {
	if len(packed) == 0 {
		return nil
	}
	imgs, err := layout.Images(r.job.Layout, r.job.Digest)
	if err != nil {
		return err
	}
	edits := map[v1.Hash]layout.Edit{}
	for _, img := range imgs {
		e := layout.Edit{Layers: map[int][]layout.Layer{}}
		for i, l := range img.Manifest.Layers {
			if d, ok := packed[l.Digest]; ok {
				e.Layers[i] = []layout.Layer{{Descriptor: d, DiffID: l.Digest}}
			}
		}
		edits[img.Digest] = e
	}
	if r.job.Digest, err = layout.Relayer(r.job.Layout, r.job.Digest, edits); err != nil {
		return err
	}
	r.image, err = readImage(r.job.Layout, r.job.Digest)
	return err
}
