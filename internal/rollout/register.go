package rollout

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster/watch"
	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/client"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/units"
)

// registrar makes Inngest's registration match what the worker serves.
type registrar struct {
	*facts
	timeout time.Duration // for the runs of the event that confirms a version
}

func (r *Run) registrar() registrar { return registrar{r.facts, r.Timeout} }

// refresh makes the registration match what a new pod serves.
func (g registrar) refresh(ctx context.Context, rep *pipeline.Reporter, watched watch.Result) (*inngest.Refreshed, error) {
	c, err := g.conn.Get(ctx)
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
	done, err := inngest.Refresh(ctx, inngest.RefreshOptions{
		Client:       c.Client,
		Worker:       w,
		App:          c.App,
		AllowRemoval: g.inngest.AllowRemoval,
		Prune:        g.inngest.PruneStale,
		Liveness:     c.Liveness,
		Path:         c.CheckLivePath,
		Before:       g.before(),
		Expect:       func(served []model.Function) []string { return g.expected(ctx, c.App, served) },
	}, rep)
	if err != nil {
		return done, c.Explain("refresh the registration", err)
	}
	reportAll(rep, done.Findings)
	rep.Notef("%s: %s", c.App, done.Diff)
	return done, nil
}

// before returns the functions that were registered during the preflight. The new pod may
// have registered itself since, and the server's list would then not show a lost function.
func (g registrar) before() []model.Function {
	then, ok := g.registered.Peek()
	if !ok {
		return nil
	}
	return then.functions()
}

// restore registers the functions of the old pods, once these serve again, and returns the
// app as it is registered then.
func (g registrar) restore(ctx context.Context, rep *pipeline.Reporter) (model.App, error) {
	c, err := g.conn.Get(ctx)
	if err != nil {
		return model.App{}, err
	}
	w, err := c.WorkerAt(ctx, "")
	if err != nil {
		return model.App{}, err
	}
	// Functions that the failed version added may be removed again.
	done, err := inngest.Refresh(ctx, inngest.RefreshOptions{Client: c.Client, Worker: w, App: c.App, AllowRemoval: true, Unproven: true}, rep)
	if err != nil {
		return model.App{}, c.Explain("register the old functions again", err)
	}
	return done.App, nil
}

// prove asks each new pod for its functions, and compares them with the
// image's catalog and with the registered functions. It changes nothing.
func (g registrar) prove(ctx context.Context, rep *pipeline.Reporter, pods []*corev1.Pod) error {
	if g.inngest.Off {
		return nil
	}
	c, err := g.conn.Get(ctx)
	if err != nil {
		return err
	}
	before := g.before()
	var asking errgroup.Group
	asking.SetLimit(8)
	for _, pod := range pods {
		w, err := c.WorkerAt(ctx, pod.Name)
		if err != nil {
			return errors.Join(err, asking.Wait())
		}
		asking.Go(func() error {
			plan, err := inngest.PlanRefresh(ctx, inngest.RefreshOptions{
				Client: c.Client, Worker: w, App: c.App, AllowRemoval: g.inngest.AllowRemoval, Before: before,
				Expect: func(served []model.Function) []string { return g.expected(ctx, c.App, served) },
			})
			if err != nil {
				return c.Explain("ask pod "+pod.Name+" for its functions", err)
			}
			if plan.Served != nil {
				rep.Notef("pod %s serves %s", pod.Name, count(len(plan.Served.Functions), "function"))
			}
			return nil
		})
	}
	return asking.Wait()
}

// verify checks the registration once more when all old pods, which could register
// the old functions again, are gone.
func (g registrar) verify(ctx context.Context, rep *pipeline.Reporter, refreshed *inngest.Refreshed) (*inngest.Verified, error) {
	c, err := g.conn.Get(ctx)
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
	found := append(judge.Diagnose(state), judge.ZeroRetryFindings(verified.App.Functions, allowed(g.Worker.Allow.ZeroRetries))...)
	reportAll(rep, asWarnings(found))
	return verified, nil
}

// confirm sends an event and follows the runs that it triggers until they end.
func (g registrar) confirm(ctx context.Context, rep *pipeline.Reporter, app model.App) error {
	c, err := g.conn.Get(ctx)
	if err != nil {
		return err
	}
	event := client.Event{Name: g.inngest.ConfirmEvent, Data: g.inngest.ConfirmData}
	done, err := inngest.ConfirmRun(
		ctx,
		inngest.ConfirmOptions{Client: c.Client, App: app, Key: c.EventKey, Event: event, Timeout: g.timeout, Started: c.ServerStarted},
		rep,
	)
	if err != nil {
		return c.Explain("confirm the rollout with a test event", err)
	}
	rep.Notef("%s of %s completed", units.Count(len(done.Runs), "run", "runs"), event.Name)
	return nil
}
