package kubecmd

import (
	"context"
	"time"

	"github.com/joelhooks/gh-sbw/internal/catalog"
	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/evidence"
	"github.com/joelhooks/gh-sbw/internal/cluster/lock"
	"github.com/joelhooks/gh-sbw/internal/cluster/revision"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/watch"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/manifest"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/probe"
)

// rollout is one run: the options, and what the stages hand to each other.
type rollout struct {
	*rolloutOptions
	command string // rollout or undo

	live    *pipeline.Lazy[*workload.Workload]
	loaded  *pipeline.Lazy[[]apply.Object]     // the manifest's objects; none with --image-only
	plan    *pipeline.Lazy[*manifest.Plan]     // nil with --image-only
	next    *pipeline.Lazy[*workload.Workload] // as the manifest has it
	img     *pipeline.Lazy[shipped]
	objects *pipeline.Lazy[[]apply.Object] // what is to be applied: with the new image
	applied []apply.Result                 // or what a dry run would apply
	// rendered is what --dry-run=client would send.
	rendered []apply.Object
	// back is the revision that an undo goes back to.
	back    *revision.Revision
	target  *workload.Workload
	written []*manifest.Written // this run's edit, after those of killed ones
	watched watch.Result
	answers []probe.Answer
	settled bool // no old pod is left

	ends      *pipeline.Lazy[*ends]
	opened    *ends // to be closed, once there
	catalog   *pipeline.Lazy[*catalog.Catalog]
	checks    []pipeline.Check // of the preflight
	asked     answers          // that it got
	before    []model.Function // registered before anything was changed; nil: not asked
	told      map[string]bool  // diagnoses by code and place, so that each is told once
	seen      map[string]bool  // running steps that the preflight told of
	refreshed *inngest.Refreshed
	verified  *inngest.Verified
	lostRuns  []judge.LostRun
	switched  time.Time // when the apply began
	held      *lock.Lock
	taken     error // another has changed or replaced the workload meanwhile
	journal   *pipeline.Journal
	lose      func(error) // ends the run when the lock is lost
	evidence  evidence.Evidence
}

// pipeline is the whole command.
func (r *rollout) pipeline() pipeline.Pipeline {
	r.lazies()
	p := pipeline.Pipeline{
		Name:        "rollout",
		Cleanup:     r.close,
		OnFailure:   r.keepEvidence,
		KeepChanges: r.noRollback,
		Checks: []pipeline.Check{
			{Name: "earlier run", Run: r.checkEarlier},
			{Name: "workload", Run: r.checkWorkload},
			{Name: "manifest", Run: r.checkManifest},
			{Name: "image", Run: r.checkImage},
			{Name: "cluster", Run: r.checkCluster},
			{Name: "rights", Run: r.checkRights},
		},
	}
	if !r.noInngest {
		p.Checks = append(p.Checks, pipeline.Check{Name: "Inngest", Run: r.checkInngest},
			pipeline.Check{Name: "functions", Run: r.checkCatalog})
	}
	p.Checks = r.remembering(p.Checks)
	if r.dryRun != "none" {
		p.Stages = []pipeline.Stage{{Name: "dry run", Run: r.runDry}}
		return p
	}
	p.Journal = r.keepJournal()
	p.Stages = append(r.guarded(),
		pipeline.Stage{Name: "stamp", Run: r.stamp, Undo: r.unstamp},
		pipeline.Stage{Name: "apply", Run: r.apply, Undo: r.unapply},
	)
	p.Stages = append(p.Stages, r.proof()...)
	return p
}

// guarded are the stages that come before a change of the workload.
func (r *rollout) guarded() (stages []pipeline.Stage) {
	if r.waitIdle.set && !r.noInngest {
		stages = append(stages, pipeline.Stage{Name: "wait idle", Run: r.idle})
	}
	stages = append(stages, pipeline.Stage{Name: "lock", Run: r.lock})
	if !r.noInngest {
		stages = append(stages, pipeline.Stage{Name: "running steps", Run: r.steps})
	}
	return stages
}

