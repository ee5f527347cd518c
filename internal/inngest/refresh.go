package inngest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/client"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/inngest/sdk"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// RefreshOptions says which registration to correct, and what may be lost.
type RefreshOptions struct {
	Client *client.Client
	Worker *sdk.Worker
	// App is the worker's INNGEST_APP_ID; empty: what the worker says.
	App string
	// Expect returns the ids of the functions that the image's catalog lists for
	// a worker that serves these, with or without the app's name in front. Nil
	// means that there is no catalog.
	Expect func(served []model.Function) []string
	// Before are the functions that were registered before the pods were
	// replaced, since a new pod may have registered itself meanwhile. Nil: what
	// the server has now.
	Before []model.Function
	// AllowRemoval continues even if registered functions would vanish.
	AllowRemoval bool
	// Path reports where the path from the server to the worker is broken in the
	// cluster; nil when that cannot be known.
	Path func(context.Context) ([]*pipeline.Finding, error)
	// Unproven skips the proof of the path, for a registration that is put back
	// and has worked before.
	Unproven bool
	// Prune deletes what a rule calls stale, once the registration is right.
	Prune bool
	// Liveness finds out whether the workers of other registrations are dead.
	// Without it none is proven to be dead, so hardly anything is deleted.
	Liveness LivenessFunc
	// Resync archives the app right before the registration, so that the
	// server takes it for new and reads its schedules again.
	Resync bool

	// ProveCrons reports what is known about schedules.
	ProveCrons bool
	// CronsSince is the last time at which the server may have lost its schedules:
	// the worker's rollout or the server's start, whichever was later. Zero if it is
	// not known.
	CronsSince time.Time

	Timeout time.Duration // how long the server's list may stay wrong; 30 s when zero
	Poll    time.Duration // 500 ms when zero
	// PathTimeout is how long the server's call may fail; 30 s when zero.
	PathTimeout time.Duration
}

// Refreshed is what a refresh did.
type Refreshed struct {
	App      model.App     `json:"app"`
	Served   *model.Served `json:"-"`
	Expected []string      `json:"-"` // as Expect said
	Diff     judge.Diff    `json:"diff"`
	Modified bool          `json:"modified"` // as the server said
	Stale    []judge.Stale `json:"stale"`
	Pruned   []judge.Stale `json:"pruned"`
	Foreign  []model.App   `json:"foreign"`
	// Findings are notes and warnings; an error ends the refresh.
	Findings []*pipeline.Finding `json:"findings"`
}

// Refresh makes the registration equal to what the worker serves: inspect,
// guard against loss, register, wait for the server's own list, and only then
// delete what is stale, if asked. Nothing is changed when it fails before
// r.Changed.
func Refresh(ctx context.Context, o RefreshOptions, r *pipeline.Reporter) (*Refreshed, error) {
	plan, err := plan(ctx, o)
	if err != nil {
		return nil, err
	}
	done := &Refreshed{Served: &model.Served{App: plan.Want.App}, Expected: plan.Expected, Diff: plan.Diff, Findings: plan.Findings}
	if plan.Served != nil {
		done.Served = plan.Served
	}
	if plan.connected() {
		return done, awaitConnected(ctx, o, plan, done, r)
	}
	if err := checkPath(ctx, o, done); err != nil {
		return done, err
	}
	proven, broken := prove(ctx, o, plan, done, r)
	if broken != nil && plan.Own != nil {
		return done, broken // what is registered stays as it is
	}
	r.Changed()
	var reg *model.Registration
	if !proven || o.Resync {
		if reg, err = register(ctx, o, plan, r); err != nil {
			return done, err // it says more than a path that is broken
		}
	}
	verified, err := verify(ctx, o, plan, reg, r)
	if err != nil {
		return done, err
	}
	if broken != nil {
		return done, broken
	}
	done.Modified = reg != nil && reg.Modified || plan.Own == nil || !plan.Want.At(*plan.Own) || !done.Diff.Empty()
	done.App = verified.App
	done.Diff = judge.Compare(plan.Before, verified.App.Functions)
	if plan.Served == nil {
		if f := lostUnseen(done.Diff, o.AllowRemoval); f != nil {
			return done, f
		}
	}
	return done, finish(ctx, o, plan.Want, done, r)
}

// register makes the worker register itself, as if for the first time with Resync.
func register(ctx context.Context, o RefreshOptions, plan *Plan, r *pipeline.Reporter) (*model.Registration, error) {
	if o.Resync && plan.Own != nil {
		r.Detailf("archiving %s, so that its registration is a full one", plan.Own.Name)
		if err := o.Client.DeleteApp(ctx, plan.Own.ID); err != nil {
			return nil, err
		}
	}
	reg, err := o.Worker.Register(ctx)
	if err != nil && ctx.Err() == nil {
		// The worker itself calls the server, which may be about to be replaced: then a
		// request waits for it here, and the worker tries again.
		before := o.Client.Outages()
		if _, herr := o.Client.Health(ctx); herr == nil && o.Client.Outages() > before {
			r.Notef("registering again, since the server was away: %s", err)
			reg, err = o.Worker.Register(ctx)
		}
	}
	return reg, archivedMeanwhile(o, plan, err)
}

