package rollout

import (
	"context"
	"slices"
	"time"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// NewRollout makes a rollout into one cluster. cancelRun cancels the context with which
// its pipeline is run.
func NewRollout(t *Target, o Options, cancelRun func(error)) *Run {
	r := newRollout("rollout", t, o, cancelRun)
	if o.DryRun != DryRunNone {
		r.Pipeline.Stages = r.dryRun()
		return r
	}
	r.keepJournal()
	r.Pipeline.Stages = r.stages(r.stampStage())
	return r
}

// NewDoctor makes a run that only performs the checks of a rollout.
func NewDoctor(t *Target, o Options) *Run {
	return newRollout("doctor", t, o, func(error) {})
}

func newRollout(command string, t *Target, o Options, cancelRun func(error)) *Run {
	r := newRun(command, t, o, cancelRun)
	r.purpose = purpose{
		checks: r.rolloutChecks,
		making: func() string {
			img, ok := r.facts.resolved.Peek()
			if !ok {
				return ""
			}
			return img.String()
		},
		ifChanged: func(f *pipeline.Finding) *pipeline.Finding { return f }, // its target does not depend on it
		ifHeld:    r.continueHeld,
	}
	r.Pipeline = pipeline.Pipeline{
		Name:        command,
		Checks:      r.log.record(r.checks()),
		Merge:       joinForbidden,
		Cleanup:     r.close,
		OnFailure:   r.failed,
		Closing:     r.closing,
		KeepChanges: o.NoRollback,
	}
	return r
}

// rolloutChecks returns the preflight of a rollout.
func (r *Run) rolloutChecks() []pipeline.Check {
	f := r.facts
	checks := []pipeline.Check{
		{Name: "earlier run", Run: func(ctx context.Context, _ *pipeline.Reporter) ([]*pipeline.Finding, error) {
			return r.killed().check(ctx, "this run continues from there; `kubectl sbw undo` would return to the previous version")
		}},
		{Name: "workload", Run: f.checkWorkload},
		{Name: "manifest", Run: f.checkManifest},
		{Name: "image", Run: f.checkImage},
		{Name: "commits", Run: f.checkCommits},
		{Name: "cluster", Run: func(ctx context.Context, _ *pipeline.Reporter) ([]*pipeline.Finding, error) {
			return f.checkCluster(ctx, underway{force: r.Force, waits: r.LockWait > 0 && r.guard.held == nil, doubt: r.log.doubt,
				ours: r.killed().goesOn})
		}},
		{Name: "dry run", Run: func(ctx context.Context, _ *pipeline.Reporter) ([]*pipeline.Finding, error) {
			return f.checkDryRun(ctx, r.applyOptions(nil, true))
		}},
		{Name: "rights", Run: func(ctx context.Context, _ *pipeline.Reporter) ([]*pipeline.Finding, error) {
			return f.checkRights(ctx, !r.NoRollback, r.Prepull && !r.Restart)
		}},
		{Name: "hand-over", Run: r.checkHeld},
		{Name: "strategy", Run: f.checkStrategy},
	}
	checks = r.more(checks)
	if r.Inngest.Off {
		return append(checks, r.leftOut())
	}
	return append(checks,
		pipeline.Check{Name: "Inngest", Run: func(ctx context.Context, rep *pipeline.Reporter) ([]*pipeline.Finding, error) {
			return f.checkInngest(ctx, rep, r.work(), pipeline.Error)
		}},
		pipeline.Check{Name: "functions", Run: f.checkCatalog},
		pipeline.Check{Name: "unfinished runs", Run: f.checkSpans},
		pipeline.Check{Name: "event", Run: f.checkEvent})
}

// stages returns all stages of a rollout. The stage stamp writes the image into the
// manifest's file.
func (r *Run) stages(stamp pipeline.Stage) []pipeline.Stage {
	return slices.Concat(r.preApply(), []pipeline.Stage{stamp}, r.strategy()(r))
}

// Strategy is a way to make a new version live. It returns the stages from the first
// write to the cluster until the old version is gone, each with its undo. It may read
// the run's facts and options, and it stores in Run.found what its stages return.
type Strategy func(r *Run) []pipeline.Stage

// strategy chooses the stages. The stages of a switch behave like those of a rolling
// update if the preflight finds that the cluster does not allow a switch.
func (r *Run) strategy() Strategy {
	if r.Switch.Strategy == handover.StrategyRolling || r.Switch.Strategy == "" {
		return rolling
	}
	return switching
}

// rolling lets the workload's own update strategy replace the pods: a new pod that
// becomes ready gets traffic at once, and is proven after that.
func rolling(r *Run) []pipeline.Stage {
	s := &r.found
	return append([]pipeline.Stage{
		stage("apply", func(ctx context.Context, rep *pipeline.Reporter) (err error) {
			s.switched = time.Now()
			s.applied, s.target, err = r.apply(ctx, rep, r.applyOptions(rep, false), nothing)
			return err
		}, func(ctx context.Context, rep *pipeline.Reporter) error {
			back, err := r.unapply(ctx, rep, s.applied, s.target, s.watched)
			s.restored, s.watched, s.lost, s.kept = back.restored, back.watched, back.lost, err != nil
			return err
		}),
	}, r.postApply()...)
}

// stampStage writes the image into the manifest's file.
func (r *Run) stampStage() pipeline.Stage {
	s := &r.found
	stamp := stage("stamp", func(ctx context.Context, rep *pipeline.Reporter) (err error) {
		s.stamped, err = r.stamper().stamp(ctx, rep)
		return err
	}, func(ctx context.Context, rep *pipeline.Reporter) error {
		if s.kept || r.guard.supersededBy != nil {
			r.stamper().leave(ctx, rep, s.stamped)
			return nil
		}
		if s.final != nil {
			return s.final
		}
		if err := r.stamper().unstamp(rep, s.stamped); err != nil {
			return err
		}
		s.unstamped = true
		return nil
	})
	stamp.Local = true
	return stamp
}

// dryRun returns the only stage of a run that changes nothing.
func (r *Run) dryRun() []pipeline.Stage {
	s := &r.found
	return []pipeline.Stage{stage("dry run", func(ctx context.Context, rep *pipeline.Reporter) (err error) {
		switch {
		case r.DryRun == DryRunServer:
			s.applied, err = r.facts.write(ctx, r.applyOptions(rep, true), nothing)
		case !r.Manifest.ImageOnly:
			s.rendered, err = r.facts.objects.Get(ctx)
		}
		return err
	}, nil)}
}

// applyOptions returns the options for every write to the cluster.
func (r *Run) applyOptions(rep *pipeline.Reporter, dry bool) apply.Options {
	o := apply.Options{
		Force: r.ForceConflicts, DryRun: dry, Target: r.Ref, Container: r.container(), Reporter: rep, Guard: r.guard.held.Verify,
		Annotations: map[string]string{apply.ChangeCause: r.changeCause()},
		Existed:     r.judged(),
		Absent:      isMissing(r.facts.live.Err()),
		UsedBy: func(ctx context.Context, kind, name string) ([]string, error) {
			return r.usedBy(ctx, r.found.applied, kind, name)
		},
		Keep: func(k apply.Kept) error { return r.journal.Keep(factApply, k) },
	}
	if r.Restart { // a restart applies the running image
		o.Accept = r.judgedWith(r.sameImageAs)
	}
	return o
}
