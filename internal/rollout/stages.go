package rollout

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
	"github.com/joelhooks/gh-sbw/internal/inngest/client"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Stages that appear in more than one list. The lists are in rollout.go (rolling),
// switch.go (switching) and undo.go.

// stageFunc is the work of a stage or of its undo.
type stageFunc = func(context.Context, *pipeline.Reporter) error

// stage makes a stage; undo may be nil.
func stage(name string, run, undo stageFunc) pipeline.Stage {
	return pipeline.Stage{Name: name, Run: notingOutages(run), Undo: notingOutages(undo)}
}

// notingOutages adds a note when the stage has to wait for an Inngest server that does
// not answer.
func notingOutages(f stageFunc) stageFunc {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, rep *pipeline.Reporter) error {
		var once sync.Once
		return f(client.WithOutageNote(ctx, func(err error) {
			once.Do(func() { rep.Notef("Inngest does not answer; waiting for it: %s", err) })
		}), rep)
	}
}

// proven marks stages that follow the proof of the new version. A failure in them says
// nothing against that version.
func proven(stages ...pipeline.Stage) []pipeline.Stage {
	for i := range stages {
		stages[i].Proven = true
	}
	return stages
}

// when makes stages that are skipped unless a condition is true, which an earlier stage
// decides.
func when(condition func() bool, stages ...pipeline.Stage) []pipeline.Stage {
	for i := range stages {
		stages[i].When = condition
	}
	return stages
}

// ifAny skips a stage that needs pods if the workload is scaled to 0.
func (r *Run) ifAny(run stageFunc) stageFunc {
	return func(ctx context.Context, rep *pipeline.Reporter) error {
		if t := r.found.target; t != nil && t.DaemonSet == nil && t.Replicas() == 0 {
			rep.Skipped("scaled to 0: there is no pod to probe")
			return nil
		}
		return run(ctx, rep)
	}
}

// untilFinal wraps an undo so that it is refused as soon as the new version stays no
// matter what follows. A rolling update has no such moment.
func (r *Run) untilFinal(undo stageFunc) stageFunc {
	return func(ctx context.Context, rep *pipeline.Reporter) error {
		if r.found.final != nil {
			return cmp.Or(r.guard.supersededBy, r.found.final)
		}
		return undo(ctx, rep)
	}
}

// withApply returns the undo of a stage whose change is restored by the undo of the
// apply stage: the old functions can only be registered once the old pods serve again,
// and at that point the later stages have already been undone.
func (r *Run) withApply() stageFunc {
	return r.untilFinal(func(context.Context, *pipeline.Reporter) error { return nil })
}

// preApply returns the stages before a change of the workload.
func (r *Run) preApply() (stages []pipeline.Stage) {
	if r.Steps.WaitIdle && !r.Inngest.Off {
		stages = append(stages, stage("wait idle", func(ctx context.Context, rep *pipeline.Reporter) error {
			return r.work().waitIdle(ctx, rep)
		}, nil))
	}
	stages = append(stages, stage("lock", func(ctx context.Context, rep *pipeline.Reporter) (err error) {
		if r.guard.held, err = r.lock(ctx, rep); err != nil {
			return err
		}
		if r.facts, err = r.recheck(ctx, rep); err != nil {
			return err
		}
		r.guard.removeWarmUps(ctx, rep)
		r.found.adopted, r.found.wentBack, err = r.takeOver(ctx, rep)
		return err
	}, nil))
	if r.Prepull && !r.Restart { // the nodes have the image of a restart
		stages = append(stages, stage("prepull", func(ctx context.Context, rep *pipeline.Reporter) error {
			return r.facts.prepull(ctx, rep, r.Timeout)
		}, nil))
	}
	if !r.Inngest.Off {
		stages = append(stages, stage("running steps", func(ctx context.Context, rep *pipeline.Reporter) (err error) {
			if err = r.work().guard(ctx, rep); err != nil {
				return err
			}
			r.found.failedBefore, err = r.work().failedRuns(ctx)
			return err
		}, nil))
	}
	return stages
}

