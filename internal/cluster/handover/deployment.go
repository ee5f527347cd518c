package handover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/watch"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
)

// Overlay holds the Deployment in the same apply that sets its new template, and pauses it
// until Hold has pinned the Services.
func Overlay(origin Origin, services []string) *apply.Overlay {
	return &apply.Overlay{
		Fields: []string{".spec.minReadySeconds", ".spec.progressDeadlineSeconds", ".spec.strategy", ".spec.paused"},
		Set: func(live, config *unstructured.Unstructured, owned func(string) bool) error {
			var d appsv1.Deployment
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(live.Object, &d); err != nil {
				return fmt.Errorf("cannot read deployment/%s: %w", live.GetName(), err)
			}
			// What is already held stays held on behalf of its original values.
			if held, err := MarkOf(&d); err != nil || held != nil {
				if err == nil {
					held.Images = imagesOf(config)
					err = held.put(config)
				}
				return err
			}
			m := Mark{Origin: origin, Services: services, Before: fieldsOf(&d), Images: imagesOf(config),
				Paused: !d.Spec.Paused} // what somebody else has paused is theirs to resume
			var err error
			if m.OwnersBefore, err = ownersOf(d.ManagedFields, deploymentPaths, everybody); err != nil {
				return err
			}
			if m.After, m.OwnersAfter, err = settled(config, &d, owned); err != nil {
				return err
			}
			return m.put(config)
		},
	}
}

// Operations returns the patch operations that hold the Deployment in the same patch
// that replaces its template, for apply.Template. On release the fields get their
// present values back.
func Operations(origin Origin, services []string, d *appsv1.Deployment, images map[string]string) ([]apply.Operation, string, error) {
	owners, err := ownersOf(d.ManagedFields, deploymentPaths, everybody)
	if err != nil {
		return nil, "", err
	}
	m := Mark{Origin: origin, Services: services, Images: images,
		Before: fieldsOf(d), After: fieldsOf(d), OwnersBefore: owners, OwnersAfter: owners}
	text, err := encode(m)
	return heldFields().operations(true, true, true), text, err
}

// operations returns the patch operations that set the fields.
func (f Fields) operations(ready, deadline, strategy bool) []apply.Operation {
	var all []apply.Operation
	if ready {
		all = append(all, apply.Operation{Op: "add", Path: "/spec/minReadySeconds", Value: f.MinReadySeconds})
	}
	if deadline {
		all = append(all, apply.Operation{Op: "add", Path: "/spec/progressDeadlineSeconds", Value: f.ProgressDeadlineSeconds})
	}
	if strategy {
		all = append(all, apply.Operation{Op: "add", Path: "/spec/strategy", Value: f.Strategy})
	}
	return all
}

// put adds the hold to a configuration.
func (m Mark) put(config *unstructured.Unstructured) error {
	text, err := encode(m)
	if err != nil {
		return err
	}
	annotations := config.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[Annotation] = text
	config.SetAnnotations(annotations)
	data, err := json.Marshal(heldFields())
	if err != nil {
		return err
	}
	var held map[string]any
	if err := json.Unmarshal(data, &held); err != nil {
		return err
	}
	spec, _, err := unstructured.NestedMap(config.Object, "spec")
	if err != nil {
		return err
	}
	if spec == nil {
		spec = map[string]any{}
	}
	maps.Copy(spec, held)
	if m.Paused {
		spec["paused"] = true
	}
	return unstructured.SetNestedMap(config.Object, spec, "spec")
}

// imagesOf returns a configuration's images by container.
func imagesOf(config *unstructured.Unstructured) map[string]string {
	all := map[string]string{}
	for _, list := range []string{"initContainers", "containers"} {
		containers, _, err := unstructured.NestedSlice(config.Object, "spec", "template", "spec", list)
		if err != nil {
			continue // the API server will refuse it
		}
		for _, one := range containers {
			c, _ := one.(map[string]any)
			name, _ := c["name"].(string)
			if image, ok := c["image"].(string); ok {
				all[name] = image
			}
		}
	}
	return all
}

