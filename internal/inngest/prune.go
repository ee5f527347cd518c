package inngest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/client"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// LivenessFunc finds out about the workers behind registrations, by app id. An
// app that is missing from its answer is one whose worker could not be judged.
type LivenessFunc func(ctx context.Context, apps []model.App) (map[string]judge.Worker, error)

// recently is how long ago a run must have been for its app to count as unused.
const recently = 24 * time.Hour

// judgeApps splits apps into stale and foreign ones, using all the evidence that
// can be gathered.
func judgeApps(
	ctx context.Context,
	c *client.Client,
	apps []model.App,
	want model.Wanted,
	liveness LivenessFunc,
) (stale []judge.Stale, foreign []model.App, err error) {
	e := judge.Evidence{Recent: map[string]bool{}}
	if liveness != nil {
		if e.Workers, err = liveness(ctx, apps); err != nil {
			return nil, nil, err
		}
	}
	if e.InFlight, err = runsPerApp(ctx, c); err != nil {
		return nil, nil, err
	}
	stale, _ = judge.Judge(apps, want, e)
	for _, s := range stale {
		runs, err := c.Runs(ctx, client.RunFilter{Apps: idList(s.App.ID), Since: c.Now().Add(-recently), Limit: 1})
		if err != nil {
			return nil, nil, err
		}
		e.Recent[s.App.ID] = len(runs) > 0
	}
	stale, foreign = judge.Judge(apps, want, e)
	if !c.CanDelete() {
		for i := range stale {
			if stale[i].Prunable() {
				stale[i].Kept = "the server was started with --no-ui, so it cannot delete apps"
			}
		}
	}
	return stale, foreign, nil
}

// prune deletes what may be deleted and returns it, and what is left.
func prune(ctx context.Context, c *client.Client, stale []judge.Stale, r *pipeline.Reporter) (pruned, left []judge.Stale, err error) {
	for _, s := range stale {
		if !s.Prunable() {
			left = append(left, s)
			continue
		}
		r.Notef("deleting the stale app %q at %s (%s)", s.App.Name, s.App.URL, s.Reason)
		r.Changed()
		if err := c.DeleteApp(ctx, s.App.ID); err != nil {
			return pruned, left, err
		}
		pruned = append(pruned, s)
	}
	return pruned, left, gone(ctx, c, pruned)
}

// gone checks that what was deleted is gone: the server confirms the deletion of
// any id.
func gone(ctx context.Context, c *client.Client, pruned []judge.Stale) error {
	if len(pruned) == 0 {
		return nil
	}
	apps, err := c.Apps(ctx)
	if err != nil {
		return err
	}
	for _, s := range pruned {
		if slices.ContainsFunc(apps, func(a model.App) bool { return a.ID == s.App.ID }) {
			return &pipeline.Finding{
				Code:     model.CodePruneFailed,
				Severity: pipeline.Error,
				What:     fmt.Sprintf("the app %s at %s is still registered", s.App.Name, s.App.URL),
				Why:      "the server confirmed the deletion but lists the app again",
				Fix:      "its worker may still run and register itself: stop it, then prune again",
			}
		}
	}
	return nil
}

// keptFindings reports stale registrations that --prune-stale did not delete.
func keptFindings(left []judge.Stale) []*pipeline.Finding {
	var all []*pipeline.Finding
	for _, s := range left {
		all = append(all, &pipeline.Finding{
			Code: model.CodeStaleInUse, Severity: pipeline.Warning,
			What: fmt.Sprintf("the stale app %q at %s is kept", s.App.Name, s.App.URL), Why: s.Kept,
			Fix: "prune again when that has changed, or delete it in the server's UI if you know that it is not needed",
		})
	}
	return all
}

// runsPerApp counts the runs that have not ended by app.
func runsPerApp(ctx context.Context, c *client.Client) (map[string]judge.InFlight, error) {
	return countRuns(ctx, c, nil, func(r model.Run) string { return r.AppID })
}
