package rollout

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
	"github.com/joelhooks/gh-sbw/internal/cluster/revision"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/receipt"
)

// NewUndo makes a run that goes back to an earlier revision. The change is followed by
// the same stages as in a rollout. None of them is undone, because the user wants the
// revision that the undo goes back to.
func NewUndo(t *Target, o Options, cancelRun func(error)) *Run {
	o.DryRun = DryRunNone
	o.Manifest.ImageOnly = true   // the revision's pod template is applied, no manifest
	o.Inngest.AllowRemoval = true // functions that the newer version added may be removed
	r := newRun("undo", t, o, cancelRun)
	r.purpose = purpose{
		checks: r.undoChecks,
		making: func() string {
			switch {
			case r.found.revision != nil:
				return imageIn(r.found.revision.Template, r.container())
			case r.found.target != nil: // restores the state before a killed run
				return imageIn(r.found.target.Template(), r.container())
			}
			return ""
		},
		ifChanged: func(f *pipeline.Finding) *pipeline.Finding {
			if o.ToRevision != 0 {
				return f
			}
			// The undo referred to the version that was running when it was typed.
			return f.With(func(f *pipeline.Finding) {
				f.Severity = pipeline.Error
				f.Fix = "`kubectl sbw undo` goes back to what ran before it, --to-revision to a certain one"
			})
		},
		ifHeld:    leaveHeld,
		keepsFile: true,
	}
	r.Pipeline = pipeline.Pipeline{
		Name:        "undo",
		KeepChanges: true,
		Cleanup:     r.close,
		OnFailure:   r.failed,
		Closing:     r.closing,
		Checks:      r.log.record(r.checks()),
		Merge:       joinForbidden,
	}
	r.keepJournal()
	s := &r.found
	r.Pipeline.Stages = slices.Concat(r.preApply(), []pipeline.Stage{
		stage("undo", func(ctx context.Context, rep *pipeline.Reporter) (err error) {
			s.switched = time.Now()
			if s.wentBack {
				rep.Changed()
				s.target, err = r.facts.live.Get(ctx)
				return err
			}
			s.revision, s.target, err = r.goBack(ctx, rep)
			return err
		}, nil),
		stage("manifest", func(ctx context.Context, rep *pipeline.Reporter) (err error) {
			s.stamped, err = r.stamper().stampRevision(ctx, rep, s.revision, r.making())
			for _, w := range s.stamped {
				s.restored = append(s.restored, fmt.Sprintf("%s: %s", r.Short(w.File), w.New))
			}
			return err
		}, nil),
	}, r.postApply())
	return r
}

// undoChecks returns the preflight of an undo.
func (r *Run) undoChecks() []pipeline.Check {
	f := r.facts
	checks := []pipeline.Check{
		{Name: "earlier run", Run: func(ctx context.Context, _ *pipeline.Reporter) ([]*pipeline.Finding, error) {
			return r.killed().check(ctx, "this run returns to the state before it")
		}},
		{Name: "workload", Run: f.checkWorkload},
		{Name: "hand-over", Run: r.checkHeld},
		{Name: "revision", Run: r.checkRevision},
		{Name: "manifest", Run: f.checkUndoManifest},
		{Name: "rights", Run: func(ctx context.Context, _ *pipeline.Reporter) ([]*pipeline.Finding, error) {
			return f.checkRights(ctx, true, false)
		}},
	}
	checks = r.more(checks)
	if r.Inngest.Off {
		return append(checks, r.leftOut())
	}
	return append(checks, pipeline.Check{Name: "Inngest", Run: func(ctx context.Context, rep *pipeline.Reporter) ([]*pipeline.Finding, error) {
		return f.checkInngest(ctx, rep, r.work(), pipeline.Warning)
	}})
}

