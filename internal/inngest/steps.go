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
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// RunningSteps lists every step that the worker of an app is executing at the
// moment, the longest running first. Runs that sleep, wait, or are between
// attempts are omitted.
func RunningSteps(ctx context.Context, c *client.Client, app model.App) ([]judge.Executing, error) {
	runs, err := c.Runs(ctx, client.RunFilter{Apps: idList(app.ID), Status: []model.RunStatus{model.Running}})
	if err != nil {
		return nil, err
	}
	found := make([][]judge.Executing, len(runs))
	err = each(ctx, len(runs), func(ctx context.Context, i int) error {
		trace, err := c.Trace(ctx, runs[i].ID)
		if client.IsGone(err) {
			return nil // it has ended and was cleaned up since the list was read
		}
		if err != nil {
			return err
		}
		for _, w := range judge.ExecutingNow(trace) {
			found[i] = append(found[i], judge.ExecutingStep(runs[i], w, app))
		}
		return nil
	})
	all := slices.Concat(found...)
	slices.SortFunc(all, func(a, b judge.Executing) int { return a.Since.Compare(b.Since) })
	return all, err
}

func idList(id string) []string {
	if id == "" {
		return nil
	}
	return []string{id}
}

// InFlight counts an app's runs that have not ended, by slug.
func InFlight(ctx context.Context, c *client.Client, app model.App) (map[string]int, error) {
	runs, err := c.Runs(ctx, client.RunFilter{Apps: idList(app.ID), Status: []model.RunStatus{model.Running, model.Queued}})
	if err != nil {
		return nil, err
	}
	n := map[string]int{}
	for _, r := range runs {
		n[r.Slug]++
	}
	return n, nil
}

// WaitIdleOptions describe what to wait for, and how long.
type WaitIdleOptions struct {
	Client *client.Client
	App    model.App
	// MaxStepLoss ignores steps that are younger and would be executed again.
	MaxStepLoss time.Duration
	// LiveSince is when the worker's oldest container started; see
	// judge.RestartOptions.
	LiveSince time.Time
	Timeout   time.Duration // zero means indefinitely
	Poll      time.Duration // zero means 1 s
}

// WaitIdle waits until every running step may be lost, and returns the steps
// that still block. It reports the steps as a table that replaces itself.
func WaitIdle(ctx context.Context, o WaitIdleOptions, r *pipeline.Reporter) ([]judge.Executing, error) {
	var steps []judge.Executing
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
		r.Table(judge.RunningTable(steps, time.Now()))
		return judge.Idle(steps, judge.RestartOptions{MaxStepLoss: o.MaxStepLoss, Now: time.Now(), LiveSince: o.LiveSince}), nil
	})
	if err == nil || ctx.Err() != nil || waiting.Err() == nil {
		return steps, err
	}
	f := &pipeline.Finding{
		Code:     model.CodeNotIdle,
		Severity: pipeline.Error,
		Err:      err,
		What:     fmt.Sprintf("%s still running after %s", judge.IsAre(len(steps), "step"), o.Timeout),
		Why:      "there was always a step running",
		Fix:      "wait longer with --wait-idle=DURATION, continue with --force and lose them, or allow young ones with --max-step-loss",
	}
	for _, row := range judge.RunningTable(steps, time.Now()).Rows {
		f.Evidence = append(f.Evidence, strings.Join(row, "  "))
	}
	return steps, f
}
