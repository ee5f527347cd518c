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
	startup      *Startup
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
	o := r.watchOptions(kube, target, rep)
	if target == r.found.target { // and not what was before
		defer r.timed(ctx, rep, &o)()
	}
	return watch.Rollout(ctx, kube, o)
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
		rep.Finding(f) // slow is not failed
		return false, nil
	}
	return err == nil, err
}

// failed comes between a failure and the first undo. Of a run that keeps its
// changes, it is the end.
func (r *Run) failed(ctx context.Context, rep *pipeline.Reporter, _ error) {
	r.keepEvidence(ctx, rep)
	if r.Pipeline.KeepChanges && r.found.supersededBy != nil {
		r.leaveFile(ctx, rep, r.found.stamped)
	}
}

// keepEvidence reads what undoing will destroy.
func (r *Run) keepEvidence(ctx context.Context, rep *pipeline.Reporter) {
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