// checkRevision checks that there is a revision to go back to, and that nobody else is
// changing the workload.
func (r *Run) checkRevision(ctx context.Context, rep *pipeline.Reporter) ([]*pipeline.Finding, error) {
	live, err := r.facts.live.Get(ctx)
	if err != nil {
		return nil, nil // another check reports the error
	}
	if c := verdict.HeldBack(handover.Thawed(live)); c != nil {
		return []*pipeline.Finding{c.Finding()}, nil
	}
	if s, err := r.facts.held.Get(ctx); r.ToRevision == 0 && err == nil && s.Mark != nil {
		return nil, nil // this undo returns to what served before the switch
	}
	if l, err := r.killed().left(); r.ToRevision == 0 && (err != nil || l != nil) {
		return nil, nil // this undo restores the state before a killed run, if that can be determined
	}
	all, err := r.Revisions(ctx)
	if err != nil {
		return nil, err
	}
	to, err := revision.Pick(all, r.ToRevision)
	if err != nil {
		return nil, err
	}
	if to.Current {
		return []*pipeline.Finding{
			{Code: CodeRevisionCurrent, Severity: pipeline.Warning, What: fmt.Sprintf("revision %d is already running", to.Number),
				Fix: "`kubectl sbw history` lists the others"},
		}, nil
	}
	rep.Notef("revision %d has %s", to.Number, strings.Join(to.Images, " "))
	return nil, nil
}

// goBack sets the pod template of an earlier revision, or restores the state before a
// killed run, in which case the returned revision is nil.
func (r *Run) goBack(ctx context.Context, rep *pipeline.Reporter) (*revision.Revision, *workload.Workload, error) {
	if r.ToRevision == 0 {
		target, done, err := r.killed().undo(ctx, rep, r.applyOptions(rep, false))
		if err != nil {
			return nil, target, err
		}
		if done {
			return nil, target, r.unstick(ctx, rep, target)
		}
	}
	live, err := r.facts.live.Get(ctx)
	if err != nil {
		return nil, nil, err
	}
	// If somebody has changed the workload since, this undo was not meant for their
	// version. Compare first, because another object has other revisions.
	if err := r.guard.compare(ctx, live, sameTemplateAs(live)); err != nil {
		return nil, nil, err
	}
	all, err := r.Revisions(ctx)
	if err != nil {
		return nil, nil, err
	}
	// An undo that is run again after a kill goes to the same revision as the first
	// one, not to the one before it.
	to := r.killed().undone(all)
	if to == nil || r.ToRevision != 0 {
		if to, err = revision.Pick(all, r.ToRevision); err != nil {
			return nil, nil, err
		}
	}
	if err := r.journal.Keep(factUndo, to.Name); err != nil {
		return nil, nil, err
	}
	if err := r.journal.Keep(factImage, images{Before: r.facts.previous(), After: imageIn(to.Template, r.container())}); err != nil {
		return nil, nil, err
	}
	annotations := map[string]string{apply.ChangeCause: fmt.Sprintf("kubectl sbw undo --to-revision %d", to.Number)}
	// The revision carries the history of its time; keep the present one instead.
	if history, ok := live.Object().GetAnnotations()[receipt.AnnotationHistory]; ok {
		annotations[receipt.AnnotationHistory] = history
	}
	if err := r.guard.held.Verify(ctx); err != nil {
		return nil, nil, err
	}
	target, err := revision.Undo(ctx, r.Conn, r.Ref, to, live, annotations, rep)
	if err != nil {
		return nil, nil, err
	}
	rep.Notef("back to revision %d: %s", to.Number, strings.Join(to.Images, " "))
	return to, target, r.unstick(ctx, rep, target)
}

// checkUndoManifest checks that a manifest given by a flag contains the workload. A
// problem with the configured manifest shows when it is restored, because it does not
// block an undo.
func (f *facts) checkUndoManifest(ctx context.Context, _ *pipeline.Reporter) ([]*pipeline.Finding, error) {
	if !f.manifest.Named || !f.manifest.hasFile() {
		return nil, nil
	}
	live, err := f.live.Get(ctx)
	if err != nil {
		return nil, nil // another check reports the error
	}
	was := imageIn(live.Template(), f.container())
	if was == "" {
		return nil, nil
	}
	_, err = f.planFor(ctx, was)
	return nil, err
}
