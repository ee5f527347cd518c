package publish

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
	"github.com/joelhooks/gh-sbw/internal/units"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// verify checks what was built.
func (r *Run) verify(ctx context.Context, img image, rep *pipeline.Reporter) (runnable.Report, error) {
	reused := r.reportReuse(img, rep)
	report, err := r.inspect(ctx, img, rep)
	errs := []error{err}
	for _, f := range append(reused, report.Findings...) {
		if f.Severity == pipeline.Error {
			errs = append(errs, f)
		} else {
			rep.Finding(f)
		}
	}
	return report, errors.Join(errs...)
}

// inspect compares the image with the platforms, the worker's port, the
// manifest's requirements and the previous image.
func (r *Run) inspect(ctx context.Context, img image, rep *pipeline.Reporter) (runnable.Report, error) {
	report, err := runnable.Check(ctx, img.dir, img.digest, r.inspection(img), rep)
	if err != nil {
		return report, err
	}
	if r.pack(img) != nil && slices.ContainsFunc(report.Images, uncompressed) {
		return report, nil // its size is only known after compressing; see settle
	}
	if f := r.compareSize(ctx, report.Size, rep); f != nil {
		report.Findings = append(report.Findings, f)
	}
	return report, nil
}

// inspection returns what the image is expected to be, and where facts about its layers are stored.
func (r *Run) inspection(img image) runnable.Options {
	o := runnable.Options{Platforms: imageref.PlatformNames(r.Platforms), Port: r.port(), NonRoot: r.nonRoot(), CacheDir: r.factsDir()}
	if img.kept != nil {
		o.CacheDir, o.Contents = img.kept.CacheDir(), r.LayerReuse
	}
	return o
}

// port returns the port that the worker listens on, according to its probe; 0 if
// it does not listen.
func (r *Run) port() int {
	if p := r.Worker.Probe; p.Type != worker.ProbeNone || !r.Worker.Inngest.Off {
		return p.Port
	}
	return 0
}

// grown is the growth in bytes that is worth a warning. A forgotten .dockerignore
// adds hundreds of megabytes and more than doubles the image.
const grown = 50e6

// compareSize reports how much the image has grown since latest.
func (r *Run) compareSize(ctx context.Context, now int64, rep *pipeline.Reporter) *pipeline.Finding {
	pusher, err := r.pusher.Get(ctx)
	if err != nil {
		return nil // the checks of identity and registry report this
	}
	before, err := pusher.LatestSize(ctx)
	switch {
	case err != nil || before == 0:
		rep.Notef("%s", units.Bytes(now))
		return nil
	case now >= before:
		rep.Notef("%s, %s more than latest", units.Bytes(now), units.Bytes(now-before))
	default:
		rep.Notef("%s, %s less than latest", units.Bytes(now), units.Bytes(before-now))
	}
	return growth(now, before)
}

func uncompressed(img layout.Image) bool {
	return slices.ContainsFunc(img.Manifest.Layers, layout.Plain)
}

// CodeImageGrown means that an image has more than doubled in size.
const CodeImageGrown pipeline.Code = "image-grown"

// growth returns a warning if an image has grown more than code changes can
// explain.
func growth(now, before int64) *pipeline.Finding {
	if before == 0 || now-before < grown || now < 2*before {
		return nil
	}
	return &pipeline.Finding{Code: CodeImageGrown, Severity: pipeline.Warning,
		What: "the image is " + units.Bytes(now) + ", but latest is only " + units.Bytes(before),
		Fix:  "check that .dockerignore leaves out what the image does not need (node_modules, .git)"}
}

// podTemplate is the part of a manifest that says which user the worker runs
// as.
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

// nonRoot reports whether the worker's manifest in this checkout requires a user
// other than root and leaves it to the image which one. If the manifest is
// elsewhere or cannot be read here, it is up to rollout, which checks again.
func (o Options) nonRoot() bool {
	path := o.Worker.Deploy.Manifest
	if !filepath.IsAbs(path) {
		path = filepath.Join(o.Root, path)
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
			return false // the end of the file, or a mistake that rollout reports
		}
		if t.Kind != o.Worker.Deploy.Kind || t.Metadata.Name != o.Worker.Deploy.Deployment {
			continue
		}
		rule := t.Spec.Template.Spec.SecurityContext
		for _, c := range t.Spec.Template.Spec.Containers {
			if c.Name == o.Worker.Deploy.Container {
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
