package kubecmd

import (
	"context"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// findEnds is the way to Inngest and to the worker. The environment is that of
// the workload as it will be.
func (r *rollout) findEnds(ctx context.Context) (*ends, error) {
	next, err := r.next.Get(ctx)
	if err != nil {
		return nil, err
	}
	c, err := next.Container(r.worker.Deploy.Container)
	if err != nil {
		return nil, err
	}
	r.opened, err = r.newEnds(ctx, c, r.inngestURL)
	return r.opened, err
}

// checkInngest asks the server what a restart would do: functions that cannot
// survive one, and steps that are executing right now.
func (r *rollout) checkInngest(ctx context.Context, rep *pipeline.Reporter) ([]*pipeline.Finding, error) {
	e, err := r.ends.Get(ctx)
	if err != nil {
		return nil, err
	}
	apps, err := e.client.Apps(ctx)
	if err != nil {
		return nil, e.explain("read Inngest's registrations", err)
	}
	var found []*pipeline.Finding
	if e.unsigned != "" {
		found = append(found, &pipeline.Finding{Code: "signing-key-unread", Severity: pipeline.Warning,
			What: "requests to the worker go out unsigned", Why: e.unsigned,
			Fix: "have the right to read it, or expect a worker in cloud mode to refuse"})
	}
	app, err := inngest.Choose(apps, e.wanted())
	if err != nil {
		return found, err
	}
	if app == nil {
		rep.Notef("Inngest does not know app %s yet: this rollout registers it", e.app)
		return found, nil
	}
	rep.Notef("Inngest has %d functions of app %s", len(app.Functions), e.app)
	r.before = app.Functions
	found = append(found, inngest.Unsafe(app.Functions, allowed(r.worker.Allow.ZeroRetries))...)
	steps, err := inngest.RunningSteps(ctx, e.client, *app)
	if err != nil {
		return found, e.explain("read what is running", err)
	}
	if r.waitIdle.set {
		return found, nil // they are waited for
	}
	return append(found, inngest.JudgeRestart(steps, r.restart())...), nil
}

func allowed(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func (r *rollout) restart() inngest.RestartOptions {
	return inngest.RestartOptions{MaxStepLoss: r.maxStepLoss, Force: r.force, Now: time.Now()}
}

// idle waits for a gap between steps.
func (r *rollout) idle(ctx context.Context, rep *pipeline.Reporter) error {
	e, err := r.ends.Get(ctx)
	if err != nil {
		return err
	}
	apps, err := e.client.Apps(ctx)
	if err != nil {
		return e.explain("read Inngest's registrations", err)
	}
	app, err := inngest.Choose(apps, e.wanted())
	if err != nil || app == nil {
		return err
	}
	_, err = inngest.WaitIdle(ctx, inngest.WaitIdleOptions{
		Client: e.client, App: *app, MaxStepLoss: r.maxStepLoss, Timeout: r.waitIdle.d,
	}, rep)
	return err
}

// refresh makes the registration equal to what a new pod serves.
func (r *rollout) refresh(ctx context.Context, rep *pipeline.Reporter) error {
	e, err := r.ends.Get(ctx)
	if err != nil {
		return err
	}
	pod := ""
	if pods := r.watched.NewPods(); len(pods) > 0 {
		pod = pods[0].Name
	}
	w, err := e.workerAt(ctx, pod)
	if err != nil {
		return err
	}
	served, err := w.Functions(ctx)
	if err != nil && !isCode(err, "worker-no-in-band") {
		return e.explain("ask the worker what it serves", err)
	}
	if served != nil {
		r.wanted = r.expected(ctx, e.app, served.Functions)
		// Against what was registered before the switch: the new pod may have
		// registered itself by now, and the server's list would show no loss.
		if f := inngest.GuardLoss(inngest.Compare(r.before, served.Functions), nil, r.allowRemoval); f != nil && f.Severity == pipeline.Error {
			return f
		}
	}
	r.refreshed, err = inngest.Refresh(ctx, inngest.RefreshOptions{
		Client: e.client, Worker: w, App: e.app, Expected: r.wanted,
		AllowRemoval: r.allowRemoval, Prune: r.pruneStale,
	}, rep)
	if err != nil {
		return e.explain("refresh the registration", err)
	}
	for _, f := range r.refreshed.Findings {
		rep.Finding(f)
	}
	rep.Notef("%s: %s", e.app, r.refreshed.Diff)
	return nil
}

// settle waits until no old pod is left, which could register the old set
// again, and verifies once more.
func (r *rollout) settle(ctx context.Context, rep *pipeline.Reporter) error {
	if err := r.oldGone(ctx, rep); err != nil {
		return err
	}
	if r.noInngest {
		return nil
	}
	e, err := r.ends.Get(ctx)
	if err != nil {
		return err
	}
	w, err := e.workerAt(ctx, "")
	if err != nil {
		return err
	}
	verified, err := inngest.Verify(ctx, inngest.VerifyOptions{
		Client: e.client, Want: inngest.Wanted{App: e.app, URL: w.URL()}, Worker: w, Expected: r.wanted, Repair: true,
		Served: r.served(),
	}, rep)
	if err != nil {
		return e.explain("verify the registration", err)
	}
	r.verified = verified
	rep.Notef("%d functions are registered under %s", len(verified.App.Functions), verified.App.URL)
	return nil
}

// lost lists runs that the switch-over killed.
func (r *rollout) lost(ctx context.Context, rep *pipeline.Reporter) error {
	e, err := r.ends.Get(ctx)
	if err != nil {
		return err
	}
	r.lostRuns, err = inngest.FindLost(ctx, e.client, r.verified.App, inngest.Window{From: r.switched, To: time.Now()})
	if err != nil {
		return e.explain("look for lost runs", err)
	}
	if f := inngest.LostFinding(r.lostRuns); f != nil {
		rep.Finding(f)
		if r.rerunLost {
			again, err := inngest.RerunLost(ctx, e.client, r.lostRuns, rep)
			rep.Notef("%d runs were started again", len(again))
			return err
		}
	}
	return nil
}

// confirm sends an event and follows its run to the end.
func (r *rollout) confirm(ctx context.Context, rep *pipeline.Reporter) error {
	e, err := r.ends.Get(ctx)
	if err != nil {
		return err
	}
	done, err := inngest.ConfirmRun(ctx, inngest.ConfirmOptions{
		Client: e.client, App: r.verified.App, Key: e.eventKey, Event: inngest.Event{Name: r.confirmRun}, Timeout: r.timeout,
	}, rep)
	if err != nil {
		return e.explain("confirm by a run", err)
	}
	rep.Notef("%d runs of %s went through", len(done.Runs), r.confirmRun)
	return nil
}

// unrefresh registers what the old pods serve, once they serve again.
func (r *rollout) unrefresh(ctx context.Context, rep *pipeline.Reporter) error {
	e, err := r.ends.Get(ctx)
	if err != nil {
		return err
	}
	w, err := e.workerAt(ctx, "")
	if err != nil {
		return err
	}
	// What the failed version brought may go again.
	_, err = inngest.Refresh(ctx, inngest.RefreshOptions{Client: e.client, Worker: w, App: e.app, AllowRemoval: true}, rep)
	return e.explain("register the old functions again", err)
}

// served is what a new pod serves, as far as it told.
func (r *rollout) served() []inngest.Function {
	if r.refreshed == nil || r.refreshed.Served == nil {
		return nil
	}
	return r.refreshed.Served.Functions
}
