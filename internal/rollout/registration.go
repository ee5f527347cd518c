package rollout

import (
	"context"
	"errors"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	deployment "k8s.io/kubectl/pkg/util/deployment"

	"github.com/joelhooks/gh-sbw/internal/cluster/forward"
	"github.com/joelhooks/gh-sbw/internal/cluster/preflight"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/conn"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// findConn connects to Inngest and to the worker, with the environment that the
// workload will have after the rollout.
func (f *facts) findConn(ctx context.Context) (*conn.Conn, error) {
	next, err := f.next.Get(ctx)
	if err != nil {
		return nil, err
	}
	c, err := next.Container(f.container())
	if err != nil {
		return nil, err
	}
	return f.connect(ctx, c, f.inngest)
}

// connect reads the container's environment and prepares the routes to Inngest and the worker.
func (t *Target) connect(ctx context.Context, c *corev1.Container, o InngestOptions) (*conn.Conn, error) {
	return conn.Open(ctx, conn.Options{
		Cluster: t.Conn, Ref: t.Ref, Worker: t.Worker, Getenv: t.Getenv, Dir: t.Dir,
		URL: o.URL, Via: o.Via, Key: o.Key, EventKey: o.EventKey,
	}, c)
}

// findRegistered reads the registrations from the server.
func (f *facts) findRegistered(ctx context.Context) (registration, error) {
	c, err := f.conn.Get(ctx)
	if err != nil {
		return registration{}, err
	}
	return readRegistered(ctx, c)
}

func readRegistered(ctx context.Context, c *conn.Conn) (registration, error) {
	apps, err := c.Client.Apps(ctx)
	if err != nil {
		return registration{}, c.Explain("read Inngest's registrations", err)
	}
	own, err := judge.Choose(apps, c.Wanted())
	return registration{apps: apps, own: own}, err
}

// checkInngest checks what a restart would do on the server, and whether the worker and
// the server fit together. zeroRetries is the maximum severity for functions that must
// not be interrupted: an undo may be the way to get rid of them.
func (f *facts) checkInngest(
	ctx context.Context,
	rep *pipeline.Reporter,
	w work,
	zeroRetries pipeline.Severity,
) ([]*pipeline.Finding, error) {
	if f.lacksNamespace(ctx) {
		return nil, nil
	}
	c, err := f.conn.Get(ctx)
	if err != nil {
		return nil, err
	}
	now, err := f.registered.Get(ctx)
	if unreachable, ok := errors.AsType[*pipeline.Finding](err); ok && errors.Is(err, model.ErrUnreachable) {
		return nil, unreachable.With(func(f *pipeline.Finding) { f.Fix += ", or leave it out with --no-inngest" })
	}
	if err != nil && now.apps == nil {
		return nil, err
	}
	var found []*pipeline.Finding
	if c.Unsigned != nil {
		found = append(found, c.Unsigned)
	}
	rep.Notef("Inngest is reached through %s", c.Route())
	more, werr := f.checkWorkerRoute(ctx, c)
	if found = append(found, more...); werr != nil {
		return found, werr
	}
	more, werr = f.checkServer(ctx, c)
	if found = append(found, more...); werr != nil {
		return found, werr
	}
	if err != nil { // it is ambiguous which of several registrations is the worker's
		return found, err
	}
	if now.own == nil {
		rep.Notef("Inngest does not know app %s yet: this rollout registers it", c.App)
		return found, nil
	}
	noteApps(rep, c.App, now.own)
	switch {
	case f.sparesSteps(ctx):
		zeroRetries = pipeline.Note // no step is interrupted
	case w.force || f.judgesRetries(ctx):
		zeroRetries = pipeline.Warning
	}
	for _, one := range judge.ZeroRetryFindings(now.own.Functions, allowed(f.Worker.Allow.ZeroRetries)) {
		found = append(found, one.WithSeverity(min(one.Severity, zeroRetries)))
	}
	known, err := f.diagnose(ctx, c, now)
	found = append(found, known...)
	if err != nil || w.WaitIdle || f.sparesSteps(ctx) {
		return found, err // running steps are waited for, before or after the switch
	}
	steps, err := f.steps.Get(ctx)
	if err != nil {
		return found, err
	}
	restart, err := w.restart(ctx, c)
	return append(found, judge.JudgeRestart(steps, restart)...), err
}

// noteApps notes what is registered for the worker.
func noteApps(rep *pipeline.Reporter, name string, own *model.App) {
	rep.Notef("Inngest has %s of app %s", count(len(own.Functions), "function"), name)
	for _, a := range own.Beside {
		rep.Notef("the worker also serves app %s: its steps count as well, but its registration is neither refreshed nor compared", a)
	}
}

// judgesRetries reports whether the image's catalog shows which functions will have
// retries 0. The catalog's own check then judges them, since this rollout may be the
// repair. Without a catalog the registered functions stand in for them.
func (f *facts) judgesRetries(ctx context.Context) bool {
	c, err := f.catalog.Get(ctx)
	return err == nil && c != nil
}

// checkServer checks, before anything changes, whether the worker's key and mode fit
// the server, and whether the server's requests will reach the pods.
func (f *facts) checkServer(ctx context.Context, c *conn.Conn) ([]*pipeline.Finding, error) {
	found, err := c.CheckKeys(ctx)
	if err != nil {
		return found, err
	}
	next, err := f.next.Get(ctx)
	if err != nil {
		return found, nil // its own check reports it
	}
	services, err := f.services(ctx)
	if err != nil {
		return found, nil // likewise
	}
	path, err := c.CheckPath(ctx, next, services)
	return append(found, path...), err
}

// services returns the Services that the manifest is about to apply.
func (f *facts) services(ctx context.Context) ([]*corev1.Service, error) {
	objects, err := f.loaded.Get(ctx)
	if err != nil {
		return nil, err
	}
	var all []*corev1.Service
	for _, o := range objects {
		if o.GetKind() != "Service" || o.GetAPIVersion() != "v1" {
			continue
		}
		svc := &corev1.Service{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, svc); err != nil {
			return nil, err
		}
		all = append(all, svc)
	}
	return all, nil
}

// checkWorkerRoute checks that the new pods can be asked for their functions. After
// the switch it would be too late to find out that they cannot be reached.
func (f *facts) checkWorkerRoute(ctx context.Context, c *conn.Conn) ([]*pipeline.Finding, error) {
	kube, err := f.Conn.Kube()
	if err != nil {
		return nil, err
	}
	denied, err := preflight.Access(ctx, kube, []preflight.Right{{
		Verb: "create", Resource: "pods/portforward", Namespace: f.Ref.Namespace, For: "ask the worker for its functions",
	}})
	if err != nil || len(denied) == 0 {
		return nil, err
	}
	// A Service that cannot be read cannot serve as a route either.
	if all, err := forward.Direct(ctx, f.Conn, c.WorkerTarget()); err == nil && len(all) > 0 {
		return nil, nil
	}
	return denied, nil
}

// diagnose reports existing problems between the server and the worker. They do not
// block the rollout, since a rollout repairs most of them.
func (f *facts) diagnose(ctx context.Context, c *conn.Conn, now registration) ([]*pipeline.Finding, error) {
	s := judge.State{Want: c.Wanted(), Apps: now.apps, Now: c.Client.Now()}
	var err error
	if s.Failed, err = inngest.FailedRuns(ctx, c.Client, *now.own, s.Now.Add(-time.Hour)); err != nil {
		return nil, c.Explain("list failed runs", err)
	}
	if live, err := f.live.Get(ctx); err == nil { // otherwise its own check reports the error
		s.CronsSince = c.OnServer(ctx, rolledOut(live))
	}
	if !s.CronsSince.IsZero() {
		if s.Scheduled, err = inngest.ScheduledRuns(ctx, c.Client, *now.own, s.Now); err != nil {
			return nil, c.Explain("list scheduled runs", err)
		}
	}
	return asWarnings(judge.Diagnose(s)), nil
}

// asWarnings returns the findings with errors lowered to warnings.
func asWarnings(all []*pipeline.Finding) []*pipeline.Finding {
	out := make([]*pipeline.Finding, len(all))
	for i, f := range all {
		out[i] = f.WithSeverity(min(f.Severity, pipeline.Warning))
	}
	return out
}

func allowed(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// reportAll reports all findings.
func reportAll(rep *pipeline.Reporter, found []*pipeline.Finding) {
	for _, f := range found {
		rep.Finding(f)
	}
}

// rolledOut returns when a Deployment's last rollout made its last progress. Since
// then the worker has had its present functions. It is zero if the time is not known.
func rolledOut(w *workload.Workload) time.Time {
	if w.Deployment == nil {
		return time.Time{}
	}
	if c := deployment.GetDeploymentCondition(w.Deployment.Status, appsv1.DeploymentProgressing); c != nil {
		return c.LastUpdateTime.Time
	}
	return time.Time{}
}
