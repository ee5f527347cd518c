package rollout

import (
	"context"

	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// spanTraces is how many unfinished runs are read, with one request each. That is
// several per function, since runs of one function have mostly begun the same steps.
const spanTraces = 60

// checkSpans compares the steps that unfinished runs have begun with the steps of the
// incoming image, because these runs continue with its code.
func (f *facts) checkSpans(ctx context.Context, _ *pipeline.Reporter) ([]*pipeline.Finding, error) {
	if f.restart {
		return nil, nil // a restart runs the same code
	}
	now, err := f.registered.Get(ctx)
	if err != nil || now.own == nil {
		return nil, nil // Inngest's own check reports it
	}
	if _, err := f.resolved.Get(ctx); err != nil {
		return nil, nil // the image's own check reports it
	}
	next, err := f.nextSteps(ctx, now)
	if err != nil {
		return nil, nil // the check of the functions reports it
	}
	c, err := f.conn.Get(ctx)
	if err != nil {
		return nil, err
	}
	u, err := inngest.UnfinishedRuns(ctx, c.Client, *now.own, spanTraces)
	if err != nil {
		return nil, c.Explain("read which runs are unfinished", err)
	}
	found := judge.JudgeSpans(u.Runs, u.NotRead, next)
	if u.Err != nil && len(found) > 0 {
		last := len(found) - 1
		found[last] = found[last].With(func(f *pipeline.Finding) { f.Err = u.Err })
	}
	return found, nil
}

// nextSteps returns the steps of the incoming image's functions, by slug.
func (f *facts) nextSteps(ctx context.Context, now registration) (map[string]judge.StepSet, error) {
	c, err := f.catalog.Get(ctx)
	if err != nil || c == nil {
		return nil, err
	}
	index, ok := c.Match(inCatalogsTerms(now.own.Functions))
	if !ok {
		return nil, nil
	}
	next := map[string]judge.StepSet{}
	for _, fn := range index.Functions {
		if fn.Steps == nil {
			continue
		}
		set := judge.StepSet{Open: fn.Steps.Open}
		for _, s := range fn.Steps.IDs {
			set.IDs = append(set.IDs, s.ID)
		}
		next[fn.Slugs(now.own.Name)[0]] = set
	}
	return next, nil
}
