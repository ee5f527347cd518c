package publish

import (
	"context"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/joelhooks/gh-sbw/internal/build"
	"github.com/joelhooks/gh-sbw/internal/layer"
	"github.com/joelhooks/gh-sbw/internal/layout"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/push"
	"github.com/joelhooks/gh-sbw/internal/reuse"
	"github.com/joelhooks/gh-sbw/internal/units"
)

// reuseOptions returns the options for a kept layout. published lists the images
// in it that the registry has.
func (f *Facts) reuseOptions(kept *layout.Kept, published []string) reuse.Options {
	return reuse.Options{Dir: kept.Dir, Facts: kept.CacheDir(), Published: published,
		Compare: f.o.LayerReuse, Compression: layer.Compression(f.o.Worker.Build.Compression)}
}

// rewrite replaces layers that have hardly changed since the last publish.
func (f *Facts) rewrite(ctx context.Context, img image, rep *pipeline.Reporter) (image, error) {
	repo, err := f.Repository.Get(ctx)
	if err != nil {
		return img, nil //nolint:nilerr // reported by the registry's check
	}
	published, err := img.kept.PublishedTo(repo.String())
	if err != nil {
		return img, err
	}
	img.built = img.digest
	img.reused, err = reuse.Rewrite(ctx, img.digest, f.reuseOptions(img.kept, published), rep)
	img.digest = img.reused.Digest
	return img, err
}

// reportReuse reports which layers were reused, and how to change the Dockerfile
// so that they are not rebuilt in the first place.
func (r *Run) reportReuse(img image, rep *pipeline.Reporter) []*pipeline.Finding {
	found := append([]*pipeline.Finding{}, img.reused.Findings...)
	for _, u := range img.reused.Reused {
		if u.Trivial {
			continue
		}
		rep.Notef("%s", u.Line(units.Bytes))
		var in reuse.Instruction
		if r.Layout == "" {
			in.Where, in.FromContext = build.MadeBy(r.Build, u.CreatedBy)
		}
		found = append(found, reuse.Churn(u, in))
	}
	return found
}

// openLayout opens a layout that another program made. If its layers can be
// compared with published ones, it is imported into the kept layout. If the user
// gave a digest, exactly that digest is published: such an image stays unchanged.
// So does every image while another publish uses the kept layout.
func (f *Facts) openLayout(ctx context.Context) (img image, err error) {
	if img.dir, img.digest, err = layout.Open(f.o.Layout); err != nil {
		return img, err
	}
	if !f.o.LayerReuse || strings.Contains(f.o.Layout, "@sha256:") {
		return img, nil
	}
	kept, err := f.kept.Get(ctx)
	if err != nil {
		return img, nil //nolint:nilerr // without a cache there is nothing to compare with
	}
	if err := layout.Import(kept.Dir, img.dir, img.digest); err != nil {
		return img, err
	}
	img.kept, img.dir = kept, kept.Dir
	return f.rewrite(ctx, img, nil)
}

// pack returns the function that compresses the layers to send; nil if the image
// comes from a layout that another program made, because that is sent as it is.
func (r *Run) pack(img image) func(context.Context, v1.Descriptor) (v1.Descriptor, error) {
	if img.kept == nil || r.Layout != "" {
		return nil
	}
	o := r.reuseOptions(img.kept, nil)
	return reuse.Packer{Dir: o.Dir, Facts: o.Facts, How: o.Compression}.Pack
}

// pushAndRemember pushes the image and meanwhile lists the contents of its
// layers, so that the next publish can compare them.
func (r *Run) pushAndRemember(ctx context.Context, pusher *push.Pusher, img image, rep *pipeline.Reporter) (*push.Result, error) {
	if img.kept == nil || !r.LayerReuse {
		return pusher.Push(ctx, r.job(img), rep)
	}
	var res *push.Result
	listing, stop := context.WithCancel(ctx)
	defer stop()
	var g errgroup.Group
	g.Go(func() (err error) {
		if res, err = pusher.Push(ctx, r.job(img), rep); err != nil {
			stop()
		}
		return err
	})
	var lerr error
	g.Go(func() error {
		lerr = reuse.Remember(listing, img.digest, r.reuseOptions(img.kept, nil), nil)
		return nil // the next publish only takes longer
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if lerr == nil {
		lerr = reuse.Carry(img.digest, res.Digest, r.reuseOptions(img.kept, nil))
	}
	if lerr != nil {
		rep.Detailf("the contents of the layers could not be stored: %v", lerr)
	}
	return res, nil
}

// settle records what is only known after compressing: the digest that is
// published, and its size.
func (r *Run) settle(ctx context.Context, img image, digest string, size int64, rep *pipeline.Reporter) image {
	if digest == img.digest {
		return img
	}
	img.digest, r.result.Image.Size = digest, size
	if f := r.compareSize(ctx, size, rep); f != nil {
		rep.Finding(f)
	}
	return img
}