// postApply returns the stages that prove a change of the workload if its own update
// strategy replaces the pods: the pods of the new template are followed, probed and
// registered, until the old ones are gone.
func (r *Run) postApply() []pipeline.Stage {
	s := &r.found
	return slices.Concat(
		[]pipeline.Stage{
			stage("watch", func(ctx context.Context, rep *pipeline.Reporter) (err error) {
				s.followed, err = r.followNew(ctx, rep, s.target, false)
				return r.guard.takenOver(ctx, s.target, err)
			}, nil),
			r.probeStage(),
		},
		r.serveStages(),
		proven(r.settleStage(r.oldGone)),
		proven(r.lookBackStages()...),
		proven(r.confirmStages()...),
	)
}

// probeStage probes the new pods.
func (r *Run) probeStage() pipeline.Stage {
	return stage("probe", r.ifAny(r.guarded(func(ctx context.Context, rep *pipeline.Reporter) error {
		ask := func() error { return r.probeNew(ctx, rep) }
		return r.keepUp(ctx, rep, ask, ask())
	})), r.withApply())
}

// serveStages announce the version that serves now: Inngest gets its functions, and
// the user's own command runs.
func (r *Run) serveStages() (stages []pipeline.Stage) {
	s := &r.found
	if !r.Inngest.Off {
		refresh := func(ctx context.Context, rep *pipeline.Reporter) (err error) {
			s.refreshed, err = r.registrar().refresh(ctx, rep, s.watched)
			return err
		}
		stages = append(stages, stage("refresh", r.ifAny(r.guarded(func(ctx context.Context, rep *pipeline.Reporter) error {
			if s.choice.Strategy == handover.StrategySwitch {
				return r.observing(refresh)(ctx, rep)
			}
			again := func() error {
				if err := r.probeNew(ctx, rep); err != nil {
					return err
				}
				return refresh(ctx, rep)
			}
			return r.keepUp(ctx, rep, again, refresh(ctx, rep))
		})), r.withApply()))
	}
	if len(r.Worker.Hooks.Proven) > 0 {
		stages = append(stages, stage("hook", r.ifAny(r.guarded(func(ctx context.Context, rep *pipeline.Reporter) error {
			s.hooked = true
			return r.hook(ctx, rep)
		})), r.withApply()))
	}
	return stages
}

// settleStage waits with oldGone until all old pods are gone, and then checks the
// registration once more.
func (r *Run) settleStage(oldGone func(context.Context, *pipeline.Reporter) (bool, error)) pipeline.Stage {
	s := &r.found
	return stage("settle", r.ifAny(r.guarded(func(ctx context.Context, rep *pipeline.Reporter) (err error) {
		if s.settled, err = oldGone(ctx, rep); err != nil || r.Inngest.Off || s.verified != nil {
			return err
		}
		s.verified, err = r.registrar().verify(ctx, rep, s.refreshed)
		return err
	})), r.withApply())
}

// lookBackStages find out how the change affected runs.
func (r *Run) lookBackStages() []pipeline.Stage {
	if r.Inngest.Off {
		return nil
	}
	s := &r.found
	return []pipeline.Stage{stage("lost runs", r.ifAny(r.guarded(func(ctx context.Context, rep *pipeline.Reporter) (err error) {
		s.lost, err = r.work().lost(ctx, rep, s.verified.App, judge.Window{From: s.switched, To: time.Now(), Failed: s.failedBefore})
		return err
	})), r.withApply())}
}

// confirmStages send the event that confirms a version, once Inngest has registered it.
func (r *Run) confirmStages() []pipeline.Stage {
	if r.Inngest.Off || r.Inngest.ConfirmEvent == "" {
		return nil
	}
	return []pipeline.Stage{stage("confirm", r.ifAny(r.guarded(func(ctx context.Context, rep *pipeline.Reporter) error {
		return r.registrar().confirm(ctx, rep, r.found.refreshed.App)
	})), r.withApply())}
}