func verify(ctx context.Context, o RefreshOptions, plan *Plan, reg *model.Registration, r *pipeline.Reporter) (*Verified, error) {
	return Verify(ctx, VerifyOptions{
		Client: o.Client, Worker: o.Worker, Want: plan.Want, Served: plan.functions(), Expected: plan.Expected,
		Timeout: o.Timeout, Poll: o.Poll, Registration: reg, Repair: true,
	}, r)
}

// checkPath refuses a path that is broken as the cluster describes it.
func checkPath(ctx context.Context, o RefreshOptions, done *Refreshed) error {
	if o.Path == nil {
		return nil
	}
	found, err := o.Path(ctx)
	if err != nil {
		return err
	}
	for _, f := range found {
		if f.Severity == pipeline.Error {
			return f
		}
		done.Findings = append(done.Findings, f)
	}
	return nil
}

// prove makes the server call the worker, by which the worker registers: a
// registration that works is not replaced by one that was never proven.
func prove(ctx context.Context, o RefreshOptions, plan *Plan, done *Refreshed, r *pipeline.Reporter) (proven bool, err error) {
	if o.Unproven {
		return false, nil
	}
	note, err := Prove(ctx, ProveOptions{Client: o.Client, Want: plan.Want, Timeout: o.PathTimeout, Poll: o.Poll})
	if err != nil {
		return false, err
	}
	if note == nil {
		r.Notef("the server reaches the worker at %s", plan.Want.URL)
		return true, nil
	}
	if plan.Own != nil && !plan.Want.At(*plan.Own) {
		note = note.WithSeverity(pipeline.Warning) // a registration that works is replaced by one that is not proven
	}
	done.Findings = append(done.Findings, note)
	return false, nil
}

// lostUnseen is the guard against loss for a worker that does not show what it
// serves before it registers: only afterwards is the loss known.
func lostUnseen(d judge.Diff, allow bool) *pipeline.Finding {
	f := judge.GuardLoss(d, nil, allow)
	if f == nil || f.Severity < pipeline.Error {
		return nil
	}
	f.What = strings.Replace(f.What, "would disappear", "disappeared", 1)
	f.Why = "the worker does not serve them, which it had not shown before it registered"
	f.Fix = "go back to the image that has them (`kubectl sbw undo`), or accept the loss with --allow-removal"
	return f
}

// awaitConnected lets a connected worker register by itself, which it does
// when it dials the server. A PUT would make it a served app.
func awaitConnected(ctx context.Context, o RefreshOptions, plan *Plan, done *Refreshed, r *pipeline.Reporter) error {
	v, err := Verify(
		ctx,
		VerifyOptions{Client: o.Client, Want: plan.Want, Served: plan.functions(), Expected: plan.Expected, Timeout: o.Timeout, Poll: o.Poll},
		r,
	)
	if err != nil {
		return err
	}
	done.App = v.App
	done.Diff = judge.Compare(plan.Before, v.App.Functions)
	connected, known, err := awaitDial(ctx, o, v.App.ID, orDefault(o.Timeout, 30*time.Second))
	if err != nil {
		return err
	}
	if known && !connected {
		return judge.NotConnected(v.App)
	}
	if !known {
		done.Findings = append(done.Findings, judge.ConnectionUnknown(v.App))
	}
	return finish(ctx, o, plan.Want, done, r)
}

// archivedMeanwhile adds what a failed registration left behind.
func archivedMeanwhile(o RefreshOptions, plan *Plan, err error) error {
	f, ok := errors.AsType[*pipeline.Finding](err)
	if err == nil || !ok || !o.Resync || plan.Own == nil {
		return err
	}
	left := *f
	left.Evidence = append(
		slices.Clone(f.Evidence),
		fmt.Sprintf(
			"the app %s was archived for a full registration: no event starts its functions until `kubectl sbw refresh` succeeds",
			plan.Own.Name,
		),
	)
	return &left
}

// finish judges the other registrations and deletes what may go.
func finish(ctx context.Context, o RefreshOptions, want model.Wanted, done *Refreshed, r *pipeline.Reporter) error {
	apps, err := o.Client.Apps(ctx)
	if err != nil {
		return err
	}
	if done.Stale, done.Foreign, err = judgeApps(ctx, o.Client, apps, want, o.Liveness); err != nil {
		return err
	}
	if o.ProveCrons {
		if err := proveCrons(ctx, o, done, r); err != nil {
			return err
		}
	}
	if !o.Prune {
		if f := judge.StaleFinding(done.Stale); f != nil {
			done.Findings = append(done.Findings, f)
		}
		return nil
	}
	done.Pruned, done.Stale, err = prune(ctx, o.Client, done.Stale, r)
	done.Findings = append(done.Findings, keptFindings(done.Stale)...)
	if f := judge.PrunedCrons(done.Pruned); f != nil {
		done.Findings = append(done.Findings, f)
	}
	return err
}
