package handover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/watch"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
)

// Overlay holds the Deployment in the same apply that sets its new template.
func Overlay(origin Origin, services []string) *apply.Overlay {
	return &apply.Overlay{
		Fields: []string{".spec.minReadySeconds", ".spec.progressDeadlineSeconds", ".spec.strategy"},
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
			m := Mark{Origin: origin, Services: services, Before: fieldsOf(&d), Images: imagesOf(config)}
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

// Ready waits until every new pod is Ready. If that fails, the error contains the causes
// from package verdict. If somebody else changes what is held, the error is ErrForeign.
func (r *Run) Ready(ctx context.Context, o watch.Options) (watch.Result, error) {
	o.Policy.Held = true
	o.Check = func(w *workload.Workload) error {
		if !Held(w.Deployment) {
			return r.foreign(r.Ref.String(), "it is no longer held back", writers(w.Deployment.ManagedFields))
		}
		return nil
	}
	return watch.Rollout(ctx, r.kube, o)
}

// ReleaseDeployment sets the Deployment's fields to the values that they should have
// with the new version, upon which the controller terminates the old pods. A field that
// no longer has the value of a hold was changed by somebody else and stays. It returns
// nil if the Deployment is not held.
func (r *Run) ReleaseDeployment(ctx context.Context) (*workload.Workload, error) {
	deployments := r.kube.AppsV1().Deployments(r.Ref.Namespace)
	for try := 1; ; try++ {
		d, err := deployments.Get(ctx, r.Ref.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, cluster.Explain("read "+r.Ref.String(), err)
		}
		mark, err := MarkOf(d)
		if mark == nil || err != nil {
			return nil, err
		}
		ready, deadline, strategy := fieldsOf(d).held()
		patch := []apply.Operation{{Op: "test", Path: markPath, Value: d.Annotations[Annotation]}}
		for _, op := range fieldsOf(d).operations(ready, deadline, strategy) {
			op.Op = "test"
			patch = append(patch, op)
		}
		patch = append(patch, mark.After.operations(ready, deadline, strategy)...)
		patch = append(patch, apply.Operation{Op: "remove", Path: markPath})
		data, err := json.Marshal(patch)
		if err != nil {
			return nil, err
		}
		if err := r.writing(ctx); err != nil {
			return nil, err
		}
		after, err := deployments.Patch(ctx, r.Ref.Name, types.JSONPatchType, data, metav1.PatchOptions{FieldManager: cluster.FieldManager})
		if stale(err) && try < tries {
			continue
		}
		if err != nil {
			return nil, r.explain("release "+r.Ref.String(), err)
		}
		r.Reporter.Notef("%s is released: minReadySeconds, progressDeadlineSeconds and strategy are restored", r.Ref)
		return &workload.Workload{Deployment: after}, r.own(ctx, mark.OwnersAfter)
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
	released, err := r.ReleaseDeployment(ctx)
	if err != nil {
		return err
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
	return errors.Join(err, r.ReleaseServices(context.WithoutCancel(ctx)))
}

// oldEnding waits until every pod of another version than w's is terminating and is
// therefore no longer an endpoint of any Service.
func (r *Run) oldEnding(ctx context.Context, w *workload.Workload, o watch.Options) error {
	o.Applied, o.Policy.Settle = w, -1 // nothing has to be proven here
	_, err := watch.Rollout(ctx, r.kube, o)
	return err
}

// GoBack makes the old version the Deployment's version again, whatever stage the
// hand-over has reached: the Services point to it, the new pods are terminated, and
// everything is restored.
func (r *Run) GoBack(ctx context.Context, o watch.Options) error {
	if err := r.SwitchBack(ctx); err != nil {
		return err
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
	return r.ReleaseServices(ctx)
}

// restoreTemplate sets the old version's template and the original values of the held
// fields in one patch. It returns nil if the Deployment is not held.
func (r *Run) restoreTemplate(ctx context.Context) (*workload.Workload, error) {
	for try := 1; ; try++ {
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
			s.Mark.Before.operations(ready, deadline, strategy)...)
		if apierrors.IsConflict(err) && try < tries {
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
