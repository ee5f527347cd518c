package ghcmd

import (
	"context"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/joelhooks/gh-sbw/internal/build"
	"github.com/joelhooks/gh-sbw/internal/layer"
	"github.com/joelhooks/gh-sbw/internal/layout"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/push"
	"github.com/joelhooks/gh-sbw/internal/reuse"
	"github.com/joelhooks/gh-sbw/internal/ui"
)

// layerReuse reports whether published layers may take the place of built ones.
func (p *publish) layerReuse() bool { return p.worker.Build.LayerReuse && !p.noLayerReuse }

// reuseOptions are about the kept layout; published is what the registry has of it.
func (p *publish) reuseOptions(published []string) reuse.Options {
	return reuse.Options{Dir: p.kept.Dir, Facts: p.kept.CacheDir(), Published: published,
		Compare: p.layerReuse(), Compression: layer.Compression(p.worker.Build.Compression)}
}

// rewrite replaces what hardly differs from the image that was published last.
func (p *publish) rewrite(ctx context.Context, digest string, r *pipeline.Reporter) (string, error) {
	repo, err := p.repo.Get(ctx)
	if err != nil {
		return digest, nil // said by the registry's check
	}
	published, err := p.kept.PublishedTo(repo.String())
	if err != nil {
		return digest, err
	}
	p.rewritten, err = reuse.Rewrite(ctx, digest, p.reuseOptions(published), r)
	p.built = digest
	return p.rewritten.Digest, err
}

// reportReuse says what was reused, and how the Dockerfile makes that unnecessary.
func (p *publish) reportReuse(r *pipeline.Reporter) (found []*pipeline.Finding) {
	found = append(found, p.rewritten.Findings...)
	for _, u := range p.rewritten.Reused {
		r.Notef("%s", u.Line(ui.FormatBytes))
		var in reuse.Instruction
		if p.layout == "" {
			in.Where, in.FromContext = build.MadeBy(p.request(), u.CreatedBy)
		}
		found = append(found, reuse.Churn(u, in))
	}
	return found
}

// adoptLayout makes a layout that was made elsewhere part of the kept one, where its layers can be compared with
// those that were published before. A digest that the user gave is the digest that ships: such an image stays as it
// is, and so does every image where the kept layout is in use by another publish.
func (p *publish) adoptLayout(ctx context.Context, dir, digest string) (string, string, error) {
	if !p.layerReuse() || strings.Contains(p.layout, "@sha256:") {
		return dir, digest, nil
	}
	base, err := p.cacheDir()
	if err != nil {
		return dir, digest, nil //nolint:nilerr // without a cache there is nothing to compare with
	}
	kept, err := layout.Keep(filepath.Join(base, "sbw"), p.root, p.worker.Name)
	if err != nil {
		return dir, digest, nil //nolint:nilerr // see above
	}
	p.kept = kept
	if err := layout.Import(kept.Dir, dir, digest); err != nil {
		return dir, digest, err
	}
	digest, err = p.rewrite(ctx, digest, nil)
	return kept.Dir, digest, err
}

// pack compresses what is sent of what was built here. A layout that was made elsewhere is sent as it is.
func (p *publish) pack() func(context.Context, v1.Descriptor) (v1.Descriptor, error) {
	if p.kept == nil || p.layout != "" {
		return nil
	}
	o := p.reuseOptions(nil)
	return reuse.Packer{Dir: o.Dir, Facts: o.Facts, How: o.Compression}.Pack
}

// pushAndRemember pushes, and meanwhile lists the layers of what is pushed: the next publish compares with them.
func (p *publish) pushAndRemember(ctx context.Context, pusher *push.Pusher, r *pipeline.Reporter) (*push.Result, error) {
	if p.kept == nil || !p.layerReuse() {
		return pusher.Push(ctx, p.job(), r)
	}
	var res *push.Result
	listing, stop := context.WithCancel(ctx)
	defer stop()
	var g errgroup.Group
	g.Go(func() (err error) {
		if res, err = pusher.Push(ctx, p.job(), r); err != nil {
			stop()
		}
		return err
	})
	var lerr error
	g.Go(func() error {
		lerr = reuse.Remember(listing, p.digest, p.reuseOptions(nil), nil)
		return nil // costs the next publish time
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if lerr == nil {
		lerr = reuse.Carry(p.digest, res.Digest, p.reuseOptions(nil))
	}
	if lerr != nil {
		r.Detailf("the layers' contents could not be remembered: %v", lerr)
	}
	return res, nil
}

// settle takes over what became known by compressing: the digest that ships, and its size.
func (p *publish) settle(ctx context.Context, digest string, size int64, r *pipeline.Reporter) {
	if digest == p.digest {
		return
	}
	p.digest, p.verdict.Size = digest, size
	if f := p.compareSize(ctx, r); f != nil {
		r.Finding(f)
	}
}