// Ready waits until every new pod is Ready, and pauses the Deployment as soon as all of
// them have been created: see freeze. If that fails, the error contains the causes from
// package verdict. If somebody else changes what is held, the error is ErrForeign.
func (r *Run) Ready(ctx context.Context, o watch.Options) (watch.Result, error) {
	o.Policy.Held, o.View = true, Thawed
	var paused error
	seen := o.Seen
	o.Seen = func(now watch.Result) {
		if seen != nil {
			seen(now)
		}
		paused = r.pauseCreated(ctx, now.Snapshot)
	}
	o.Check = func(w *workload.Workload) error {
		if !Held(w.Deployment) {
			return r.foreign(r.Ref.String(), "it is no longer held back", writers(w.Deployment.ManagedFields))
		}
		return nil
	}
	result, err := watch.Rollout(ctx, r.kube, o)
	if err == nil && !errors.Is(paused, ErrForeign) { // Check and Switch report what others have changed
		err = paused
	}
	return result, err
}

// ReleaseDeployment sets the Deployment's fields to the values that they should have
// with the new version, upon which the controller terminates the old pods. A field that
// no longer has the value of a hold was changed by somebody else and stays. It returns
// nil if the Deployment is not held.
func (r *Run) ReleaseDeployment(ctx context.Context) (*workload.Workload, error) {
	released, owners, err := r.releaseDeployment(ctx)
	if released == nil || err != nil {
		return nil, err
	}
	return released, r.own(ctx, owners)
}

// releaseDeployment is ReleaseDeployment without giving back the ownership of the
// fields. It returns who should own them.
func (r *Run) releaseDeployment(ctx context.Context) (*workload.Workload, []Owner, error) {
	var try cluster.Attempts
	for {
		s, err := r.Read(ctx)
		if err != nil || s.Mark == nil {
			return nil, nil, err
		}
		d, mark := s.Deployment, s.Mark
		ready, deadline, strategy := fieldsOf(d).held()
		patch := []apply.Operation{{Op: "test", Path: "/metadata/uid", Value: d.UID}}
		text, marked := d.Annotations[Annotation]
		if marked {
			patch = append(patch, apply.Operation{Op: "test", Path: markPath, Value: text})
		}
		for _, op := range fieldsOf(d).operations(ready, deadline, strategy) {
			op.Op = "test"
			patch = append(patch, op)
		}
		patch = append(patch, mark.After.operations(ready, deadline, strategy)...)
		patch = append(patch, mark.resume(d.Spec.Paused)...)
		if marked {
			patch = append(patch, apply.Operation{Op: "remove", Path: markPath})
		}
		after, err := r.patchDeployment(ctx, patch)
		if stale(err) && try.More(ctx) {
			continue
		}
		if err != nil {
			return nil, nil, r.explain("release "+r.Ref.String(), err)
		}
		r.Reporter.Notef("%s is released: minReadySeconds, progressDeadlineSeconds and strategy are restored", r.Ref)
		return &workload.Workload{Deployment: after}, mark.OwnersAfter, nil
	}
}

// own makes owners the owners of the Deployment's held fields again.
func (r *Run) own(ctx context.Context, owners []Owner) error {
	return cluster.Explain("give back the ownership of "+r.Ref.String(),
		giveBackOwnership(ctx, r.dynamic.Resource(r.Ref.Resource()).Namespace(r.Ref.Namespace), r.Ref.Name, deploymentPaths, owners))
}

