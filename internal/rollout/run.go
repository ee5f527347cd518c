package rollout

import (
	"cmp"
	"context"
	"errors"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/evidence"
	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
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

// Run is one rollout, undo or doctor in one cluster: its pipeline and, once that has
// run, what it found.
type Run struct {
	*Target
	Options
	// Pipeline is to be run by the caller. Nothing has happened before that.
	Pipeline pipeline.Pipeline

	purpose
	command string // the name in results and receipts
	facts   *facts
	journal *pipeline.Journal
	log     preflightLog
	// cancelRun cancels the run when the lock is lost.
	cancelRun func(error)
	guard     guard
	found     found
}

// purpose is what a rollout and an undo do differently in the stages that they share.
type purpose struct {
	// checks returns the checks of the preflight, based on the current facts.
	checks func() []pipeline.Check
	// making returns the image that the run makes live, or "" while it is not known.
	making func() string
	// ifChanged judges a change of the running image since the run was started.
	ifChanged func(*pipeline.Finding) *pipeline.Finding
	// ifHeld decides how the run deals with a switch that another run has left unfinished,
	// and describes that. The action is Wait if the run does nothing but refuse.
	ifHeld func(context.Context, *handover.State, handover.Plan) (action handover.Action, words string)
	// keepsFile means that the manifest's file is right even if the run fails.
	keepsFile bool
}

// found is what the stages of a run found and did. The lists of stages write it, to pass
// on what one stage returned to a later one.
type found struct {
	written
	followed
	inService
	stopped
	handing
}

// written is what a run wrote to the manifest file and to the cluster.
type written struct {
	stamped   []*manifest.Written // this run's edit, after those of killed runs
	unstamped bool                // the edits were undone
	applied   []apply.Result      // what was applied, or would be by a dry run
	rendered  []apply.Object      // what --dry-run=client would apply
	revision  *revision.Revision  // the revision that an undo went back to
	target    *workload.Workload  // the workload as this run set it, to be watched
	switched  time.Time           // when the first write to the workload began
	// failedBefore are the runs that had already failed at that moment.
	failedBefore map[string]bool
}

// followed is what a wait for new pods found.
type followed struct {
	watched watch.Result
	startup *Startup
	made    string // name of the revision that this run rolled out
	fresh   string // pod-template-hash of the new version of a switch
	// ready is when the wait was over, and serving reports since when all new pods of a switch
	// have accepted connections: see timed.
	ready   time.Time
	serving func(context.Context) time.Time
}

// inService is what the checks of the new version found.
type inService struct {
	probes    []probe.Answer
	refreshed *inngest.Refreshed
	verified  *inngest.Verified
	lost      []judge.LostRun
	settled   bool // no old pod is left
	hooked    bool // hooks.proven ran for the new version
}

// stopped is what a run that failed found, and what it restored.
type stopped struct {
	restored []string
	evidence evidence.Evidence
	// kept means that what was applied could not be restored, or must not be.
	kept bool
}

func newRun(command string, t *Target, o Options, cancelRun func(error)) *Run {
	return &Run{Target: t, Options: o, command: command, facts: newFacts(t, o), cancelRun: cancelRun, guard: guard{Target: t}}
}

// lock keeps every other rollout away from this workload until the run ends. If the
// lock is lost before that, the run fails.
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
		Run: r.journal.ID(), Ended: r.killed().ended(),
	})
	if isLockForbidden(err) {
		for _, f := range pipeline.AsFindings("lock", err) {
			rep.Finding(f.WithSeverity(pipeline.Warning)) // the run may continue without the lock, as the preflight also reports
		}
		return nil, nil
	}
	return held, err
}

// follow waits until the restored workload is rolled out or has failed.
func (r *Run) follow(ctx context.Context, rep *pipeline.Reporter, target *workload.Workload) (watch.Result, error) {
	kube, err := r.Conn.Kube()
	if err != nil {
		return watch.Result{}, err
	}
	return watch.Rollout(ctx, kube, r.watchOptions(kube, target, rep))
}

