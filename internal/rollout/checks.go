package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
	"github.com/joelhooks/gh-sbw/internal/cluster/lock"
	"github.com/joelhooks/gh-sbw/internal/cluster/preflight"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/inngest/conn"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// checkWorkload checks that the workload exists. On a first rollout it does not,
// which is fine as long as the manifest creates it.
func (f *facts) checkWorkload(ctx context.Context, rep *pipeline.Reporter) ([]*pipeline.Finding, error) {
	w, err := f.live.Get(ctx)
	if f.lacksNamespace(ctx) {
		return nil, err
	}
	if isMissing(err) && !f.manifest.ImageOnly {
		rep.Notef("%s does not exist yet: this rollout creates it", f.where())
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	_, err = w.Container(f.container())
	return nil, err
}

// lacksNamespace reports whether the namespace neither exists nor is created by the
// manifest. The check of the workload reports that, and whatever else is missing as
// a consequence is not worth reporting.
func (f *facts) lacksNamespace(ctx context.Context) bool {
	_, err := f.live.Get(ctx)
	return errors.Is(err, workload.ErrNoNamespace) && !f.makesNamespace(ctx)
}

// makesNamespace reports whether the manifest creates the namespace.
func (f *facts) makesNamespace(ctx context.Context) bool {
	if f.manifest.ImageOnly {
		return false
	}
	all, err := f.loaded.Get(ctx)
	return err == nil && slices.ContainsFunc(all, func(o apply.Object) bool {
		return o.GetKind() == "Namespace" && o.GetAPIVersion() == "v1" && o.GetName() == f.Ref.Namespace
	})
}

// underway is what a check has to know about concurrent rollouts.
type underway struct {
	// force continues although another rollout is in progress.
	force bool
	// waits means that this run waits for the lock's holder, so the holder's
	// rollout does not stop it. doubt is then called.
	waits bool
	doubt func()
	// ours reports whether this run continues the rollout that is in progress.
	ours func(ctx context.Context, live *workload.Workload) bool
}

// checkCluster checks that the workload can be rolled out, that there is room for its
// pods, and that everything they need in order to start exists.
func (f *facts) checkCluster(ctx context.Context, u underway) ([]*pipeline.Finding, error) {
	next, err := f.next.Get(ctx)
	if err != nil {
		return nil, err
	}
	if f.lacksNamespace(ctx) {
		return nil, nil
	}
	kube, err := f.Conn.Kube()
	if err != nil {
		return nil, err
	}
	var found []*pipeline.Finding
	live, err := f.live.Get(ctx)
	if err == nil {
		more, err := f.checkState(ctx, kube, live, u)
		found = append(found, more...)
		if err != nil {
			return found, err
		}
	} else if !isMissing(err) {
		return nil, err
	}
	more, err := f.checkAround(ctx, kube, next, live)
	found = append(found, more...)
	if err != nil {
		return found, err
	}
	declared, err := f.declaredInManifest(ctx)
	if err != nil {
		return found, err
	}
	more, err = preflight.References(ctx, kube, next, declared)
	return append(found, more...), err
}

// checkAround checks that the namespace is not being deleted, that the API server
// accepts the pods and the quotas have room for them, that the update cannot block itself, and that the manifest's
// Services select something.
func (f *facts) checkAround(ctx context.Context, kube kubernetes.Interface, next, live *workload.Workload) ([]*pipeline.Finding, error) {
	found, err := preflight.Namespace(ctx, kube, f.Ref.Namespace)
	if err != nil {
		return found, err
	}
	more, err := preflight.Pods(ctx, kube, next, live)
	found = append(found, more...)
	if err != nil {
		return found, err
	}
	// The check of the image reports missing permissions to read the nodes.
	nodes, _, err := preflight.Nodes(ctx, kube, next)
	if err != nil {
		return found, err
	}
	more, err = preflight.Surge(ctx, kube, next, live, nodes)
	found = append(found, more...)
	if err != nil || f.manifest.ImageOnly {
		return found, err
	}
	objects, err := f.loaded.Get(ctx)
	if err != nil {
		return found, nil // the check of the manifest reports it
	}
	more, err = preflight.Services(ctx, kube, objects)
	return append(found, f.shorten(more)...), err
}

// checkDryRun lets the API server validate exactly what will be applied.
func (f *facts) checkDryRun(ctx context.Context, o apply.Options) ([]*pipeline.Finding, error) {
	if f.manifest.ImageOnly {
		return nil, nil // the image of a live object can always be set
	}
	if f.lacksNamespace(ctx) {
		return nil, nil
	}
	objects, err := f.objects.Get(ctx)
	if err != nil {
		return nil, nil // the check of the manifest reports it
	}
	results, err := apply.Judge(ctx, f.Conn, objects, o)
	found := f.others(results)
	for _, one := range pipeline.AsFindings("dry run", err) {
		if !apierrors.IsForbidden(one) || !one.Is(cluster.CodeForbidden) {
			found = append(found, one) // the check of the permissions reports missing ones
		}
	}
	return f.shorten(found), nil
}

// checkState checks that nobody else is changing the workload. --force continues
// regardless, and --lock-wait waits for the holder of the lock.
func (f *facts) checkState(
	ctx context.Context,
	kube kubernetes.Interface,
	live *workload.Workload,
	u underway,
) ([]*pipeline.Finding, error) {
	live, err := f.caughtUp(ctx, live)
	if err != nil {
		return nil, err
	}
	found, err := preflight.State(ctx, kube, handover.Thawed(live))
	for i, one := range found {
		if !errors.Is(one, preflight.ErrMidRollout) {
			continue
		}
		severity, fix := one.Severity, one.Fix
		switch {
		case u.force:
			severity, fix = pipeline.Warning, "--force rolls out anyway"
		case u.waits:
			// The rollout in progress belongs to the lock's holder, and this run waits for it.
			if who, _, err := lock.Holder(ctx, kube, f.Ref); err == nil && who != "" {
				severity, fix = pipeline.Note, "--lock-wait waits for "+who+", and then the preflight runs again"
				u.doubt()
			}
		}
		if severity == pipeline.Error && u.ours(ctx, live) {
			severity, fix = pipeline.Note, ""
		}
		found[i] = one.With(func(f *pipeline.Finding) { f.Severity, f.Fix = severity, fix })
	}
	return found, err
}

// declaredInManifest returns a function that reports whether the manifest creates an object.
func (f *facts) declaredInManifest(ctx context.Context) (func(kind, name string) bool, error) {
	if f.manifest.ImageOnly {
		return nil, nil
	}
	all, err := f.loaded.Get(ctx)
	if err != nil {
		return nil, err
	}
	made := f.makesNamespace(ctx)
	return func(kind, name string) bool {
		if made && kind == "ServiceAccount" && name == "default" {
			return true // every new namespace gets one
		}
		return slices.ContainsFunc(all, func(o apply.Object) bool {
			return o.GetKind() == kind && o.GetName() == name && o.GetNamespace() == f.Ref.Namespace
		})
	}, nil
}

// checkRights checks every permission that a later stage needs.
func (f *facts) checkRights(ctx context.Context, rollback, prepull bool) ([]*pipeline.Finding, error) {
	kube, err := f.Conn.Kube()
	if err != nil {
		return nil, err
	}
	needs := preflight.Needs{Workload: f.Ref, Rollback: rollback, Probe: true, Lock: true, ReadSecrets: true}
	// If the route is chosen automatically, the check of Inngest finds another one or reports why there is none.
	if !f.inngest.Off && f.inngest.URL == "" && f.inngest.Via != conn.ViaDirect {
		t := conn.ServerTarget(f.Ref.Namespace, f.Worker.Inngest)
		needs.Service, needs.ServiceNamespace, needs.OtherRoute = t.Service, t.Namespace, f.inngest.Via != conn.ViaForward
	}
	if !f.manifest.ImageOnly {
		all, err := f.loaded.Get(ctx)
		if err != nil {
			return nil, err
		}
		if needs.Objects, err = f.objectRights(all); err != nil {
			return nil, err
		}
	}
	rights := preflight.Rights(needs)
	if prepull {
		rights = append(rights, f.prepullRights()...)
	}
	return preflight.Access(ctx, kube, rights)
}

// objectRights returns the permissions that are needed to apply the manifest's
// objects other than the workload.
func (t *Target) objectRights(all []apply.Object) ([]preflight.Right, error) {
	mapper, err := t.Conn.Mapper()
	if err != nil {
		return nil, err
	}
	var rights []preflight.Right
	for _, o := range all {
		if t.isTarget(o) {
			continue
		}
		gvk := o.GroupVersionKind()
		m, err := mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
		if meta.IsNoMatchError(err) {
			continue // the dry run reports kinds that the cluster does not know
		}
		if err != nil {
			return nil, err
		}
		rights = append(rights, preflight.ObjectRights(m.Resource.Group, m.Resource.Resource, o.GetNamespace(), o.GetName())...)
	}
	return rights, nil
}

// others warns about other workloads whose pods the manifest would replace as well.
// Several workers may share a manifest, and the file may be older than what somebody
// else has rolled out.
func (f *facts) others(results []apply.Result) (found []*pipeline.Finding) {
	for _, r := range results {
		if r.Before == nil || r.Action == apply.Unchanged || !slices.Contains(workload.Kinds, r.After.GetKind()) {
			continue
		}
		ref := workload.Ref{Kind: r.After.GetKind(), Namespace: r.Namespace, Name: r.Name}
		if ref == f.Ref {
			continue
		}
		was, err1 := apply.Typed(r.Before)
		is, err2 := apply.Typed(r.After)
		if err1 != nil || err2 != nil || verdict.SameTemplate(was.Template(), is.Template()) {
			continue // an object that is not a workload of the apps group has no pods of its own
		}
		one := &pipeline.Finding{Code: CodeManifestOthers, Severity: pipeline.Warning, Where: ref.Namespace + "/" + ref.String(),
			What: fmt.Sprintf("the manifest also replaces the pods of %s, which nobody watches or proves", ref),
			Fix:  "name a manifest that contains only the worker, or make the file equal to what runs there"}
		for _, c := range was.Template().Spec.Containers {
			if next := imageIn(is.Template(), c.Name); next != c.Image {
				one.Evidence = append(one.Evidence, fmt.Sprintf("container %s: %s → %s", c.Name, c.Image, next))
			}
		}
		found = append(found, one)
	}
	return found
}