// Release ends a hand-over with the version that the Deployment has now. It releases
// everything in the order in which two versions never serve at the same time. Set
// servicesFirst if the Deployment is about to terminate the version that the Services
// point to.
func (r *Run) Release(ctx context.Context, servicesFirst bool, o watch.Options) error {
	if servicesFirst {
		if err := r.ReleaseServices(ctx); err != nil {
			return err
		}
		_, err := r.ReleaseDeployment(ctx)
		return err
	}
	released, owners, err := r.releaseDeployment(ctx)
	if err != nil {
		return err
	}
	var owned error
	var owning sync.WaitGroup
	if released != nil { // ownership matters to nobody before the end, so nothing waits for it
		owning.Go(func() { owned = r.own(context.WithoutCancel(ctx), owners) })
	}
	if released == nil { // an earlier run has already released it
		s, err := r.Read(ctx)
		if err != nil {
			return err
		}
		if Decide(s).Stage == Released {
			released = &workload.Workload{Deployment: s.Deployment}
		}
	}
	if released != nil {
		// Whatever happens to its pods or to this run, the Deployment is no longer held, so
		// the Services must not stay pinned to one of its versions.
		err = r.oldEnding(ctx, released, o)
	}
	err = errors.Join(err, r.releaseEnded(ctx, released, o))
	owning.Wait()
	return errors.Join(err, owned)
}

// errEnding ends a wait: every old pod is terminating.
var errEnding = errors.New("every old pod is terminating")

// oldEnding waits until every pod of another version than w's is terminating, and the
// cluster's controllers know that. The Deployment's status shows it much later than its
// ReplicaSets and pods do, so it does not wait for the rollout to complete.
func (r *Run) oldEnding(ctx context.Context, w *workload.Workload, o watch.Options) error {
	waiting, over := context.WithCancelCause(ctx)
	defer over(nil)
	o.Applied, o.Policy.Settle = w, -1 // nothing has to be proven here
	seen := o.Seen
	o.Seen = func(now watch.Result) {
		if seen != nil {
			seen(now)
		}
		if allEnding(w, now.Snapshot) {
			over(errEnding)
		}
	}
	_, err := watch.Rollout(waiting, r.kube, o)
	if err != nil && ctx.Err() == nil && errors.Is(context.Cause(waiting), errEnding) {
		return nil
	}
	return err
}

// allEnding reports whether the ReplicaSets of other versions than w's are scaled to 0, all
// of their pods are terminating, and the ReplicaSets count none of them any more. It is false
// as long as that is not known.
//
// The count is what makes it safe to restore a Service's selector. The controller that writes
// the Service's endpoints may learn of the selector before it learns that the pods are
// terminating. It would publish them as ready, and kube-proxy would send requests to them
// for a second. It shares its view of the pods with the ReplicaSets' controller (one informer
// of kube-controller-manager), so once they are not counted there, neither publishes them.
func allEnding(w *workload.Workload, s verdict.Snapshot) bool {
	fresh := verdict.NewReplicaSet(w.Deployment, slices.Clone(s.ReplicaSets))
	if fresh == nil || s.PodsUnknown {
		return false
	}
	for _, rs := range s.ReplicaSets {
		if metav1.IsControlledBy(rs, w.Deployment) && rs.UID != fresh.UID && !scaledToZero(rs) {
			return false
		}
	}
	for _, pod := range s.Pods {
		owner := metav1.GetControllerOf(pod)
		for _, rs := range s.ReplicaSets {
			if owner != nil && owner.UID == rs.UID && rs.UID != fresh.UID && pod.DeletionTimestamp == nil {
				return false
			}
		}
	}
	return true
}

// scaledToZero reports whether a ReplicaSet should have no pods, and its controller has seen
// that every pod which it had is terminating.
func scaledToZero(rs *appsv1.ReplicaSet) bool {
	return rs.Spec.Replicas != nil && *rs.Spec.Replicas == 0 && rs.Status.ObservedGeneration >= rs.Generation && rs.Status.Replicas == 0
}

