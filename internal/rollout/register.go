package rollout

import (
	"context"
	"time"

	"github.com/joelhooks/gh-sbw/internal/cluster/watch"
	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/client"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/units"
)

// refresh makes the registration match what a new pod serves.
func (r *Run) refresh(ctx context.Context, rep *pipeline.Reporter, watched watch.Result) (*inngest.Refreshed, error) {
	c, err := r.facts.conn.Get(ctx)
	if err != nil {
		return nil, err
	}
	pod := ""
	if pods := watched.NewPods(); len(pods) > 0 {
		pod = pods[0].Name
	}
	w, err := c.WorkerAt(ctx, pod)
	if err != nil {
		return nil, err
	}
	// The new pod may have registered itself by now, in which case the server's list
	// would no longer show a lost function.
	var before []model.Function
	if then, ok := r.facts.registered.Peek(); ok {
		before = then.functions()
	}
	done, err := inngest.Refresh(ctx, inngest.RefreshOptions{
		Client:       c.Client,
		Worker:       w,
		App:          c.App,
		AllowRemoval: r.Inngest.AllowRemoval,
		Prune:        r.Inngest.PruneStale,
		Liveness:     c.Liveness,
		Path:         c.CheckLivePath,
		Before:       before,
		Expect:       func(served []model.Function) []string { return r.facts.expected(ctx, c.App, served) },
	}, rep)
	if err != nil {
		return done, c.Explain("refresh the registration", err)
	}
	reportAll(rep, done.Findings)
	rep.Notef("%s: %s", c.App, done.Diff)
	return done, nil
}

// unrefresh registers the functions of the old pods, once these serve again.
func (r *Run) unrefresh(ctx context.Context, rep *pipeline.Reporter) error {
	c, err := r.facts.conn.Get(ctx)
	if err != nil {
		return err
	}
	w, err := c.WorkerAt(ctx, "")
	if err != nil {
		return err
	}
	// Functions that the failed version added may be removed again.
	done, err := inngest.Refresh(ctx, inngest.RefreshOptions{Client: c.Client, Worker: w, App: c.App, AllowRemoval: true, Unproven: true}, rep)
	if err != nil {
		return c.Explain("register the old functions again", err)
	}
	// Going back has replaced pods as well, which may have killed runs.
	r.found.lost, err = r.lostRuns(ctx, rep, done.App, judge.Window{From: r.found.switched, To: time.Now(), Failed: r.found.failedBefore})
	return err
}

// verify checks the registration once more when all old pods, which could register
// the old functions again, are gone.
func (r *Run) verify(ctx context.Context, rep *pipeline.Reporter, refreshed *inngest.Refreshed) (*inngest.Verified, error) {
	c, err := r.facts.conn.Get(ctx)
	if err != nil {
		return nil, err
	}
	w, err := c.WorkerAt(ctx, "")
	if err != nil {
		return nil, err
	}
	want := model.Wanted{App: c.App, URL: w.URL()}
	o := inngest.VerifyOptions{Client: c.Client, Want: want, Worker: w, Repair: true}
	if refreshed != nil {
		o.Expected = refreshed.Expected
		if refreshed.Served != nil {
			o.Served = refreshed.Served.Functions
		}
	}
	verified, err := inngest.Verify(ctx, o, rep)
	if err != nil {
		return nil, c.Explain("verify the registration", err)
	}
	rep.Notef("%s registered under %s", judge.IsAre(len(verified.App.Functions), "function"), verified.App.URL)
	// Problems may remain although the registration is right. Failures during the
	// switch-over are reported by the stage that looks for lost runs.
	apps, err := c.Client.Apps(ctx)
	if err != nil {
		return verified, c.Explain("read Inngest's registrations", err)
	}
	state := judge.State{Want: want, Apps: apps, Now: c.Client.Now()}
	if refreshed != nil {
		state.Served = refreshed.Served
	}
	// Functions that the image adds are known only after the apply, unless its catalog
	// named them before.
	found := append(judge.Diagnose(state), judge.ZeroRetryFindings(verified.App.Functions, allowed(r.Worker.Allow.ZeroRetries))...)
	reportAll(rep, asWarnings(found))
	return verified, nil
}

// lostRuns lists the runs that the switch-over killed, and reruns them on request.
func (r *Run) lostRuns(ctx context.Context, rep *pipeline.Reporter, app model.App, during judge.Window) ([]judge.LostRun, error) {
	c, err := r.facts.conn.Get(ctx)
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
	if !r.Steps.RerunLost {
		return lost, nil
	}
	again, err := inngest.RerunLost(ctx, c.Client, app, lost, rep)
	rep.Notef("%s started again", count(len(again), "run"))
	return lost, err
}

// confirm sends an event and follows the runs that it triggers until they end.
func (r *Run) confirm(ctx context.Context, rep *pipeline.Reporter, app model.App) error {
	c, err := r.facts.conn.Get(ctx)
	if err != nil {
		return err
	}
	event := client.Event{Name: r.Inngest.ConfirmEvent, Data: r.Inngest.ConfirmData}
	done, err := inngest.ConfirmRun(
		ctx,
		inngest.ConfirmOptions{Client: c.Client, App: app, Key: c.EventKey, Event: event, Timeout: r.Timeout, Started: c.ServerStarted},
		rep,
	)
	if err != nil {
		return c.Explain("confirm the rollout with a test event", err)
	}
	rep.Notef("%s of %s completed", units.Count(len(done.Runs), "run", "runs"), event.Name)
	return nil
}
