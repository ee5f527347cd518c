package rollout

import (
	"cmp"
	"context"
	"errors"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/evidence"
	"github.com/joelhooks/gh-sbw/internal/cluster/lock"
	"github.com/joelhooks/gh-sbw/internal/cluster/revision"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/watch"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/manifest"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/probe"
)

// Run is one rollout, undo or doctor in one cluster: its pipeline, and after it
// has run what was found.
type Run struct {
	*Target
	Options
	// Pipeline is what is run; nothing has happened before.
	Pipeline pipeline.Pipeline

	command string // as results and receipts name it
	facts   *facts
	journal *pipeline.Journal
	checks  func() []pipeline.Check // of the preflight, about the current facts
	log     preflightLog
	// cancelRun ends the run when the lock is lost.
	cancelRun func(error)
	// making is the image that the run makes live, "" while it is not known.
	making func() string
	// ifChanged judges that another image runs now than when the run was
	// started; nil accepts that.
	ifChanged func(*pipeline.Finding) *pipeline.Finding
	held      *lock.Lock
	found     found
}

// found is what the stages of a run found and did. Only the lists of stages
// write it: from what one stage returned to what another takes.
type found struct {
	stamped   []*manifest.Written // this run's edit, after those of killed ones
	unstamped bool                // they were put back
	applied   []apply.Result      // or what a dry run would apply
	rendered  []apply.Object      // what a client's dry run would apply
	revision  *revision.Revision  // that an undo went back to
	target    *workload.Workload  // what this run set, to be watched
	// failedBefore are runs that had failed when the first write began.
	failedBefore map[string]bool
	switched     time.Time // when the first write to the workload began
	watched      watch.Result
	made         string // the revision that this run rolled out
	probes       []probe.Answer
	refreshed    *inngest.Refreshed
	verified     *inngest.Verified
	lost         []judge.LostRun
	settled      bool     // no old pod is left
	hooked       bool     // hooks.proven ran for the new version
	restored     []string // what was put back
	evidence     evidence.Evidence
	// supersededBy is set when somebody else has changed or replaced the
	// workload, or has the lock: then nothing of it is ours to put back.
	supersededBy error
	// kept means that what was applied could not be put back, or may not be.
	kept bool
	handing
}

func newRun(command string, t *Target, o Options, cancelRun func(error)) *Run {
	r := &Run{Target: t, Options: o, command: command, facts: newFacts(t, o), cancelRun: cancelRun}
	r.making = func() string { return "" }
	return r
}

// stage makes a stage that can be put back; undo may be nil.
func stage(name string, run, undo func(context.Context, *pipeline.Reporter) error) pipeline.Stage {
	return pipeline.Stage{Name: name, Run: run, Undo: undo}
}

// withApply is the undo of a stage whose change is put back with the apply: the
// old functions can only be registered once the old pods serve again, and by
// then the stages after it are undone already.
func withApply(context.Context, *pipeline.Reporter) error { return nil }

// ifAny skips a stage that asks pods where there are to be none.
func (r *Run) ifAny(run func(context.Context, *pipeline.Reporter) error) func(context.Context, *pipeline.Reporter) error {
	return func(ctx context.Context, rep *pipeline.Reporter) error {
		if t := r.found.target; t != nil && t.DaemonSet == nil && t.Replicas() == 0 {
			rep.Skipped("scaled to 0: there is no pod to probe")
			return nil
		}
		return run(ctx, rep)
	}
}

// preApply are the stages that come before a change of the workload.
func (r *Run) preApply() (stages []pipeline.Stage) {
	if r.Steps.WaitIdle && !r.Inngest.Off {
		stages = append(stages, stage("wait idle", r.waitIdle, nil))
	}
	stages = append(stages, stage("lock", func(ctx context.Context, rep *pipeline.Reporter) (err error) {
		if r.held, err = r.lock(ctx, rep); err != nil {
			return err
		}
		if r.facts, err = r.recheck(ctx, rep); err != nil {
			return err
		}
		return r.takeOver(ctx, rep)
	}, nil))
	if !r.Inngest.Off {
		stages = append(stages, stage("running steps", func(ctx context.Context, rep *pipeline.Reporter) (err error) {
			if err = r.guardSteps(ctx, rep); err != nil {
				return err
			}
			r.found.failedBefore, err = r.failedRuns(ctx)
			return err
		}, nil))
	}
	return stages
}

