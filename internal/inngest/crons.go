package inngest

import (
	"context"
	"slices"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/client"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
)

// ScheduledRuns reads those runs of an app's functions with schedules that
// Diagnose looks at: of each the newest since its last but one time.
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
