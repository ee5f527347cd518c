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
// moment, for that app or one beside it, the longest running first. Runs that are queued, sleep, wait, or are between
// attempts are omitted. A run that the server lists as running without having its
// trace is included as unknown.
func RunningSteps(ctx context.Context, c *client.Client, app model.App) ([]judge.Executing, error) {
	running := client.RunFilter{Apps: app.IDs(), Status: []model.RunStatus{model.Running}}
	runs, err := c.Runs(ctx, running)
	if err != nil {
		return nil, err
	}
	found := make([][]judge.Executing, len(runs))
	untraced := make([]bool, len(runs))
	err = each(ctx, len(runs), func(ctx context.Context, i int) error {
		trace, err := c.Trace(ctx, runs[i].ID)
		if client.IsGone(err) {
			untraced[i] = true
			return nil
		}
		if err != nil {
			return err
		}
		for _, w := range judge.ExecutingNow(trace) {
			found[i] = append(found[i], judge.ExecutingStep(runs[i], w, app))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if slices.Contains(untraced, true) {
		// Those that have ended since, and were cleaned up, are not listed any more.
		still, err := c.Runs(ctx, running)
		if err != nil {
			return nil, err
		}
		for i, r := range runs {
			if untraced[i] && slices.ContainsFunc(still, func(s model.Run) bool { return s.ID == r.ID }) {
				found[i] = []judge.Executing{judge.UnknownStep(r, app)}
			}
		}
	}
	all := slices.Concat(found...)
	slices.SortFunc(all, func(a, b judge.Executing) int { return a.Since.Compare(b.Since) })
	return all, nil
}

func idList(id string) []string {
	if id == "" {
		return nil
	}
	return []string{id}
}

// InFlight counts an app's runs that have not ended, by slug.
func InFlight(ctx context.Context, c *client.Client, app model.App) (map[string]judge.InFlight, error) {
	return countRuns(ctx, c, idList(app.ID), func(r model.Run) string { return r.Slug })
}

// countRuns counts runs that have not ended.
func countRuns(ctx context.Context, c *client.Client, apps []string, by func(model.Run) string) (map[string]judge.InFlight, error) {
	runs, err := c.Runs(ctx, client.RunFilter{Apps: apps, Status: []model.RunStatus{model.Running, model.Queued}})
	if err != nil {
		return nil, err
	}
	all := map[string]judge.InFlight{}
	for _, r := range runs {
		n := all[by(r)]
		if r.Status == model.Queued {
			n.Queued++
		} else {
			n.Begun++
		}
		all[by(r)] = n
	}
	return all, nil
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
		at := o.Client.Now()
		r.Table(judge.RunningTable(steps, at))
		return judge.Idle(steps, judge.RestartOptions{MaxStepLoss: o.MaxStepLoss, Now: at, LiveSince: o.LiveSince}), nil
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
	for _, row := range judge.RunningTable(steps, o.Client.Now()).Rows {
		f.Evidence = append(f.Evidence, strings.Join(row, "  "))
	}
	return steps, f
}
