package rollout

import (
	"context"
	"errors"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/lock"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/watch"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// guard precedes every write after the first one. This run may overwrite only what
// it wrote itself, and only while it holds the lock: see ours. Actions outside the
// cluster (a registration, an event) need less: the lock, and the image of this run in
// the pods that are being proven: see Run.own. Once somebody else has changed the
// workload, it counts as theirs for the rest of the run.
type guard struct {
	*Target
	held *lock.Lock // nil before the stage lock, and if the user may not use Leases
	// supersededBy is set if somebody else has changed or replaced the workload, or
	// holds the lock. This run must then not restore anything in it.
	supersededBy error
}

// ours returns nil if the live workload is exactly what this run set last. Otherwise
// nothing may be restored: the error is a Finding that wraps lock.ErrLost,
// workload.ErrSuperseded or workload.ErrReplaced and names who made the change.
func (g *guard) ours(ctx context.Context, set *workload.Workload) error {
	return g.check(ctx, set, sameTemplateAs(set))
}

func sameTemplateAs(set *workload.Workload) func(live *workload.Workload) bool {
	return func(live *workload.Workload) bool { return verdict.SameTemplate(live.Template(), set.Template()) }
}

// judgedWith returns a check that the workload is still the one that the preflight examined.
func (r *Run) judgedWith(same func(*workload.Workload) func(*workload.Workload) bool) func(*workload.Workload) error {
	judged, ok := r.facts.live.Peek()
	if !ok || r.found.adopted.Stage != "" {
		return nil
	}
	return func(live *workload.Workload) error {
		if same(judged)(live) {
			return nil
		}
		return notAnyMore(apply.Superseded(judged, live))
	}
}

// notAnyMore rewords a finding about somebody else's change that precedes this run's first one.
func notAnyMore(err error) error {
	f, ok := errors.AsType[*pipeline.Finding](err)
	if !ok || !errors.Is(err, workload.ErrSuperseded) {
		return err
	}
	return f.With(func(f *pipeline.Finding) {
		f.What = strings.Replace(f.What, "during this run", "since this run's preflight", 1)
		f.Fix = "start this run again: its preflight then considers what they have changed"
	})
}

// own returns the function that decides whether a live workload still counts as the
// one that this run set, for the stages that prove it. Before the switch only the
// image counts, whatever else somebody has changed in the template: a restart, or a
// variable that a controller adds. After the switch the whole template counts, since
// the Services then select the pods of one template, and the controller terminates
// those as soon as there is a newer one.
func (r *Run) own(set *workload.Workload) func(live *workload.Workload) bool {
	s := &r.found
	if followed := s.watched.Snapshot.Workload; !s.handed.IsZero() && s.final == nil && followed != nil {
		return sameTemplateAs(followed)
	}
	return r.sameImageAs(set)
}

func (r *Run) sameImageAs(set *workload.Workload) func(live *workload.Workload) bool {
	return func(live *workload.Workload) bool {
		return imageIn(live.Template(), r.container()) == imageIn(set.Template(), r.container())
	}
}

// check returns nil if this run holds the lock and accept accepts the live workload. set is
// the workload as this run set it; nil means that it has not set any yet.
func (g *guard) check(ctx context.Context, set *workload.Workload, accept func(live *workload.Workload) bool) error {
	if g.supersededBy != nil {
		return g.supersededBy
	}
	err := g.held.Verify(ctx)
	switch {
	case set == nil:
	case err == nil:
		err = g.compare(ctx, set, accept)
	default:
		err = g.andWhoChanged(ctx, set, err)
	}
	// An interrupt that cancels the request leaves it open whose workload it is, so
	// whatever restores the changes asks again.
	if isForeign(err) && ctx.Err() == nil {
		g.supersededBy = err
	}
	return err
}

// takenOver keeps an error which says that the workload that this run set is now somebody
// else's. If that person changed it while holding the lock, the report is the same
// whichever was noticed first, the change or the loss of the lock.
func (g *guard) takenOver(ctx context.Context, set *workload.Workload, err error) error {
	if !isForeign(err) {
		return err
	}
	if !errors.Is(err, lock.ErrLost) {
		ctx := context.WithoutCancel(ctx)
		if lost := g.held.Verify(ctx); errors.Is(lost, lock.ErrLost) {
			err = g.andWhoChanged(ctx, set, lost)
		}
	}
	g.supersededBy = err
	return err
}

// compare reads the live workload and compares it with what this run set.
func (g *guard) compare(ctx context.Context, set *workload.Workload, accept func(live *workload.Workload) bool) error {
	kube, err := g.Conn.Kube()
	if err != nil {
		return err
	}
	live, err := workload.Get(ctx, kube, g.Ref)
	switch {
	case isMissing(err):
		return apply.Replaced(g.Ref.String(), g.Ref.Namespace, nil, err)
	case err != nil:
		return err
	case live.Object().GetUID() != set.Object().GetUID():
		return apply.Replaced(g.Ref.String(), g.Ref.Namespace, live.Object(), nil)
	case verdict.Deletion(live.Object()) != "":
		return apply.Replaced(g.Ref.String(), g.Ref.Namespace, nil, nil)
	}
	if !accept(live) {
		return apply.Superseded(set, live)
	}
	return nil
}

// andWhoChanged adds to a lost lock who has changed the workload, if somebody has: a
// Lease that was deleted does not name anybody.
func (g *guard) andWhoChanged(ctx context.Context, set *workload.Workload, lost error) error {
	f, ok := errors.AsType[*pipeline.Finding](lost)
	if !ok || !errors.Is(lost, lock.ErrLost) {
		return lost
	}
	other := g.compare(ctx, set, sameTemplateAs(set))
	by, ok := errors.AsType[*pipeline.Finding](other)
	if !ok || !isForeign(other) {
		return lost
	}
	return f.With(func(f *pipeline.Finding) { f.Why += "; " + by.What + ": " + by.Why })
}

// isForeign reports whether the error means that the workload is now somebody else's,
// or that its owner cannot be determined.
func isForeign(err error) bool {
	return errors.Is(err, lock.ErrLost) || errors.Is(err, workload.ErrSuperseded) || errors.Is(err, workload.ErrReplaced)
}

// guarded wraps the work of a stage that follows the apply: it starts and continues
// only while the version that this run set is serving. If a stage fails because
// somebody else has taken over the workload, that is reported instead of the stage's
// own failure, which is only a consequence.
func (r *Run) guarded(run func(context.Context, *pipeline.Reporter) error) func(context.Context, *pipeline.Reporter) error {
	return func(ctx context.Context, rep *pipeline.Reporter) error {
		set := r.found.target
		own := r.own(set)
		if err := r.guard.check(ctx, set, own); err != nil {
			return err
		}
		working, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		go r.guard.watch(working, set, own, cancel)
		err := run(working, rep)
		if err == nil {
			return nil
		}
		if foreign := r.guard.check(context.WithoutCancel(ctx), set, own); isForeign(foreign) {
			return foreign
		}
		if r.Pipeline.KeepChanges { // nothing is restored later, so nothing is compared
			r.guard.nameOther(context.WithoutCancel(ctx), rep, set)
		}
		return err
	}
}

// nameOther reports who has changed the pod template (but not the image) of a workload
// that has failed, since that change may be the cause.
func (g *guard) nameOther(ctx context.Context, rep *pipeline.Reporter, set *workload.Workload) {
	if set == nil {
		return
	}
	err := g.compare(ctx, set, sameTemplateAs(set))
	if f, ok := errors.AsType[*pipeline.Finding](err); ok && errors.Is(err, workload.ErrSuperseded) {
		rep.Finding(f.WithSeverity(pipeline.Warning))
	}
}

// watchForeign cancels a stage as soon as the workload is no longer this run's own. It
// only saves time: if watching is not permitted, the guard notices afterwards.
func (g *guard) watch(ctx context.Context, set *workload.Workload, own func(*workload.Workload) bool, cancel context.CancelCauseFunc) {
	if set == nil {
		return
	}
	kube, err := g.Conn.Kube()
	if err != nil {
		return
	}
	watch.Each(ctx, kube, g.Ref, func(live *workload.Workload) {
		if !own(live) {
			cancel(apply.Superseded(set, live))
		}
	})
}
