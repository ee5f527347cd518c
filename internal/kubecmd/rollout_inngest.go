package kubecmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/joelhooks/gh-sbw/internal/cluster/forward"
	"github.com/joelhooks/gh-sbw/internal/cluster/preflight"
	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/client"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
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
	r.opened, err = r.newEnds(ctx, c, r.inngest)
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
		err = e.explain("read Inngest's registrations", err)
		if f, ok := errors.AsType[*pipeline.Finding](err); ok && f.Code == "inngest-unreachable" {
			f.Fix += ", or leave it out with --no-inngest"
		}
		return nil, err
	}
	var found []*pipeline.Finding
	if e.unsigned != nil {
		found = append(found, e.unsigned)
	}
	rep.Notef("Inngest is reached by %s", e.way())
	more, err := r.checkWorkerWay(ctx, e)
	if found = append(found, more...); err != nil {
		return found, err
	}
	app, err := judge.Choose(apps, e.wanted())
	if err != nil {
		return found, err
	}
	r.before = []model.Function{}
	if app == nil {
		rep.Notef("Inngest does not know app %s yet: this rollout registers it", e.app)
		return found, nil
	}
	rep.Notef("Inngest has %d functions of app %s", len(app.Functions), e.app)
	if app.Functions != nil {
		r.before = app.Functions
	}
	for _, f := range judge.ZeroRetryFindings(app.Functions, allowed(r.worker.Allow.ZeroRetries)) {
		r.remember(f)
		if r.command == "undo" { // it may be what the undo is to be rid of
			f.Severity = min(f.Severity, pipeline.Warning)
		}
		found = append(found, f)
	}
	known, err := r.diagnose(ctx, e, apps, *app)
	found = append(found, known...)
	if err != nil || r.waitIdle.set {
		return found, err // running steps are waited for
	}
	steps, err := inngest.RunningSteps(ctx, e.client, *app)
	if err != nil {
		return found, e.explain("read what is running", err)
	}
	r.stepsTold(steps)
	return append(found, judge.JudgeRestart(steps, r.restart())...), nil
}

// checkWorkerWay: after the switch the new pods are asked what they serve, for
// which it would then be late to find that they cannot be reached.
func (r *rollout) checkWorkerWay(ctx context.Context, e *ends) ([]*pipeline.Finding, error) {
	kube, err := r.conn.Kube()
	if err != nil {
		return nil, err
	}
	denied, err := preflight.Access(ctx, kube, []preflight.Right{{
		Verb: "create", Resource: "pods/portforward", Namespace: r.ref.Namespace, For: "ask the worker for its functions",
	}})
	if err != nil || len(denied) == 0 {
		return nil, err
	}
	// Whatever keeps the Service from being read keeps it from being a way.
	if all, err := forward.Direct(ctx, r.conn, e.workerTarget()); err == nil && len(all) > 0 {
		return nil, nil
	}
	return denied, nil
}

// diagnose says what is wrong between server and worker before the rollout. It
// does not stand against it, since most of it is what a rollout mends.
func (r *rollout) diagnose(ctx context.Context, e *ends, apps []model.App, app model.App) ([]*pipeline.Finding, error) {
	s := judge.State{Want: e.wanted(), Apps: apps, Now: time.Now()}
	var err error
	if s.Failed, err = inngest.FailedRuns(ctx, e.client, app, s.Now.Add(-time.Hour)); err != nil {
		return nil, e.explain("list failed runs", err)
	}
	if live, err := r.live.Get(ctx); err == nil { // else its own check says why
		s.CronsSince = rolledOut(live)
	}
	if !s.CronsSince.IsZero() {
		if s.Scheduled, err = inngest.ScheduledRuns(ctx, e.client, app, s.Now); err != nil {
			return nil, e.explain("list scheduled runs", err)
		}
	}
	return r.fresh(judge.Diagnose(s)), nil
}

// fresh are those findings that were not told in this run, none graver than a
// warning.
func (r *rollout) fresh(all []*pipeline.Finding) []*pipeline.Finding {
	var left []*pipeline.Finding
	for _, f := range all {
		if !r.remember(f) {
			continue
		}
		f.Severity = min(f.Severity, pipeline.Warning)
		left = append(left, f)
	}
	return left
}

