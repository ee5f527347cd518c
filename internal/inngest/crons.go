package inngest

import (
	"context"
	"slices"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/client"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// ScheduledRuns reads the runs of an app's scheduled functions that Diagnose
// needs: the newest run of each function since the last time but one that it was due.
func ScheduledRuns(ctx context.Context, c *client.Client, app model.App, now time.Time) ([]model.Run, error) {
	var asked []client.RunFilter
	for _, f := range app.Functions {
		for _, t := range f.Triggers {
			if due := judge.LastDue(t, now); due != nil {
				asked = append(
					asked,
					client.RunFilter{Apps: idList(app.ID), Functions: idList(f.ID), Since: due[1].Add(-judge.CronGrace), Limit: client.RunPage},
				)
			}
		}
	}
	found := make([][]model.Run, len(asked))
	err := each(ctx, len(asked), func(ctx context.Context, i int) (err error) {
		found[i], err = c.Runs(ctx, asked[i])
		return err
	})
	return slices.Concat(found...), err
}

// proveCrons adds what is known of an app's schedules to a refresh. since is as in
// judge.JudgeCrons; zero when it is not known.
func proveCrons(ctx context.Context, o RefreshOptions, done *Refreshed, r *pipeline.Reporter) error {
	now := o.Client.Now()
	since := o.CronsSince
	if done.Modified || o.Resync || since.IsZero() {
		since = now
	}
	runs, err := ScheduledRuns(ctx, o.Client, done.App, now)
	if err != nil {
		return err
	}
	crons := judge.JudgeCrons(done.App, runs, since, now)
	for _, f := range []*pipeline.Finding{judge.SilentCrons(crons.Silent), judge.UnprovenCrons(crons.Unknown)} {
		if f != nil {
			done.Findings = append(done.Findings, f)
		}
	}
	if n := len(crons.Ran); n > 0 {
		r.Notef("%s ran when last due", judge.Count(n, "cron"))
	}
	return nil
}

const (
	// orphansSince is how far back runs of deleted apps are looked for, and
	// orphansLimit how many of the newest runs are read for that.
	orphansSince = time.Hour
	orphansLimit = 2 * client.RunPage
)

// orphanedCrons looks for scheduled runs of deleted apps among the newest runs.
func orphanedCrons(ctx context.Context, c *client.Client, apps []model.App) (*pipeline.Finding, error) {
	runs, err := c.Runs(ctx, client.RunFilter{Since: c.Now().Add(-orphansSince), Limit: orphansLimit})
	if err != nil {
		return nil, err
	}
	return judge.OrphanedCrons(apps, runs), nil
}
