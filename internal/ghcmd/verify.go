package ghcmd

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/layout"
	"github.com/joelhooks/gh-sbw/internal/layout/runnable"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/ui"
)

// checkImage looks at an image that was made elsewhere along with the other
// checks: it is there from the start, and the network's answers take longer.
func (p *publish) checkImage(ctx context.Context, r *pipeline.Reporter) (_ []*pipeline.Finding, err error) {
	if p.digest, err = p.given.Get(ctx); err != nil {
		return nil, err
	}
	facts := ""
	if base, err := p.cacheDir(); err == nil {
		facts = filepath.Join(base, "sbw", "facts") // without one it is only slower
	}
	if p.kept != nil {
		facts = p.kept.CacheDir()
	}
	reused := p.reportReuse(r)
	found, err := p.inspect(ctx, facts, r)
	return append(reused, found...), err
}

// verify looks at what was built.
func (p *publish) verify(ctx context.Context, r *pipeline.Reporter) error {
	var err error
	if p.digest, err = p.rewrite(ctx, p.digest, r); err != nil {
		return err
	}
	reused := p.reportReuse(r)
	found, err := p.inspect(ctx, p.kept.CacheDir(), r)
	found = append(reused, found...)
	errs := []error{err}
	for _, f := range found {
		if f.Severity == pipeline.Error {
			errs = append(errs, f)
		} else {
			r.Finding(f)
		}
	}
	return errors.Join(errs...)
}

// inspect holds the image against its platform, the worker's port, the
// manifest's demands and the image before it.
func (p *publish) inspect(ctx context.Context, facts string, r *pipeline.Reporter) ([]*pipeline.Finding, error) {
	var err error
	p.verdict, err = runnable.Check(ctx, p.dir, p.digest, runnable.Options{
		Platforms: imageref.PlatformNames(p.platforms), Port: p.worker.Probe.Port, NonRoot: p.nonRoot(), CacheDir: facts,
	}, r)
	if err != nil {
		return nil, err
	}
	if p.pack() != nil && slices.ContainsFunc(p.verdict.Images, uncompressed) {
		return p.verdict.Findings, nil // see settle
	}
	if f := p.compareSize(ctx, r); f != nil {
		p.verdict.Findings = append(p.verdict.Findings, f)
	}
	return p.verdict.Findings, nil
}

func uncompressed(img layout.Image) bool {
	return slices.ContainsFunc(img.Manifest.Layers, layout.Plain)
}

// grown is from what growth on an image is worth a warning: a .dockerignore
// that was forgotten brings in hundreds of megabytes, and more than doubles it.
const grown = 50e6

// compareSize tells how much the image has grown since latest.
func (p *publish) compareSize(ctx context.Context, r *pipeline.Reporter) *pipeline.Finding {
	now := p.verdict.Size
	pusher, err := p.pusher.Get(ctx)
	if err != nil {
		return nil // said by the checks of identity and registry
	}
	before, err := pusher.LatestSize(ctx)
	switch {
	case err != nil || before == 0:
		r.Notef("%s", ui.FormatBytes(now))
		return nil
	case now >= before:
		r.Notef("%s, %s more than latest", ui.FormatBytes(now), ui.FormatBytes(now-before))
	default:
		r.Notef("%s, %s less than latest", ui.FormatBytes(now), ui.FormatBytes(before-now))
	}
	return growth(now, before)
}

// growth is a warning where an image has grown as no change of code makes it.
func growth(now, before int64) *pipeline.Finding {
	if before == 0 || now-before < grown || now < 2*before {
		return nil
	}
	return &pipeline.Finding{Code: "image-grown", Severity: pipeline.Warning,
		What: "the image is " + ui.FormatBytes(now) + ", and latest is " + ui.FormatBytes(before),
		Fix:  "see whether .dockerignore leaves out what the image does not need (node_modules, .git)"}
}

// podTemplate is what of a manifest's documents says as whom the worker runs.
type podTemplate struct {
	Kind     string
	Metadata struct{ Name string }
	Spec     struct {
		Template struct {
			Spec struct {
				SecurityContext userRule `yaml:"securityContext"`
				Containers      []struct {
					Name            string
					SecurityContext userRule `yaml:"securityContext"`
				}
			}
		}
	}
}

type userRule struct {
	RunAsNonRoot *bool  `yaml:"runAsNonRoot"`
	RunAsUser    *int64 `yaml:"runAsUser"`
}

// nonRoot reports whether the worker's manifest in this checkout leaves it to
// the image to name a user that is not root. A manifest that is elsewhere, or
// cannot be read here, is for rollout to judge, which looks again.
func (p *publish) nonRoot() bool {
	path := p.worker.Deploy.Manifest
	if !filepath.IsAbs(path) {
		path = filepath.Join(p.root, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	docs := yaml.NewDecoder(io.LimitReader(f, 4<<20))
	for {
		var t podTemplate
		if err := docs.Decode(&t); err != nil {
			return false // the end, or what rollout complains of
		}
		if t.Kind != p.worker.Deploy.Kind || t.Metadata.Name != p.worker.Deploy.Deployment {
			continue
		}
		rule := t.Spec.Template.Spec.SecurityContext
		for _, c := range t.Spec.Template.Spec.Containers {
			if c.Name == p.worker.Deploy.Container {
				if c.SecurityContext.RunAsNonRoot != nil {
					rule.RunAsNonRoot = c.SecurityContext.RunAsNonRoot
				}
				if c.SecurityContext.RunAsUser != nil {
					rule.RunAsUser = c.SecurityContext.RunAsUser
				}
			}
		}
		return rule.RunAsNonRoot != nil && *rule.RunAsNonRoot && rule.RunAsUser == nil
	}
}
