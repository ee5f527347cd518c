package rollout

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
	"github.com/joelhooks/gh-sbw/internal/cluster/lock"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// switching proves the new version before it serves, and lets the old version finish
// its work. If the cluster does not allow that, its stages behave like those of a
// rolling update.
func switching(r *Run) []pipeline.Stage {
	s := &r.found
	switches := func() bool { return s.choice.Strategy == handover.StrategySwitch }
	rolls := func() bool { return !switches() }
	return slices.Concat(
		[]pipeline.Stage{
			stage("apply", func(ctx context.Context, rep *pipeline.Reporter) (err error) {
				if s.choice, err = r.facts.choice.Get(ctx); err != nil {
					return err
				}
				if f := r.facts.impossible(s.choice); f != nil {
					return f
				}
				s.switched, s.origin = time.Now(), r.origin(s.choice)
				o, leaveOut := r.applyOptions(rep, false), nothing
				if s.choice.Strategy == handover.StrategySwitch {
					o.Overlay, leaveOut = handover.Overlay(s.origin, s.choice.Services), r.isHeld(s.choice)
					o.Accept = r.judgedWith(sameTemplateAs)
				}
				s.applied, s.target, err = r.apply(ctx, rep, o, leaveOut)
				return err
			}, r.untilFinal(func(ctx context.Context, rep *pipeline.Reporter) (err error) {
				defer func() { s.kept = err != nil }()
				var back takenBack
				if s.adopted.Stage != "" {
					s.lost, err = r.takeBack(ctx, rep, s.target) // only the annotations record the previous state
				} else if err = r.resumeRestored(ctx, s.applied); err == nil {
					back, err = r.unapply(ctx, rep, s.applied, s.target, s.watched)
					s.restored, s.watched, s.lost = back.restored, back.watched, back.lost
				}
				if !switches() {
					return err
				}
				return errors.Join(err, r.letGo(ctx, rep, s.handed))
			})),
			stage("hold", r.guarded(func(ctx context.Context, rep *pipeline.Reporter) error {
				return r.hold(ctx, rep, s.choice, s.adopted)
			}), r.withApply()),
			stage("watch", func(ctx context.Context, rep *pipeline.Reporter) (err error) {
				s.followed, err = r.followNew(ctx, rep, s.target, switches())
				if errors.Is(err, handover.ErrForeign) {
					r.guard.supersededBy = err
				}
				return r.guard.takenOver(ctx, s.target, err)
			}, r.withApply()),
			r.probeStage(),
		},
		when(switches,
			stage("prove", r.guarded(func(ctx context.Context, rep *pipeline.Reporter) error {
				return r.keepUp(ctx, rep, func() error { return r.proveAll(ctx, rep) }, r.prove(ctx, rep))
			}), r.withApply()),
			stage("switch", r.guarded(func(ctx context.Context, rep *pipeline.Reporter) (err error) {
				if err = r.keepUp(ctx, rep, func() error { return r.proveAll(ctx, rep) }, nil); err != nil {
					return err
				}
				s.handed, err = r.switchOver(ctx, rep, s.fresh, s.watched.NewPods())
				return err
			}), r.untilFinal(func(ctx context.Context, rep *pipeline.Reporter) error { return r.switchBack(ctx, rep, s.handed) })),
		),
		r.serveStages(),
		// A run that fails can still go back as long as the old pods exist.
		when(switches, r.confirmStages()...),
		// From here on the new version is proven and serves.
		proven(when(switches,
			stage("drain", r.guarded(func(ctx context.Context, rep *pipeline.Reporter) (err error) {
				if s.drainer == nil && !r.Inngest.Off {
					s.drainer = r.newDrainer(ctx)
				}
				s.drained, s.final, err = r.drain(ctx, rep, s.handed, s.drainer)
				return cmp.Or(s.final, err)
			}), r.withApply()),
			stage("release", r.guarded(func(ctx context.Context, rep *pipeline.Reporter) (err error) {
				s.final = r.keeps("the old pods were already being terminated")
				var more []apply.Result
				more, s.verified, err = r.releaseAndVerify(ctx, rep, s.choice, s.refreshed)
				s.applied = append(s.applied, more...)
				return err
			}), r.withApply()),
		)...),
		proven(r.settleStage(func(ctx context.Context, rep *pipeline.Reporter) (bool, error) {
			if switches() {
				return false, nil // they are terminating and have no work, so nothing waits for them
			}
			return r.oldGone(ctx, rep)
		})),
		proven(r.lookBackStages()...),
		proven(when(rolls, r.confirmStages()...)...),
	)
}