// postApply are the stages that prove a change of the workload, whichever it
// was: the pods of its new template are followed, asked and registered, until
// the old ones are gone.
func (r *Run) postApply() []pipeline.Stage {
	s := &r.found
	stages := []pipeline.Stage{
		stage("watch", func(ctx context.Context, rep *pipeline.Reporter) (err error) {
			s.watched, err = r.follow(ctx, rep, s.target)
			s.made = s.watched.Verdict.Revision
			if isForeign(err) {
				s.supersededBy = err
			}
			return err
		}, nil),
		r.probeStage(),
	}
	if !r.Inngest.Off {
		stages = append(stages, stage("refresh", r.ifAny(r.guarded(func(ctx context.Context, rep *pipeline.Reporter) (err error) {
			s.refreshed, err = r.refresh(ctx, rep, s.watched)
			return err
		})), withApply))
	}
	stages = append(stages, r.hookStage(withApply)...)
	// From here on the new version is proven.
	proven := []pipeline.Stage{stage("settle", r.ifAny(r.guarded(func(ctx context.Context, rep *pipeline.Reporter) (err error) {
		if s.settled, err = r.oldGone(ctx, rep, s.target); err != nil || r.Inngest.Off {
			return err
		}
		s.verified, err = r.verify(ctx, rep, s.refreshed)
		return err
	})), withApply)}
	if !r.Inngest.Off {
		proven = append(proven, stage("lost runs", r.ifAny(r.guarded(func(ctx context.Context, rep *pipeline.Reporter) (err error) {
			s.lost, err = r.lostRuns(ctx, rep, s.verified.App, judge.Window{From: s.switched, To: time.Now(), Failed: s.failedBefore})
			return err
		})), withApply))
	}
	if !r.Inngest.Off && r.Inngest.ConfirmEvent != "" {
		proven = append(proven, stage("confirm", r.ifAny(r.guarded(func(ctx context.Context, rep *pipeline.Reporter) error {
			return r.confirm(ctx, rep, s.verified.App)
		})), withApply))
	}
	for i := range proven {
		proven[i].Proven = true
	}
	return append(stages, proven...)
}

// lock keeps every other rollout of this workload away until the end. When it
// is lost on the way, the run ends as a failed one.
func (r *Run) lock(ctx context.Context, rep *pipeline.Reporter) (*lock.Lock, error) {
	kube, err := r.Conn.Kube()
	if err != nil {
		return nil, err
	}
	if _, err := r.facts.live.Get(ctx); errors.Is(err, workload.ErrNoNamespace) {
		rep.Skipped("namespace %s does not exist yet, so nothing can be locked in it", r.Ref.Namespace)
		return nil, nil
	}
	held, err := lock.Acquire(ctx, kube, lock.Options{
		Workload: r.Ref, Tag: r.subject(), Wait: r.LockWait, Lost: r.cancelRun, Reporter: rep,
		Run: r.journal.ID(), Ended: r.ended(),
	})
	if isLockForbidden(err) {
		for _, f := range pipeline.AsFindings("lock", err) {
			rep.Finding(f.WithSeverity(pipeline.Warning)) // the preflight reports it, too: one may go on without
		}
		return nil, nil
	}
	return held, err
}

// follow waits until target is rolled out, or has failed.
func (r *Run) follow(ctx context.Context, rep *pipeline.Reporter, target *workload.Workload) (watch.Result, error) {
	kube, err := r.Conn.Kube()
	if err != nil {
		return watch.Result{}, err
	}
	return watch.Rollout(ctx, kube, r.watchOptions(kube, target, rep))
}

// watchOptions say what is followed, and how patiently.
func (r *Run) watchOptions(kube kubernetes.Interface, target *workload.Workload, rep *pipeline.Reporter) watch.Options {
	return watch.Options{
		Applied: target, Timeout: r.Timeout, Reporter: rep, Policy: verdict.Policy{Restarts: verdict.Restarts(r.Worker.Deploy.Restarts)},
		Log: func(ctx context.Context, c verdict.Container, previous bool) (string, error) {
			return evidence.Log(ctx, kube, r.Ref.Namespace, c, previous, 50)
		},
	}
}

// oldGone waits until no old pod is left, and reports whether that was seen.
func (r *Run) oldGone(ctx context.Context, rep *pipeline.Reporter, target *workload.Workload) (bool, error) {
	if r.NoSettle {
		rep.Notef("--no-settle: old pods end by themselves, and nothing verifies that they are gone")
		return false, nil
	}
	kube, err := r.Conn.Kube()
	if err != nil {
		return false, err
	}
	_, err = watch.OldGone(ctx, kube, r.watchOptions(kube, target, rep))
	if f := Warning(err); f != nil {
		rep.Finding(f) // slow is not failed
		return false, nil
	}
	return err == nil, err
}

// keepEvidence reads what undoing will destroy.
func (r *Run) keepEvidence(ctx context.Context, rep *pipeline.Reporter, _ error) {
	if r.found.watched.Snapshot.Workload == nil {
		return // nothing was followed yet
	}
	kube, err := r.Conn.Kube()
	if err != nil {
		return // there is no cluster to read from, which is the failure itself
	}
	r.found.evidence = evidence.Collect(ctx, kube, r.found.watched)
	for _, line := range r.found.evidence.Brief(10) {
		rep.Notef("%s", line)
	}
}

// close ends what the run opened.
func (r *Run) close(ctx context.Context, _ *pipeline.Reporter) error {
	if err := r.found.supersededBy; errors.Is(err, workload.ErrSuperseded) || errors.Is(err, workload.ErrReplaced) {
		r.journal.Settle() // what is there now is another's, and no later run's to put back
	}
	return errors.Join(r.held.Release(ctx), r.facts.close())
}

// changeCause is what the revision's history says of this run.
func (r *Run) changeCause() string {
	if r.Restart {
		return "kubectl sbw restart"
	}
	return "kubectl sbw rollout --tag " + r.subject()
}

// subject is what is rolled out, in a word, for whoever finds the lock taken.
func (r *Run) subject() string {
	return cmp.Or(r.Image.Tag, r.Image.Digest, r.command)
}
