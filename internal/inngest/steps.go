package inngest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// RunningSteps lists every step that the worker of an app executes right now,
// the longest running first. Runs that sleep, wait or stand before another
// attempt are not in it.
func RunningSteps(ctx context.Context, c *Client, app App) ([]Executing, error) {
	runs, err := c.Runs(ctx, RunFilter{Apps: idList(app.ID), Status: []RunStatus{Running}})
	if err != nil {
		return nil, err
	}
	found := make([][]Executing, len(runs))
	err = each(ctx, len(runs), func(ctx context.Context, i int) error {
		trace, err := c.Trace(ctx, runs[i].ID)
		if isGone(err) {
			return nil // it ended and was cleaned away since the list
		}
		if err != nil {
			return err
		}
		for _, w := range ExecutingNow(trace) {
			found[i] = append(found[i], executing(runs[i], w, app))
		}
		return nil
	})
	all := slices.Concat(found...)
	slices.SortFunc(all, func(a, b Executing) int { return a.Since.Compare(b.Since) })
	return all, err
}

func idList(id string) []string {
	if id == "" {
		return nil
	}
	return []string{id}
}

func isGone(err error) bool {
	said, ok := errors.AsType[*ServerError](err)
	return ok && strings.Contains(said.Words, "not found")
}

func executing(r Run, w Where, app App) Executing {
	e := Executing{Run: r.ID, Slug: r.Slug, Step: w.Step, Attempt: w.Attempt, Since: w.Since}
	for _, f := range app.Functions {
		if f.ID == r.FunctionID || f.Slug == r.Slug {
			e.Slug, e.Retries, e.Known = f.Slug, f.Retries, true
		}
	}
	if e.Slug == "" {
		e.Slug = r.FunctionID
	}
	return e
}

// InFlight counts an app's runs that have not ended, by slug.
func InFlight(ctx context.Context, c *Client, app App) (map[string]int, error) {
	runs, err := c.Runs(ctx, RunFilter{Apps: idList(app.ID), Status: []RunStatus{Running, Queued}})
	if err != nil {
		return nil, err
	}
	n := map[string]int{}
	for _, r := range runs {
		n[r.Slug]++
	}
	return n, nil
}

// WaitIdleOptions say what is waited for, and how long.
type WaitIdleOptions struct {
	Client *Client
	App    App
	// MaxStepLoss takes steps that are younger, and would run again, for no
	// obstacle.
	MaxStepLoss time.Duration
	Timeout     time.Duration // without end when zero
	Poll        time.Duration // 1 s when zero
}

// StepsTable is the title under which running steps are told.
const StepsTable = "running steps"

// WaitIdle waits until no step runs whose loss was not agreed to, and returns
// those that still do. The steps are told as a table that replaces itself.
func WaitIdle(ctx context.Context, o WaitIdleOptions, r *pipeline.Reporter) ([]Executing, error) {
	var steps []Executing
	waiting, cancel := ctx, context.CancelFunc(func() {})
	if o.Timeout > 0 {
		waiting, cancel = context.WithTimeout(ctx, o.Timeout)
	}
	defer cancel()
	err := poll(waiting, orDefault(o.Poll, time.Second), func() (bool, error) {
		now, err := RunningSteps(ctx, o.Client, o.App)
		if err != nil {
			return false, err
		}
		steps = now
		r.Table(stepsTable(steps, time.Now()))
		return idle(steps, RestartOptions{MaxStepLoss: o.MaxStepLoss, Now: time.Now()}), nil
	})
	if err == nil || ctx.Err() != nil || waiting.Err() == nil {
		return steps, err
	}
	f := &pipeline.Finding{
		Code: "inngest-not-idle", Severity: pipeline.Error, Err: err,
		What: fmt.Sprintf("%s still running after %s", isAre(len(steps), "step"), o.Timeout),
		Why:  "no gap without running steps came", Fix: "wait longer with --wait-idle=DURATION, lose them with --force, or allow young ones with --max-step-loss",
	}
	for _, row := range stepsTable(steps, time.Now()).Rows {
		f.Evidence = append(f.Evidence, strings.Join(row, "  "))
	}
	return steps, f
}

func stepsTable(steps []Executing, now time.Time) pipeline.Table {
	t := pipeline.Table{Title: StepsTable, Header: []string{"FUNCTION", "STEP", "ELAPSED", "ATTEMPT", "ON RESTART"}}
	for _, e := range steps {
		t.Rows = append(t.Rows, []string{
			e.Slug, e.Step, e.Elapsed(now).Round(time.Second).String(), fmt.Sprintf("%d/%d", e.Attempt+1, e.Retries+1), string(e.Risk()),
		})
	}
	return t
}
