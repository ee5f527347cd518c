package rollout

import (
	"context"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/catalog"
	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// findCatalog reads the function catalog that the image carries. It returns nil if
// the image has none.
func (f *facts) findCatalog(ctx context.Context) (*catalog.Catalog, error) {
	img, err := f.resolved.Get(ctx)
	if err != nil || img.found == nil {
		return nil, err
	}
	text := img.found.Label(worker.LabelCatalog)
	if text == "" {
		return nil, nil
	}
	return catalog.Decode(text)
}

// checkCatalog judges the image's catalog as publish would, and notes how the
// rollout will change the registered functions.
func (f *facts) checkCatalog(ctx context.Context, rep *pipeline.Reporter) ([]*pipeline.Finding, error) {
	if _, err := f.resolved.Get(ctx); err != nil {
		return nil, nil // the image's own check reports it
	}
	c, err := f.catalog.Get(ctx)
	if err != nil {
		return []*pipeline.Finding{
			{
				Code:     CodeCatalogUnreadable,
				Severity: pipeline.Warning,
				Err:      err,
				What:     "the image's function catalog cannot be read",
				Why:      err.Error(),
				Fix:      "upgrade kubectl sbw to read a newer catalog; meanwhile the worker's own list is used",
			},
		}, nil
	}
	if c == nil {
		return nil, nil
	}
	found := catalog.Check(c, catalog.CheckOptions{
		ZeroRetries: f.Worker.Allow.ZeroRetries, Severity: f.Worker.Catalog.Checks, SameServer: true, Own: c.Own(),
	})
	var refused []*pipeline.Finding
	for _, one := range found {
		// Publish has already reported the rest to the person who can change the sources.
		if one.Severity == pipeline.Error {
			refused = append(refused, one)
		}
	}
	now, err := f.registered.Get(ctx)
	if err != nil || now.own == nil {
		return refused, nil // Inngest's own check reports it
	}
	before := inCatalogsTerms(now.own.Functions)
	if index, ok := c.Match(before); ok {
		d := catalog.Diff(before, index.Functions)
		noteDifference(rep, index.Path, d)
		if !index.Incomplete {
			// The new pod registers itself seconds after it starts, before any check of the
			// registration could stop it. At this point nothing has been lost yet.
			gone := removed(now.own, d)
			inFlight, err := f.inFlight(ctx, gone, now.own)
			if err != nil {
				return refused, err
			}
			if lost := judge.GuardLoss(gone, inFlight, f.inngest.AllowRemoval); lost != nil {
				refused = append(refused, lost)
			}
		}
	}
	return refused, nil
}

// checkEvent refuses an event that the server does not take from us, or that triggers no
// function of the incoming image.
func (f *facts) checkEvent(ctx context.Context, rep *pipeline.Reporter) ([]*pipeline.Finding, error) {
	if f.inngest.ConfirmEvent == "" {
		return nil, nil
	}
	found := f.checkConfirmEvent(ctx)
	if _, err := f.registered.Get(ctx); err != nil {
		return found, nil // another check reports that the server does not answer
	}
	c, err := f.conn.Get(ctx)
	if err != nil {
		return found, nil // likewise
	}
	return append(found, pipeline.AsFindings("cannot check the event key", c.Client.CheckEventKey(ctx, c.EventKey))...), nil
}

// checkConfirmEvent refuses an event that triggers no function of the incoming image.
// If the catalog does not know all functions, the confirm stage decides instead.
func (f *facts) checkConfirmEvent(ctx context.Context) []*pipeline.Finding {
	c, err := f.catalog.Get(ctx)
	if err != nil || c == nil || f.inngest.ConfirmEvent == "" {
		return nil // another check reports the error
	}
	var before []catalog.Function
	app := f.Worker.Inngest.App
	if now, err := f.registered.Get(ctx); err == nil && now.own != nil {
		before, app = inCatalogsTerms(now.own.Functions), now.own.Name
	}
	index, ok := c.Match(before)
	if !ok || index.Incomplete {
		return nil
	}
	var functions []model.Function
	for _, fn := range index.Functions {
		one := model.Function{Slug: fn.ID}
		if len(fn.Undecided) > 0 {
			return nil
		}
		for _, t := range fn.Triggers {
			one.Triggers = append(one.Triggers, model.Trigger{Event: t.Event, Cron: t.Cron})
		}
		functions = append(functions, one)
	}
	return pipeline.AsFindings("cannot check the event", judge.JudgeEvent(app, functions, f.inngest.ConfirmEvent))
}

// inFlight counts the unfinished runs of functions that are about to be removed,
// while the user can still decide against it.
func (f *facts) inFlight(ctx context.Context, gone judge.Diff, app *model.App) (map[string]judge.InFlight, error) {
	if len(gone.Removed) == 0 {
		return nil, nil
	}
	c, err := f.conn.Get(ctx)
	if err != nil {
		return nil, err
	}
	n, err := inngest.InFlight(ctx, c.Client, *app)
	return n, c.Explain("list the unfinished runs", err)
}

// removed returns the app's functions that the difference removes.
func removed(app *model.App, d catalog.Difference) judge.Diff {
	var out judge.Diff
	for _, c := range d.Removed {
		for _, f := range app.Functions {
			if f.LocalID() == c.ID {
				out.Removed = append(out.Removed, f)
			}
		}
	}
	return out
}

// noteDifference notes, function by function, how a rollout changes the registered
// functions.
func noteDifference(rep *pipeline.Reporter, index string, d catalog.Difference) {
	rep.Notef("functions of %s compared with the registered ones: %s", index, d.Summary())
	for _, part := range []struct {
		sign    string
		changes []catalog.Change
	}{{"+", d.Added}, {"-", d.Removed}, {"~", d.Changed}} {
		for _, c := range part.changes {
			rep.Notef("  %s %s %s", part.sign, c.ID, strings.Join(c.What, ", "))
		}
	}
}

// expected returns the functions that must be registered after the switch: those in
// the catalog's index that this worker serves. It returns nil if there is no catalog
// or the catalog could not evaluate all functions.
func (f *facts) expected(ctx context.Context, app string, served []model.Function) []string {
	c, err := f.catalog.Get(ctx)
	if err != nil || c == nil {
		return nil
	}
	index, ok := c.Match(inCatalogsTerms(served))
	if !ok || index.Incomplete {
		return nil
	}
	var ids []string
	for _, fn := range index.Functions {
		ids = append(ids, fn.Slugs(app)...)
	}
	return ids
}

// inCatalogsTerms converts Inngest's functions to catalog.Function.
func inCatalogsTerms(functions []model.Function) []catalog.Function {
	all := make([]catalog.Registered, len(functions))
	for i, f := range functions {
		all[i] = catalog.Registered{ID: f.LocalID(), Retries: f.Retries}
		for _, t := range f.Triggers {
			all[i].Triggers = append(all[i].Triggers, catalog.Trigger{Event: t.Event, Expression: t.Condition, Cron: t.Cron})
		}
	}
	return catalog.FromRegistered(all)
}
