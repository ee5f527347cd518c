package kubecmd

import (
	"bytes"
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/evidence"
	"github.com/joelhooks/gh-sbw/internal/cluster/lock"
	"github.com/joelhooks/gh-sbw/internal/cluster/preflight"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// checkCluster: the workload can be rolled out, there is room for its pods, and
// what they cannot start without is there.
func (r *rollout) checkCluster(ctx context.Context, _ *pipeline.Reporter) ([]*pipeline.Finding, error) {
	next, err := r.next.Get(ctx)
	if err != nil {
		return nil, err
	}
	kube, err := r.conn.Kube()
	if err != nil {
		return nil, err
	}
	var found []*pipeline.Finding
	live, err := r.live.Get(ctx)
	if err == nil {
		more, err := r.checkState(ctx, kube, live)
		r.goOn(ctx, live, more)
		found = append(found, more...)
		if err != nil {
			return found, err
		}
	} else if !isCode(err, "workload-unknown") {
		return nil, err
	}
	more, err := preflight.Quota(ctx, kube, next, live)
	found = append(found, more...)
	if err != nil {
		return found, err
	}
	brought, err := r.brought(ctx)
	if err != nil {
		return found, err
	}
	more, err = preflight.References(ctx, kube, next, brought)
	return append(found, more...), err
}

// checkState: nobody else is at work on the workload. --force goes on where
// somebody is, and --lock-wait waits for whoever has the lock.
func (r *rollout) checkState(ctx context.Context, kube kubernetes.Interface, live *workload.Workload) ([]*pipeline.Finding, error) {
	live, err := r.caughtUp(ctx, live)
	if err != nil {
		return nil, err
	}
	found, err := preflight.State(ctx, kube, live)
	for _, f := range found {
		switch {
		case f.Code != "mid-rollout":
		case r.force:
			f.Severity, f.Fix = pipeline.Warning, "--force goes on"
		case r.lockWait > 0 && r.held == nil:
			// It is that of the lock's holder, who is waited for.
			if who, _, err := lock.Holder(ctx, kube, r.ref); err == nil && who != "" {
				f.Severity, f.Fix = pipeline.Note, "nothing: --lock-wait waits for "+who+", and looks again"
				r.asked.doubted = true
			}
		}
	}
	return found, err
}

// brought tells which objects the manifest itself makes.
func (r *rollout) brought(ctx context.Context) (func(kind, name string) bool, error) {
	if r.imageOnly {
		return nil, nil
	}
	all, err := r.loaded.Get(ctx)
	if err != nil {
		return nil, err
	}
	return func(kind, name string) bool {
		for _, o := range all {
			if o.GetKind() == kind && o.GetName() == name && o.GetNamespace() == r.ref.Namespace {
				return true
			}
		}
		return false
	}, nil
}

// checkRights asks for every right that a later stage needs.
func (r *rollout) checkRights(ctx context.Context, _ *pipeline.Reporter) ([]*pipeline.Finding, error) {
	kube, err := r.conn.Kube()
	if err != nil {
		return nil, err
	}
	needs := preflight.Needs{Workload: r.ref, Rollback: !r.noRollback, Probe: true, Lock: true, ReadSecrets: true}
	// With --inngest-via=auto the check of Inngest itself finds another way, or says why not.
	if !r.noInngest && r.inngest.url == "" && r.inngest.via == viaForward {
		t := r.serverTarget()
		needs.Service, needs.ServiceNamespace = t.Service, t.Namespace
	}
	if !r.imageOnly {
		all, err := r.loaded.Get(ctx)
		if err != nil {
			return nil, err
		}
		if needs.Objects, err = r.objectRights(all); err != nil {
			return nil, err
		}
	}
	return preflight.Access(ctx, kube, preflight.Rights(needs))
}

// objectRights are the rights to apply what the manifest has besides the
// workload.
func (r *rollout) objectRights(all []apply.Object) ([]preflight.Right, error) {
	mapper, err := r.conn.Mapper()
	if err != nil {
		return nil, err
	}
	var rights []preflight.Right
	for _, o := range all {
		if o.GetKind() == r.ref.Kind && o.GetName() == r.ref.Name && o.GetNamespace() == r.ref.Namespace {
			continue
		}
		gvk := o.GroupVersionKind()
		m, err := mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
		if meta.IsNoMatchError(err) {
			continue // the apply's own check says that the cluster does not know the kind
		}
		if err != nil {
			return nil, err
		}
		rights = append(rights, preflight.ObjectRights(m.Resource.Group, m.Resource.Resource, o.GetNamespace(), o.GetName())...)
	}
	return rights, nil
}

// lock keeps every other rollout of this workload away until the end. When it
// is lost on the way, the run ends as a failed one.
func (r *rollout) lock(ctx context.Context, rep *pipeline.Reporter) error {
	kube, err := r.conn.Kube()
	if err != nil {
		return err
	}
	r.held, err = lock.Acquire(ctx, kube, lock.Options{
		Workload: r.ref, Tag: r.tag, Wait: r.lockWait, Lost: r.lose, Reporter: rep,
		Run: r.journal.ID(), Ended: r.ended(),
	})
	if isCode(err, "lock-forbidden") {
		f, _ := errors.AsType[*pipeline.Finding](err)
		f.Severity = pipeline.Warning
		rep.Finding(f) // said by the preflight, too: one may go on without
		err = nil
	}
	if err != nil {
		return err
	}
	return r.checkAgain(ctx, rep)
}

// keepEvidence reads what undoing will destroy.
func (r *rollout) keepEvidence(ctx context.Context, rep *pipeline.Reporter, _ error) {
	if r.watched.Snapshot.Workload == nil {
		return // nothing was followed yet
	}
	kube, err := r.conn.Kube()
	if err != nil {
		return // there is no cluster to read from, which is the failure itself
	}
	r.evidence = evidence.Collect(ctx, kube, r.watched)
	for _, line := range r.evidence.Brief(10) {
		rep.Notef("%s", line)
	}
}

func isCode(err error, code string) bool {
	f, ok := errors.AsType[*pipeline.Finding](err)
	return ok && string(f.Code) == code
}

// source loads the manifest's objects, with override in place of a file's text.
func (r *rollout) source(ctx context.Context, override map[string][]byte) ([]apply.Object, error) {
	return apply.Load(ctx, r.conn, apply.Source{
		Filenames: r.filenames, Kustomize: r.kustomize, Recursive: r.recursive, Stdin: bytes.NewReader(r.stdinText),
		RequireNamespace: r.namespaceGiven, Override: override,
	})
}