func allowed(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func (r *rollout) restart() judge.RestartOptions {
	return judge.RestartOptions{MaxStepLoss: r.maxStepLoss, Force: r.force, Now: time.Now()}
}

// remember says whether a finding is the first of its code about its place.
func (r *rollout) remember(f *pipeline.Finding) bool {
	key := string(f.Code) + " " + f.Where
	if r.told == nil {
		r.told = map[string]bool{}
	}
	first := !r.told[key]
	r.told[key] = true
	return first
}

// ownApp is the worker's registration; nil when there is none yet.
func (r *rollout) ownApp(ctx context.Context) (*ends, *model.App, error) {
	e, err := r.ends.Get(ctx)
	if err != nil {
		return nil, nil, err
	}
	apps, err := e.client.Apps(ctx)
	if err != nil {
		return e, nil, e.explain("read Inngest's registrations", err)
	}
	app, err := judge.Choose(apps, e.wanted())
	return e, app, err
}

// idle waits for a gap between steps.
func (r *rollout) idle(ctx context.Context, rep *pipeline.Reporter) error {
	e, app, err := r.ownApp(ctx)
	if err != nil || app == nil {
		return err
	}
	_, err = inngest.WaitIdle(ctx, inngest.WaitIdleOptions{
		Client: e.client, App: *app, MaxStepLoss: r.maxStepLoss, Timeout: r.waitIdle.d,
	}, rep)
	return e.explain("read what is running", err)
}

// steps looks once more what is executing, right before it is put at risk: the
// rest of the preflight and a wait for the lock lie between.
func (r *rollout) steps(ctx context.Context, rep *pipeline.Reporter) error {
	if r.waitIdle.set {
		return r.idle(ctx, rep)
	}
	e, app, err := r.ownApp(ctx)
	if err != nil || app == nil {
		return err
	}
	running, err := inngest.RunningSteps(ctx, e.client, *app)
	if err != nil {
		return e.explain("read what is running", err)
	}
	var refused []error
	for _, f := range judge.JudgeRestart(r.untold(running), r.restart()) {
		if f.Severity == pipeline.Error {
			refused = append(refused, f)
			continue
		}
		rep.Finding(f)
	}
	return errors.Join(refused...)
}

// stepsTold remembers which steps the preflight has told of.
func (r *rollout) stepsTold(steps []judge.Executing) {
	r.seen = map[string]bool{}
	for _, s := range steps {
		r.seen[stepKey(s)] = true
	}
}

// untold are the steps that began since the preflight; all of them where their
// age counts, since it has changed.
func (r *rollout) untold(steps []judge.Executing) []judge.Executing {
	return slices.DeleteFunc(steps, func(s judge.Executing) bool {
		return r.seen[stepKey(s)] && (r.force || r.maxStepLoss == 0)
	})
}

func stepKey(s judge.Executing) string { return fmt.Sprintf("%s %s %d", s.Run, s.Step, s.Attempt) }

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
	r.refreshed, err = inngest.Refresh(ctx, inngest.RefreshOptions{
		Client: e.client, Worker: w, App: e.app, AllowRemoval: r.allowRemoval, Prune: r.pruneStale,
		// The new pod may have registered itself by now: a loss would not show
		// in the server's list any more.
		Before: r.before,
		Expect: func(served []model.Function) []string { return r.expected(ctx, e.app, served) },
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
	want := model.Wanted{App: e.app, URL: w.URL()}
	verified, err := inngest.Verify(ctx, inngest.VerifyOptions{
		Client: e.client, Want: want, Worker: w, Repair: true, Served: r.served(), Expected: r.wanted(),
	}, rep)
	if err != nil {
		return e.explain("verify the registration", err)
	}
	r.verified = verified
	rep.Notef("%d functions are registered under %s", len(verified.App.Functions), verified.App.URL)
	return r.diagnoseAfter(ctx, e, want, rep)
}

// diagnoseAfter says what is still wrong though the registration is right.
// What failed in the switch-over is told by the stage that looks for lost runs.
func (r *rollout) diagnoseAfter(ctx context.Context, e *ends, want model.Wanted, rep *pipeline.Reporter) error {
	apps, err := e.client.Apps(ctx)
	if err != nil {
		return e.explain("read Inngest's registrations", err)
	}
	found := judge.Diagnose(judge.State{Want: want, Apps: apps, Served: r.refreshed.Served, Now: time.Now()})
	// What the image brings anew could not be named before the apply, unless its
	// catalog did.
	found = append(found, judge.ZeroRetryFindings(r.verified.App.Functions, allowed(r.worker.Allow.ZeroRetries))...)
	tell(rep, r.fresh(found))
	return nil
}

// lost lists runs that the switch-over killed.
func (r *rollout) lost(ctx context.Context, rep *pipeline.Reporter) error {
	e, err := r.ends.Get(ctx)
	if err != nil {
		return err
	}
	r.lostRuns, err = inngest.FindLost(ctx, e.client, r.verified.App, judge.Window{From: r.switched, To: time.Now()})
	if err != nil {
		return e.explain("look for lost runs", err)
	}
	if f := judge.LostFinding(r.lostRuns); f != nil {
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
		Client: e.client, App: r.verified.App, Key: e.eventKey, Event: client.Event{Name: r.confirmRun, Data: r.confirmWith}, Timeout: r.timeout,
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
func (r *rollout) served() []model.Function {
	if r.refreshed == nil || r.refreshed.Served == nil {
		return nil
	}
	return r.refreshed.Served.Functions
}

// wanted are the slugs that must be registered in the end, by the image's
// catalog; nil where it does not say.
func (r *rollout) wanted() []string {
	if r.refreshed == nil {
		return nil
	}
	return r.refreshed.Expected
}
