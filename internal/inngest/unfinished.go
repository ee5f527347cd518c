package inngest

import (
	"context"
	"slices"

	"github.com/joelhooks/gh-sbw/internal/inngest/client"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
)

// Unfinished are the runs of an app that have not ended.
type Unfinished struct {
	// Runs are those whose traces were read and those that are still queued, the
	// oldest first.
	Runs []judge.UnfinishedRun `json:"runs"`
	// NotRead counts the others by function, whose steps are therefore unknown.
	NotRead map[string]int `json:"notRead,omitempty"`
	// Err is why traces could not be read; nil when only the limit was reached.
	Err error `json:"-"`
}

// More is how many runs were not read.
func (u Unfinished) More() (n int) {
	for _, one := range u.NotRead {
		n += one
	}
	return n
}

// UnfinishedRuns lists the runs of an app that have not ended, with the steps
// that each has begun. It reads at most limit traces, one request each, beside
// the list itself (100 runs a request): the functions take turns, and of each
// function the oldest runs come first, since they have the most steps behind
// them. An error means that not even the list could be read; where only a trace
// could not, its run counts as not read. It works without GraphQL too, from the
// server's REST routes.
func UnfinishedRuns(ctx context.Context, c *client.Client, app model.App, limit int) (Unfinished, error) {
	out := Unfinished{NotRead: map[string]int{}}
	runs, err := c.Runs(ctx, client.RunFilter{Apps: idList(app.ID), Status: []model.RunStatus{model.Running, model.Queued}})
	if err != nil {
		return out, err
	}
	slices.Reverse(runs)
	var begun []model.Run
	for _, r := range runs {
		if r.Status == model.Queued {
			out.Runs = append(out.Runs, judge.UnfinishedRun{Run: r, State: judge.RunQueued})
		} else {
			begun = append(begun, r)
		}
	}
	begun = inTurn(begun)
	n := min(limit, len(begun))
	read := make([]*judge.UnfinishedRun, n)
	failed := make([]error, n)
	err = each(ctx, n, func(ctx context.Context, i int) error {
		trace, err := c.Trace(ctx, begun[i].ID)
		if err != nil {
			failed[i] = err
			return context.Cause(ctx)
		}
		if u, ok := judge.Unfinished(begun[i], trace); ok {
			read[i] = &u
		}
		return nil
	})
	if err != nil {
		return out, err
	}
	for i := range n {
		if read[i] != nil {
			out.Runs = append(out.Runs, *read[i])
		}
		if failed[i] != nil {
			out.NotRead[begun[i].Slug]++
			if out.Err == nil {
				out.Err = failed[i]
			}
		}
	}
	for _, r := range begun[n:] {
		out.NotRead[r.Slug]++
	}
	slices.SortStableFunc(out.Runs, func(a, b judge.UnfinishedRun) int { return a.Queued.Compare(b.Queued) })
	return out, nil
}

// inTurn reorders runs so that every function has its first before any has its
// second.
func inTurn(runs []model.Run) []model.Run {
	turn := map[string]int{}
	turns := make(map[string]int, len(runs))
	for _, r := range runs {
		turns[r.ID] = turn[r.Slug]
		turn[r.Slug]++
	}
	return slices.SortedStableFunc(slices.Values(runs), func(a, b model.Run) int { return turns[a.ID] - turns[b.ID] })
}