// noRoom adds to a failure caused by a lack of room what would need less of it. Without
// permission to read the nodes, nobody knows beforehand whether a second set of pods fits.
func noRoom(err error) error {
	f, ok := errors.AsType[*pipeline.Finding](err)
	if !ok || !f.Is(verdict.CodeUnschedulable) && !f.Is(verdict.CodeQuota) {
		return err
	}
	return f.With(func(f *pipeline.Finding) {
		if f.Fix != "" {
			f.Fix += "; "
		}
		f.Fix += "a switch needs room for a second set of pods, and a rolling update (--strategy rolling) only for maxSurge"
	})
}

// keeps returns the finding that explains why the new version stays although a stage has failed.
func (r *Run) keeps(why string) error {
	return &pipeline.Finding{Code: CodeSwitchKept, Severity: pipeline.Warning, Where: r.where(),
		What: "the new version stays, because it serves and " + why, Fix: "`kubectl sbw undo` goes back to the version before it"}
}

// origin returns the description of this run that is stored with the objects it holds.
func (r *Run) origin(c handover.Choice) handover.Origin {
	run := r.journal.ID()
	if run == "" {
		run = time.Now().UTC().Format("20060102-150405.000000000")
	}
	return handover.Origin{
		Run:        run,
		By:         lock.Me(),
		At:         time.Now().UTC().Truncate(time.Second),
		Tag:        r.subject(),
		Deployment: r.Ref.Name,
		Old:        c.Old,
	}
}

// hold pins the Services to the version that serves, and lets the new pods come up.
func (r *Run) hold(ctx context.Context, rep *pipeline.Reporter, c handover.Choice, adopted handover.Plan) error {
	switch {
	case c.Strategy != handover.StrategySwitch:
		rep.Skipped("rolling update: %s", c.Reason)
		return nil
	case adopted.Stage != "":
		rep.Changed() // another run made the change, and this run has to undo it
		rep.Notef("continues the switch that %s began: %s", adopted.By, adopted.What)
		return nil
	}
	h, _, err := r.handover(rep)
	if err != nil {
		return err
	}
	return h.Hold(ctx, r.found.origin, c.Services)
}

// resumeRestored makes what was applied as paused as the live Deployment is, so that
// restoring it resumes exactly what a hand-over has paused.
func (r *Run) resumeRestored(ctx context.Context, applied []apply.Result) error {
	one, _, err := apply.Find(applied, r.Ref)
	if err != nil || one.After.GetKind() != workload.Deployment {
		return nil // it was not applied
	}
	s, err := r.Target.held(ctx)
	if err != nil || s.Mark == nil {
		return err
	}
	one.After = one.After.DeepCopy()
	if !s.Mark.Paused || !s.Deployment.Spec.Paused {
		unstructured.RemoveNestedField(one.After.Object, "spec", "paused")
		return nil
	}
	return unstructured.SetNestedField(one.After.Object, true, "spec", "paused")
}

// letGo releases what is still held after the apply was undone.
func (r *Run) letGo(ctx context.Context, rep *pipeline.Reporter, handed time.Time) error {
	h, o, err := r.handover(rep)
	if err != nil {
		return err
	}
	s, err := h.Read(ctx)
	if err != nil {
		return err
	}
	switch p := handover.Decide(s); p.Action() {
	case handover.None:
	case handover.Release:
		err = h.Release(ctx, p.ServicesFirst, o)
	case handover.GoBack:
		err = h.GoBack(ctx, o)
	default:
		err = r.unfinished(p)
	}
	if err == nil && handed.IsZero() {
		rep.Notef("the new version has served no request")
	}
	return err
}

// takeBack undoes an apply whose previous state is recorded only in the annotations.
func (r *Run) takeBack(ctx context.Context, rep *pipeline.Reporter, set *workload.Workload) ([]judge.LostRun, error) {
	if err := r.guard.ours(ctx, set); err != nil {
		return nil, err
	}
	h, o, err := r.handover(rep)
	if err != nil {
		return nil, err
	}
	if err := h.GoBack(ctx, o); err != nil {
		return nil, err
	}
	r.rehook(ctx, rep)
	if r.Inngest.Off {
		return nil, nil
	}
	return r.unrefresh(ctx, rep)
}

// isHeld returns a function that skips the held Services in an apply, which would
// overwrite their selectors. They are applied once they have been released.
func (r *Run) isHeld(c handover.Choice) func(apply.Object) bool {
	return func(o apply.Object) bool {
		return o.GetKind() == "Service" && o.GroupVersionKind().Group == corev1.GroupName && o.GetNamespace() == r.Ref.Namespace &&
			slices.Contains(c.Services, o.GetName())
	}
}

