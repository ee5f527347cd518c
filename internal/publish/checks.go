package publish

import (
	"context"

	"github.com/joelhooks/gh-sbw/internal/build"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/push"
	"github.com/joelhooks/gh-sbw/internal/units"
)

// checks returns the checks that run before anything is changed.
func (r *Run) checks() []pipeline.Check {
	all := []pipeline.Check{
		{Name: "identity", Run: r.checkIdentity},
		{Name: "registry", Run: r.checkRegistry},
		{Name: "git", Run: r.checkGit},
	}
	if r.Layout != "" {
		return all
	}
	return append(all,
		pipeline.Check{Name: "builder", Run: r.checkBuilder},
		pipeline.Check{Name: "Dockerfile", Run: r.checkDockerfile},
		pipeline.Check{Name: "disk", Run: r.checkDisk},
		pipeline.Check{Name: "functions", Run: r.checkFunctions},
	)
}

func (r *Run) checkIdentity(ctx context.Context, rep *pipeline.Reporter) ([]*pipeline.Finding, error) {
	id, err := r.Identity.Get(ctx)
	if err != nil {
		return nil, err
	}
	if id.Host == "" {
		rep.Notef("with %s", id.Source) // no server can be asked who that is
		return id.Check(ctx), nil
	}
	found := id.Check(ctx)
	if account, err := id.Account(ctx); err == nil {
		rep.Notef("as %s, with %s", account.Login, id.Source)
	}
	return found, nil
}

func (r *Run) checkRegistry(ctx context.Context, _ *pipeline.Reporter) ([]*pipeline.Finding, error) {
	pusher, err := r.pusher.Get(ctx)
	if err != nil {
		return nil, err
	}
	var content push.Image
	if r.Layout != "" {
		content = func(ctx context.Context) (string, error) {
			img, err := r.given.Get(ctx)
			return img.digest, err
		}
	}
	return pusher.Preflight(ctx, r.Tags(), content, r.Overwrite)
}

func (r *Run) checkGit(ctx context.Context, rep *pipeline.Reporter) ([]*pipeline.Finding, error) {
	state, err := r.Checkout.Get(ctx)
	if err != nil {
		return nil, err
	}
	if state.Revision != "" {
		rep.Detailf("revision %s", state.Short())
	}
	return state.Findings(), nil
}

func (r *Run) checkBuilder(ctx context.Context, rep *pipeline.Reporter) ([]*pipeline.Finding, error) {
	b, err := r.builder.Get(ctx)
	if b.Builder != nil {
		rep.Notef("builder: %s", b.Name())
	}
	return b.found, err
}

func (r *Run) checkDockerfile(ctx context.Context, _ *pipeline.Reporter) ([]*pipeline.Finding, error) {
	found := build.CheckDockerfile(r.Build)
	for _, f := range found {
		if f.Severity == pipeline.Error {
			return found, nil
		}
	}
	_, more, err := build.CheckContext(ctx, r.Build)
	return append(found, more...), err
}

func (r *Run) checkDisk(ctx context.Context, _ *pipeline.Reporter) ([]*pipeline.Finding, error) {
	kept, err := r.kept.Get(ctx)
	if err != nil {
		return nil, err
	}
	return build.CheckDisk(kept.Dir, kept.LastSize())
}

func (r *Run) checkFunctions(ctx context.Context, rep *pipeline.Reporter) ([]*pipeline.Finding, error) {
	c, err := r.Functions.Get(ctx)
	if err != nil || c.Empty() {
		return nil, err
	}
	for _, i := range c.Indexes {
		rep.Detailf("%s registers %s", i.Path, units.Count(len(i.Functions), "function", "functions"))
	}
	return r.Judge(c), nil
}