// proof are the stages that follow a change of the workload, whichever it was.
func (r *rollout) proof() []pipeline.Stage {
	stages := []pipeline.Stage{
		{Name: "watch", Run: r.watch},
		{Name: "probe", Run: r.ifAny(r.probe)},
	}
	if !r.noInngest {
		// Undoing runs in reverse, but the old functions can only be registered
		// once the old pods serve: that is part of undoing the apply.
		stages = append(stages, pipeline.Stage{Name: "refresh", Run: r.ifAny(r.refresh), Undo: done})
	}
	stages = append(stages, pipeline.Stage{Name: "settle", Run: r.ifAny(r.settle), Undo: done})
	if !r.noInngest {
		stages = append(stages, pipeline.Stage{Name: "lost runs", Run: r.ifAny(r.lost), Undo: done})
		if r.confirmRun != "" {
			stages = append(stages, pipeline.Stage{Name: "confirm", Run: r.ifAny(r.confirm), Undo: done})
		}
	}
	return stages
}

// ifAny skips a stage that asks pods where there are to be none.
func (r *rollout) ifAny(run func(context.Context, *pipeline.Reporter) error) func(context.Context, *pipeline.Reporter) error {
	return func(ctx context.Context, rep *pipeline.Reporter) error {
		if r.target != nil && r.target.DaemonSet == nil && r.target.Replicas() == 0 {
			rep.Skipped("scaled to 0: no pod to ask")
			return nil
		}
		return run(ctx, rep)
	}
}

// done is the undoing of what another stage's undoing has undone.
func done(context.Context, *pipeline.Reporter) error { return nil }

// lazies prepares the facts that checks and stages share.
func (r *rollout) lazies() {
	r.asked.begin()
	r.live = pipeline.NewLazy(r.findLive)
	r.loaded = pipeline.NewLazy(r.load)
	r.objects = pipeline.NewLazy(r.findObjects)
	r.next = pipeline.NewLazy(r.findNext)
	r.img = pipeline.NewLazy(r.findImage)
	r.plan = pipeline.NewLazy(r.findPlan)
	r.ends = pipeline.NewLazy(r.findEnds)
	r.catalog = pipeline.NewLazy(r.findCatalog)
}

func (r *rollout) findLive(ctx context.Context) (*workload.Workload, error) {
	kube, err := r.conn.Kube()
	if err != nil {
		return nil, err
	}
	return workload.Get(ctx, kube, r.ref)
}

// checkWorkload: a first rollout has no live workload, which is well as long as
// there is a manifest that makes it.
func (r *rollout) checkWorkload(ctx context.Context, rep *pipeline.Reporter) ([]*pipeline.Finding, error) {
	w, err := r.live.Get(ctx)
	if isCode(err, "workload-unknown") && !r.imageOnly {
		rep.Notef("%s/%s is not there yet: this rollout makes it", r.ref.Namespace, r.ref)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	_, err = w.Container(r.worker.Deploy.Container)
	return nil, err
}

func (r *rollout) watch(ctx context.Context, rep *pipeline.Reporter) error {
	err := r.follow(ctx, rep, r.target)
	if isCode(err, "superseded") || isCode(err, "workload-replaced") {
		r.taken = err
	}
	return err
}

// follow waits until target is rolled out, or has failed.
func (r *rollout) follow(ctx context.Context, rep *pipeline.Reporter, target *workload.Workload) error {
	kube, err := r.conn.Kube()
	if err != nil {
		return err
	}
	r.watched, err = watch.Rollout(ctx, kube, watch.Options{
		Applied: target, Timeout: r.timeout, Reporter: rep,
		Log: func(ctx context.Context, c verdict.Container, previous bool) (string, error) {
			return evidence.Log(ctx, kube, r.ref.Namespace, c, previous, 20)
		},
	})
	return err
}

// oldGone waits until no old pod is left, unless it is not to.
func (r *rollout) oldGone(ctx context.Context, rep *pipeline.Reporter) error {
	if r.noSettle {
		rep.Notef("--no-settle: old pods end by themselves; that they are gone was not verified")
		return nil
	}
	kube, err := r.conn.Kube()
	if err != nil {
		return err
	}
	_, err = watch.OldGone(ctx, kube, watch.Options{Applied: r.target, Timeout: r.timeout, Reporter: rep})
	if f := warning(err); f != nil {
		rep.Finding(f) // slow is not failed
		return nil
	}
	r.settled = err == nil
	return err
}

func (r *rollout) probe(ctx context.Context, rep *pipeline.Reporter) error {
	img, err := r.img.Get(ctx)
	if err != nil {
		return err
	}
	r.answers, err = probe.Run(ctx, r.conn, probe.Options{
		Namespace: r.ref.Namespace, Pods: r.watched.NewPods(), Container: r.worker.Deploy.Container,
		Digests: img.digests(), Port: r.probePort, Path: r.probePath, Expect: r.probeExpect, Reporter: rep,
	})
	return err
}