// followNew waits until the workload that this run set is rolled out or has failed. The new
// pods of a switch only have to be Ready, since they are held back.
func (r *Run) followNew(ctx context.Context, rep *pipeline.Reporter, target *workload.Workload, switches bool) (f followed, err error) {
	kube, err := r.Conn.Kube()
	if err != nil {
		return f, err
	}
	h, o, err := r.handover(rep)
	if err != nil {
		return f, err
	}
	o.Applied = target
	over, serving := r.timed(ctx, rep, &o)
	if switches {
		f.watched, err = h.Ready(ctx, o)
		f.serving, err = serving, noRoom(err)
		if live := f.watched.Snapshot.Workload; live != nil { // somebody may have restarted it, which makes a new revision with the same image
			f.fresh = handover.NewVersion(live, f.watched.Snapshot.ReplicaSets)
		}
	} else {
		f.watched, err = watch.Rollout(ctx, kube, o)
	}
	if !switches || err != nil {
		endAsking(serving) // nothing waits for the answer
	}
	f.startup, f.made, f.ready = over(), f.watched.Verdict.Revision, time.Now()
	return f, err
}

// watchOptions returns what to follow, and how long to wait.
func (r *Run) watchOptions(kube kubernetes.Interface, target *workload.Workload, rep *pipeline.Reporter) watch.Options {
	return watch.Options{
		Applied: target, Timeout: r.Timeout, Reporter: rep, Policy: verdict.Policy{Restarts: verdict.Restarts(r.Worker.Deploy.Restarts)},
		Log: func(ctx context.Context, c verdict.Container, previous bool) (string, error) {
			return evidence.Log(ctx, kube, r.Ref.Namespace, c, previous, 50)
		},
	}
}

// oldGone waits until all old pods are gone, and reports whether it has seen that.
func (r *Run) oldGone(ctx context.Context, rep *pipeline.Reporter) (bool, error) {
	if r.NoSettle {
		rep.Notef("--no-settle: old pods end by themselves, and nothing verifies that they are gone")
		return false, nil
	}
	kube, err := r.Conn.Kube()
	if err != nil {
		return false, err
	}
	_, err = watch.OldGone(ctx, kube, r.watchOptions(kube, r.found.target, rep))
	if f := Warning(err); f != nil {
		rep.Finding(f) // slow pods do not fail the run
		return false, nil
	}
	return err == nil, err
}

// failed runs between a failure and the first undo. If a failed run keeps its changes,
// this is its last action.
func (r *Run) failed(ctx context.Context, rep *pipeline.Reporter, _ error) {
	r.keepEvidence(ctx, rep)
	if r.Pipeline.KeepChanges && r.guard.supersededBy != nil {
		r.stamper().leave(ctx, rep, r.found.stamped)
	}
}

// keepEvidence collects what the undo will destroy.
func (r *Run) keepEvidence(ctx context.Context, rep *pipeline.Reporter) {
	if r.found.watched.Snapshot.Workload == nil {
		return // nothing was followed yet
	}
	kube, err := r.Conn.Kube()
	if err != nil {
		return // the cluster cannot be reached, and that is the failure
	}
	r.found.evidence = evidence.Collect(ctx, kube, r.found.watched)
	for _, line := range r.found.evidence.Brief(10) {
		rep.Notef("%s", line)
	}
}

// close releases what the run opened.
func (r *Run) close(ctx context.Context, _ *pipeline.Reporter) error {
	if err := r.guard.supersededBy; errors.Is(err, workload.ErrSuperseded) || errors.Is(err, workload.ErrReplaced) {
		r.journal.Settle() // the workload now belongs to somebody else, and no later run may restore it
	}
	endAsking(r.found.serving)
	return errors.Join(r.guard.held.Release(ctx), r.facts.close())
}

// changeCause returns the text for the revision's kubernetes.io/change-cause annotation.
func (r *Run) changeCause() string {
	if r.Restart {
		return "kubectl sbw restart"
	}
	return "kubectl sbw rollout --tag " + r.subject()
}

// subject returns a short name for what is rolled out. Others see it while the lock is taken.
func (r *Run) subject() string {
	return cmp.Or(r.Image.Tag, r.Image.Digest, r.command)
}
