// Package publish is the use case of `gh sbw publish`: it turns a checkout into
// an image in a registry. New takes Options and returns a Run, whose Pipeline
// contains the checks and stages; Result and Record describe how it ended.
// `doctor` runs the same checks without the stages, and `tags` and `functions`
// use the same Facts.
//
// # Decisions
//
// What several checks and stages need (the user, the state of the git checkout,
// the builder) is a fact, which is determined once, when it is first needed. A
// stage returns its result (the built image, what was pushed), and Pipeline, the
// only place that knows their order, passes it to the next one.
//
// latest moves only after TAG is complete, so a run that ends early leaves either
// nothing or a usable tag.
package publish

import (
	"context"
	"time"

	"github.com/joelhooks/gh-sbw/internal/build"
	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/layout"
	"github.com/joelhooks/gh-sbw/internal/layout/runnable"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/push"
	"github.com/joelhooks/gh-sbw/internal/reuse"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// UserAgent is how this plugin identifies itself to servers.
const UserAgent = "gh-sbw"

// Options say what to publish, and where.
type Options struct {
	// Root is the repository's root.
	Root   string
	Worker worker.Worker
	// Siblings are all workers of the repository.
	Siblings []worker.Worker
	// Repository is where the image goes; the zero value means
	// ghcr.io/OWNER/WORKER, with the owner of the git remote or else the login.
	Repository imageref.Repository
	Tag        string
	// Layout is an image that another program has built, in the form that
	// layout.Open accepts. If it is empty, an image is built.
	Layout string
	// Builder is build.Auto or one of build.Names.
	Builder string
	// Build is what to build; the run fills in LayoutDir and Labels.
	Build build.Request
	// Platforms lists the platforms that the image must support.
	Platforms []imageref.Platform
	// NoLatest leaves the tag latest where it is, Overwrite allows Tag to move
	// from different content, and DryRun changes nothing in the registry.
	NoLatest, Overwrite, DryRun bool
	// LayerReuse replaces layers that have hardly changed by published ones.
	LayerReuse bool
	// Environ is the environment of builders, git and hooks.
	Environ []string
	// Now returns the time to write into labels and records.
	Now func() time.Time
	// CacheDir returns the directory that stores layouts and facts about layers.
	CacheDir func() (string, error)
}

// Tags returns the tags that the image gets, in the order in which they are
// written.
func (o Options) Tags() []string {
	if o.NoLatest || o.Tag == push.Latest {
		return []string{o.Tag}
	}
	return []string{o.Tag, push.Latest}
}

// image is an image in a layout directory.
type image struct {
	dir, digest string
	// kept is the directory that dir belongs to; nil if dir is the user's own
	// layout.
	kept *layout.Kept
	// built is the digest before layers were replaced. reused lists the replaced
	// layers.
	built  string
	reused reuse.Result
}

func (r *Run) job(img image) push.Job {
	return push.Job{Layout: img.dir, Digest: img.digest, Tags: r.Tags(), Overwrite: r.Overwrite, Pack: r.pack(img)}
}

// stagePush is the name of the only stage that sends anything; a killed run is
// judged by whether it got that far.
const stagePush = "push"

// Run is one publish.
type Run struct {
	Options
	*Facts

	result Result
}

// Result is the result of a run; fields are empty if it did not get that far.
type Result struct {
	// Reference is NAME:TAG@DIGEST.
	Reference imageref.Reference
	Digest    string
	Image     runnable.Report
	Pushed    *push.Result
	Plan      *push.Plan
}

// New returns a run of o. Nothing happens before its Pipeline runs.
func New(o Options) *Run { return &Run{Options: o, Facts: NewFacts(o)} }

// Result returns the result of the run so far.
func (r *Run) Result() Result { return r.result }

// Pipeline returns the checks and stages of the whole command.
func (r *Run) Pipeline() pipeline.Pipeline {
	p := pipeline.Pipeline{Name: "publish", Checks: r.checks(), Cleanup: r.release}
	img := image{}
	stage := func(name string, run func(context.Context, *pipeline.Reporter) error) {
		p.Stages = append(p.Stages, pipeline.Stage{Name: name, Run: func(ctx context.Context, rep *pipeline.Reporter) error {
			err := run(ctx, rep)
			r.result.Digest = img.digest
			return err
		}})
	}
	if r.Layout == "" {
		stage("build", func(ctx context.Context, rep *pipeline.Reporter) (err error) {
			img, err = r.build(ctx, rep)
			return err
		})
		stage("verify", func(ctx context.Context, rep *pipeline.Reporter) (err error) {
			if img, err = r.rewrite(ctx, img, rep); err == nil {
				r.result.Image, err = r.verify(ctx, img, rep)
			}
			return err
		})
	} else {
		p.Checks = append(
			p.Checks,
			pipeline.Check{Name: "image", Run: func(ctx context.Context, rep *pipeline.Reporter) (_ []*pipeline.Finding, err error) {
				if img, err = r.given.Get(ctx); err != nil {
					return nil, err
				}
				r.result.Digest = img.digest
				found := r.reportReuse(img, rep)
				r.result.Image, err = r.inspect(ctx, img, rep)
				return append(found, r.result.Image.Findings...), err
			}},
		)
	}
	if r.DryRun {
		stage("plan", func(ctx context.Context, rep *pipeline.Reporter) (err error) {
			if r.result.Plan, img, err = r.plan(ctx, img, rep); err == nil {
				r.published(r.result.Plan.Repository, img)
			}
			return err
		})
		return p
	}
	stage(stagePush, func(ctx context.Context, rep *pipeline.Reporter) (err error) {
		if r.result.Pushed, img, err = r.push(ctx, img, rep); err == nil {
			r.published(r.result.Pushed.Repository, img)
		}
		return err
	})
	r.keepJournal(&p)
	return p
}

func (r *Run) published(repository string, img image) {
	r.result.Reference = imageref.Split(repository).At(r.Tag).WithDigest(img.digest)
}

// Preflight returns only the checks, for `doctor`.
func (r *Run) Preflight() pipeline.Pipeline {
	p := r.Pipeline()
	p.Name, p.Stages = "doctor", nil
	return p
}
