package rollout

import (
	"context"
	"errors"
	"slices"

	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/conn"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// findSteps returns the worker's executing steps.
func (f *facts) findSteps(ctx context.Context) ([]judge.Executing, error) {
	c, err := f.conn.Get(ctx)
	if err != nil {
		return nil, err
	}
	now, err := f.registered.Get(ctx)
	if err != nil || now.own == nil {
		return nil, err
	}
	steps, err := inngest.RunningSteps(ctx, c.Client, *now.own)
	return steps, c.Explain("list the executing steps", err)
}

func (r *Run) restart(ctx context.Context, c *conn.Conn) (judge.RestartOptions, error) {
	since, err := c.LiveSince(ctx)
	return judge.RestartOptions{MaxStepLoss: r.Steps.MaxStepLoss, Force: r.Force, Now: c.Client.Now(), LiveSince: since}, err
}

// waitIdle waits until no step is executing.
func (r *Run) waitIdle(ctx context.Context, rep *pipeline.Reporter) error {
	c, app, err := r.ownApp(ctx)
	if err != nil || app == nil {
		return err
	}
	since, err := c.LiveSince(ctx)
	if err != nil {
		return err
	}
	_, err = inngest.WaitIdle(ctx, inngest.WaitIdleOptions{
		Client: c.Client, App: *app, MaxStepLoss: r.Steps.MaxStepLoss, Timeout: r.Steps.IdleTimeout, LiveSince: since,
	}, rep)
	return c.Explain("list the executing steps", err)
}

// ownApp asks the server again for the worker's registration. The app is nil if there
// is none yet.
func (r *Run) ownApp(ctx context.Context) (*conn.Conn, *model.App, error) {
	c, err := r.facts.conn.Get(ctx)
	if err != nil {
		return nil, nil, err
	}
	now, err := readRegistered(ctx, c)
	return c, now.own, err
}

// guardSteps checks again which steps are executing, immediately before they are put
// at risk, since the rest of the preflight and a wait for the lock may have taken time.
func (r *Run) guardSteps(ctx context.Context, rep *pipeline.Reporter) error {
	if r.Steps.WaitIdle {
		return r.waitIdle(ctx, rep)
	}
	if r.facts.sparesSteps(ctx) {
		rep.Skipped("no step is interrupted")
		return nil
	}
	c, app, err := r.ownApp(ctx)
	if err != nil || app == nil {
		return err
	}
	running, err := inngest.RunningSteps(ctx, c.Client, *app)
	if err != nil {
		return c.Explain("list the executing steps", err)
	}
	restart, err := r.restart(ctx, c)
	if err != nil {
		return err
	}
	var refused []error
	for _, f := range judge.JudgeRestart(r.unreported(running), restart) {
		if f.Severity == pipeline.Error {
			refused = append(refused, f)
			continue
		}
		rep.Finding(f)
	}
	return errors.Join(refused...)
}

// failedRuns returns the runs that have failed so far, which the switch-over therefore
// did not kill.
func (r *Run) failedRuns(ctx context.Context) (map[string]bool, error) {
	c, app, err := r.ownApp(ctx)
	if err != nil || app == nil {
		return nil, err
	}
	ids, err := inngest.FailedBefore(ctx, c.Client, *app)
	return ids, c.Explain("list failed runs", err)
}

// unreported returns the steps that have begun since the preflight. It returns all
// steps if their age matters, since that has changed.
func (r *Run) unreported(steps []judge.Executing) []judge.Executing {
	if !r.Force && r.Steps.MaxStepLoss != 0 {
		return steps
	}
	then, _ := r.facts.steps.Peek()
	return slices.DeleteFunc(steps, func(s judge.Executing) bool {
		return slices.ContainsFunc(then, func(t judge.Executing) bool { return t.Run == s.Run && t.Step == s.Step && t.Attempt == s.Attempt })
	})
}