// releaseEnded releases the Services when the old pods are terminating. A Service that also
// publishes pods which are not Ready would send requests to them until they are gone.
func (r *Run) releaseEnded(ctx context.Context, w *workload.Workload, o watch.Options) error {
	always := context.WithoutCancel(ctx)
	held, err := heldServices(always, r.kube, r.Ref)
	if err != nil {
		return err
	}
	publishes := func(h HeldService) bool { return h.Spec.PublishNotReadyAddresses }
	if w == nil || !slices.ContainsFunc(held, publishes) {
		return r.release(always, held)
	}
	err = r.release(always, slices.DeleteFunc(slices.Clone(held), publishes))
	o.Applied, o.Policy.Settle = w, -1
	_, gone := watch.OldGone(ctx, r.kube, o)
	return errors.Join(err, gone, r.release(always, slices.DeleteFunc(held, func(h HeldService) bool { return !publishes(h) })))
}

// GoBack makes the old version the Deployment's version again, whatever stage the
// hand-over has reached: the Services point to it, the new pods are terminated, and
// everything is restored.
func (r *Run) GoBack(ctx context.Context, o watch.Options) error {
	away, err := r.switchBack(ctx)
	if err != nil {
		return err
	}
	if away {
		if err := Settle(ctx, time.Now()); err != nil {
			return err
		}
	}
	restored, err := r.restoreTemplate(ctx)
	if err != nil {
		return err
	}
	if restored != nil {
		if err := r.oldEnding(ctx, restored, o); err != nil {
			return err
		}
	}
	return r.releaseEnded(ctx, restored, o)
}

// restoreTemplate sets the old version's template and the original values of the held
// fields in one patch. It returns nil if the Deployment is not held.
func (r *Run) restoreTemplate(ctx context.Context) (*workload.Workload, error) {
	var try cluster.Attempts
	for {
		s, err := r.Read(ctx)
		if err != nil || s.Mark == nil {
			return nil, err
		}
		if theirs := s.theirs(); theirs != "" && s.current() != s.Mark.Old {
			return nil, r.foreign(r.Ref.String(), theirs, writers(s.Deployment.ManagedFields))
		}
		old := s.version(s.Mark.Old)
		if old == nil {
			return nil, r.foreign(r.Ref.String(), "the ReplicaSet of the old version, pod-template-hash "+s.Mark.Old+", is gone", "")
		}
		template := old.Spec.Template.DeepCopy()
		delete(template.Labels, hashLabel)
		annotations := map[string]string{}
		for k, v := range old.Annotations {
			if k == apply.ChangeCause || strings.HasPrefix(k, apply.OwnPrefix) && k != Annotation {
				annotations[k] = v
			}
		}
		if err := r.writing(ctx); err != nil {
			return nil, err
		}
		ready, deadline, strategy := fieldsOf(s.Deployment).held()
		live := &workload.Workload{Deployment: s.Deployment}
		restored, err := apply.Template(
			ctx,
			r.conn,
			live,
			template,
			annotations,
			r.Reporter,
			append(s.Mark.Before.operations(ready, deadline, strategy), s.Mark.resume(s.Deployment.Spec.Paused)...)...)
		if apierrors.IsConflict(err) && try.More(ctx) {
			continue
		}
		if err != nil {
			return nil, err
		}
		r.Reporter.Notef("%s has the pod template of pod-template-hash %s again", r.Ref, s.Mark.Old)
		return restored, r.own(ctx, s.Mark.OwnersBefore)
	}
}

// GiveBackOwnership makes the managers that owned the Deployment's held fields before
// mark's hold their owners again. It is for a caller that has restored the Deployment
// itself.
func (r *Run) GiveBackOwnership(ctx context.Context, mark *Mark) error {
	return r.own(ctx, mark.OwnersBefore)
}

// NewVersion returns the pod-template-hash of the version that w introduces; empty
// until its ReplicaSet exists.
func NewVersion(w *workload.Workload, sets []*appsv1.ReplicaSet) string {
	rs := verdict.NewReplicaSet(w.Deployment, slices.Clone(sets))
	if rs == nil {
		return ""
	}
	return rs.Labels[hashLabel]
}