// switchBack points the Services to the old pods again, and gives the new ones some
// time to finish what they are executing.
func (r *Run) switchBack(ctx context.Context, rep *pipeline.Reporter, handed time.Time) error {
	h, _, err := r.handover(rep)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := h.SwitchBack(ctx); err != nil {
		return err
	}
	rep.Notef("after %s, the Services point to the old version again", time.Since(began).Round(10*time.Millisecond))
	if r.Inngest.Off {
		return h.Thaw(ctx)
	}
	offset := r.facts.clockOffset(ctx)
	// Steps that began well before the switch are on an old pod, which stays.
	onNew := func(ctx context.Context) ([]handover.Step, error) {
		all, err := r.facts.executing(ctx)
		return slices.DeleteFunc(all, func(s handover.Step) bool { return s.Since.Before(handed.Add(offset - time.Second)) }), err
	}
	last := handover.NewDrainer(handover.DrainOptions{Running: onNew, Switched: time.Now(), Offset: offset, Timeout: lastChance})
	if _, err := last.Wait(ctx, rep); err != nil {
		reportAll(rep, asWarnings(pipeline.AsFindings("cannot wait for the new pods to finish their work", err)))
	}
	return h.Thaw(ctx) // if somebody has set another template, this terminates the new pods
}

// lastChance is how long the pods of a version that is being taken back may finish
// what they are executing.
const lastChance = time.Minute

// newDrainer tracks the steps on the old pods from now on.
func (r *Run) newDrainer(ctx context.Context) *handover.Drainer {
	return handover.NewDrainer(handover.DrainOptions{
		Running: r.facts.executing, Switched: r.found.handed, Offset: r.facts.clockOffset(ctx), Timeout: r.Switch.DrainTimeout,
	})
}

// observing wraps a stage so that the steps on the old pods are already watched during
// it. What the drain has to see, such as a request that was in progress during the
// switch, then takes no extra time.
func (r *Run) observing(run stageFunc) stageFunc {
	return func(ctx context.Context, rep *pipeline.Reporter) error {
		if r.found.handed.IsZero() {
			return run(ctx, rep)
		}
		during, over := context.WithCancel(ctx)
		var watching sync.WaitGroup
		watching.Go(func() {
			r.found.drainer = r.newDrainer(during)
			r.found.drainer.Observe(during)
		})
		defer watching.Wait()
		defer over()
		return run(ctx, rep)
	}
}

// drain waits until the old pods have finished their work, and watches the new ones
// meanwhile. drained is when no step was left, if drainer is not nil. kept is set if the
// new version stays although the wait has not completed: then nothing may be undone,
// since both versions have work.
func (r *Run) drain(
	ctx context.Context,
	rep *pipeline.Reporter,
	handed time.Time,
	drainer *handover.Drainer,
) (drained time.Time, kept, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	var worse error
	watching, over := context.WithCancel(ctx)
	defer over()
	wg.Go(func() {
		if worse = r.bake(watching, rep, handed); worse != nil {
			cancel(worse)
		}
	})
	if drainer == nil {
		rep.Notef("it is unknown what the old pods are executing (%s); they end with their grace period", r.Inngest.OffBy)
		err = handover.Settle(ctx, handed)
	} else if _, err = drainer.Wait(ctx, rep); err == nil {
		drained = time.Now()
	}
	if err != nil {
		cancel(err)
	}
	if r.Switch.Bake == 0 {
		over()
	}
	wg.Wait()
	switch {
	case worse != nil: // it is what ended the wait
		return drained, nil, worse
	case err != nil:
		return drained, errors.Join(err, r.keeps("the old version may still have work")), nil
	}
	return drained, nil, nil
}

// releaseAndVerify releases everything that is held, and meanwhile checks the registration
// once more: the old pods have had the whole drain to register their functions again.
func (r *Run) releaseAndVerify(
	ctx context.Context,
	rep *pipeline.Reporter,
	c handover.Choice,
	refreshed *inngest.Refreshed,
) (applied []apply.Result, verified *inngest.Verified, err error) {
	var wrong error
	var verifying sync.WaitGroup
	if !r.Inngest.Off {
		verifying.Go(func() { verified, wrong = r.registrar().verify(ctx, rep, refreshed) })
	}
	applied, err = r.release(ctx, rep, c)
	verifying.Wait()
	return applied, verified, errors.Join(err, wrong)
}

// release terminates the old pods and releases everything that is held.
func (r *Run) release(ctx context.Context, rep *pipeline.Reporter, c handover.Choice) ([]apply.Result, error) {
	h, o, err := r.handover(rep)
	if err != nil {
		return nil, err
	}
	if err := h.Release(ctx, false, o); err != nil {
		return nil, err
	}
	rep.Notef("the old pods are terminating and have no unfinished work")
	if r.Manifest.ImageOnly {
		return nil, nil
	}
	kept := h.Kept()
	return r.facts.write(ctx, r.applyOptions(rep, false), func(o apply.Object) bool {
		return !r.isHeld(c)(o) || slices.Contains(kept, o.GetName())
	})
}
