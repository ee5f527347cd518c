package rollout

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
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

// work is what the worker executes, as the Inngest server knows it: the steps that a rollout
// puts at risk, and the runs that it has killed.
type work struct {
	*facts
	StepOptions
	force bool // steps may be lost
}

func (r *Run) work() work { return work{r.facts, r.Steps, r.Force} }

func (w work) restart(ctx context.Context, c *conn.Conn) (judge.RestartOptions, error) {
	since, err := c.LiveSince(ctx)
	return judge.RestartOptions{MaxStepLoss: w.MaxStepLoss, Force: w.force, Now: c.Client.Now(), LiveSince: since}, err
}

// waitIdle waits until no step is executing.
func (w work) waitIdle(ctx context.Context, rep *pipeline.Reporter) error {
	c, app, err := w.ownApp(ctx)
	if err != nil || app == nil {
		return err
	}
	since, err := c.LiveSince(ctx)
	if err != nil {
		return err
	}
	_, err = inngest.WaitIdle(ctx, inngest.WaitIdleOptions{
		Client: c.Client, App: *app, MaxStepLoss: w.MaxStepLoss, Timeout: w.IdleTimeout, LiveSince: since,
	}, rep)
	return c.Explain("list the executing steps", err)
}

// ownApp asks the server again for the worker's registration. The app is nil if there
// is none yet.
func (f *facts) ownApp(ctx context.Context) (*conn.Conn, *model.App, error) {
	c, err := f.conn.Get(ctx)
	if err != nil {
		return nil, nil, err
	}
	now, err := readRegistered(ctx, c)
	return c, now.own, err
}

// guard checks again which steps are executing, immediately before they are put
// at risk, since the rest of the preflight and a wait for the lock may have taken time.
func (w work) guard(ctx context.Context, rep *pipeline.Reporter) error {
	if w.WaitIdle {
		return w.waitIdle(ctx, rep)
	}
	if w.sparesSteps(ctx) {
		rep.Skipped("no step is interrupted")
		return nil
	}
	c, app, err := w.ownApp(ctx)
	if err != nil || app == nil {
		return err
	}
	running, err := inngest.RunningSteps(ctx, c.Client, *app)
	if err != nil {
		return c.Explain("list the executing steps", err)
	}
	restart, err := w.restart(ctx, c)
	if err != nil {
		return err
	}
	var refused []error
	for _, f := range judge.JudgeRestart(w.unreported(running), restart) {
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
func (w work) failedRuns(ctx context.Context) (map[string]bool, error) {
	c, app, err := w.ownApp(ctx)
	if err != nil || app == nil {
		return nil, err
	}
	ids, err := inngest.FailedBefore(ctx, c.Client, *app)
	return ids, c.Explain("list failed runs", err)
}

// unreported returns the steps that have begun since the preflight. It returns all
// steps if their age matters, since that has changed.
func (w work) unreported(steps []judge.Executing) []judge.Executing {
	if !w.force && w.MaxStepLoss != 0 {
		return steps
	}
	then, _ := w.steps.Peek()
	return slices.DeleteFunc(steps, func(s judge.Executing) bool {
		return slices.ContainsFunc(then, func(t judge.Executing) bool { return t.Run == s.Run && t.Step == s.Step && t.Attempt == s.Attempt })
	})
}

// lost lists the runs that the switch-over killed, and reruns them on request.
func (w work) lost(ctx context.Context, rep *pipeline.Reporter, app model.App, during judge.Window) ([]judge.LostRun, error) {
	c, err := w.conn.Get(ctx)
	if err != nil {
		return nil, err
	}
	lost, err := inngest.FindLost(ctx, c.Client, app, during)
	if err != nil {
		return lost, c.Explain("look for lost runs", err)
	}
	f := judge.LostFinding(lost)
	if f == nil {
		return lost, nil
	}
	rep.Finding(f)
	if !w.RerunLost {
		return lost, nil
	}
	again, err := inngest.RerunLost(ctx, c.Client, app, lost, rep)
	rep.Notef("%s started again", count(len(again), "run"))
	return lost, err
}

// executing lists the worker's executing steps.
func (f *facts) executing(ctx context.Context) ([]handover.Step, error) {
	c, app, err := f.ownApp(ctx)
	if err != nil || app == nil {
		return nil, err
	}
	all, err := inngest.RunningSteps(ctx, c.Client, *app)
	if err != nil {
		return nil, c.Explain("list the executing steps", err)
	}
	steps := make([]handover.Step, 0, len(all))
	for _, e := range all {
		steps = append(steps, handover.Step{Run: e.Run, Function: e.Slug, Name: e.Step, Attempt: e.Attempt, Since: e.Since})
	}
	return steps, nil
}

// clockOffset returns how far the clock of the Inngest server is ahead of this
// machine's; zero if that is not known, since steps that ran during the switch are
// recognized without comparing clocks.
func (f *facts) clockOffset(ctx context.Context) time.Duration {
	c, err := f.conn.Get(ctx)
	if err != nil {
		return 0
	}
	ahead, _ := c.Client.Ahead()
	return ahead
}
