package inngest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/client"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/inngest/wire"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Detailed lists runs with what their traces add: true times, the current
// step, the attempt, the last error. The newest come first.
func Detailed(ctx context.Context, c *client.Client, f client.RunFilter) ([]model.Run, error) {
	runs, err := c.Runs(ctx, f)
	if err != nil {
		return nil, err
	}
	err = each(ctx, len(runs), func(ctx context.Context, i int) error {
		full, _, err := Detail(ctx, c, runs[i])
		if client.IsGone(err) {
			return nil // cleaned up since the list was read; what the list said is kept
		}
		if err == nil {
			runs[i] = full
		}
		return err
	})
	return runs, err
}

// RunsTable lists runs for people.
func RunsTable(runs []model.Run, now time.Time) pipeline.Table {
	t := pipeline.Table{Title: "runs", Header: []string{"RUN", "FUNCTION", "STATUS", "STARTED", "TOOK", "STEP", "ATTEMPT", "ERROR"}}
	for _, r := range runs {
		started, took, attempt := "", "", ""
		if !r.Started.IsZero() {
			started = r.Started.Local().Format(time.DateTime)
			end := r.Ended
			if end.IsZero() {
				end = now
			}
			took = end.Sub(r.Started).Round(100 * time.Millisecond).String()
		}
		if r.Attempt > 0 || r.Step != "" {
			attempt = fmt.Sprint(r.Attempt + 1)
		}
		t.Rows = append(t.Rows, []string{r.ID, r.Slug, string(r.Status), started, took, r.Step, attempt, wire.OneLine(r.Error)})
	}
	return t
}

// CountFailed returns how many runs of an app and of those beside it failed for good from one
// time until another, both by this machine's clock.
func CountFailed(ctx context.Context, c *client.Client, app model.App, from, until time.Time) (int, error) {
	ahead, _ := c.Ahead()
	failed, err := c.Runs(ctx, client.RunFilter{
		Apps: app.IDs(), Status: []model.RunStatus{model.Failed}, Since: from.Add(ahead), Until: until.Add(ahead), ByEnd: true,
	})
	return len(failed), err
}

// FindLost lists the runs of an app and of those beside it that failed for good in the
// window because the worker was not there.
func FindLost(ctx context.Context, c *client.Client, app model.App, w judge.Window) ([]judge.LostRun, error) {
	w = w.Widened()
	ahead, _ := c.Ahead()
	w.From, w.To = w.From.Add(ahead), w.To.Add(ahead)
	runs, err := Detailed(
		ctx,
		c,
		client.RunFilter{Apps: app.IDs(), Status: []model.RunStatus{model.Failed}, Since: w.From, Until: w.To, ByEnd: true},
	)
	if err != nil {
		return nil, err
	}
	var all []judge.LostRun
	for _, r := range runs {
		if one, ok := judge.Lost(r, w); ok {
			all = append(all, one)
		}
	}
	slices.SortFunc(all, func(a, b judge.LostRun) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// FailedBefore lists the runs that have failed by now, as judge.Window wants them:
// those within the time by which clocks may differ.
func FailedBefore(ctx context.Context, c *client.Client, app model.App) (map[string]bool, error) {
	runs, err := c.Runs(ctx, client.RunFilter{
		Apps: app.IDs(), Status: []model.RunStatus{model.Failed}, Since: c.Now().Add(-time.Hour), ByEnd: true,
	})
	if err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	for _, r := range runs {
		ids[r.ID] = true
	}
	return ids, nil
}

// Rerun is a run that was started in place of a lost one.
type Rerun struct {
	Lost judge.LostRun `json:"lost"`
	Run  string        `json:"run"`
}

// RerunLost runs lost runs again, from their first step and with their events.
// It continues after a refusal, and returns what it started together with the
// first error. A generated failure handler of the app is left out: it ran, or was
// lost, because of another run, and would report that run a second time.
func RerunLost(ctx context.Context, c *client.Client, app model.App, all []judge.LostRun, r *pipeline.Reporter) ([]Rerun, error) {
	var done []Rerun
	var first error
	for _, l := range all {
		if slices.ContainsFunc(app.Executes(), func(f model.Function) bool { return f.Slug == l.Slug && f.IsFailureHandler() }) {
			r.Notef("%s is not started again: %s is a failure handler", l.ID, l.Slug)
			continue
		}
		r.Changed()
		id, err := c.Rerun(ctx, l.ID)
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		r.Notef("%s was started again as %s", l.Slug, id)
		done = append(done, Rerun{l, id})
	}
	return done, first
}
