package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Restore puts back what Apply or Image did, the last object first: what was
// created is deleted, what was configured gets the values back that it had
// before, and only those: whatever another has set meanwhile (an autoscaler's
// replicas) stays. The field manager keeps what it owns. The results tell of
// the objects after it; the workload's is what is then watched.
//
// Every object is tried; the errors are joined.
func Restore(ctx context.Context, conn *cluster.Conn, results []Result, o Options) ([]Result, error) {
	a, err := newApplier(conn, o)
	if err != nil {
		return nil, err
	}
	var restored []Result
	var errs []error
	for i := len(results) - 1; i >= 0; i-- {
		r, err := a.restore(ctx, results[i])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if r != nil {
			restored = append(restored, *r)
			o.Reporter.Notef("%s restored", r)
		}
	}
	return restored, errors.Join(errs...)
}

func (a *applier) restore(ctx context.Context, r Result) (*Result, error) {
	client, _, err := a.resource(r.After)
	if err != nil {
		return nil, err
	}
	name := r.String()
	if r.Before == nil {
		uid := r.After.GetUID()
		err := client.Delete(ctx, r.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return nil, cluster.Explain("delete "+name+", which this run created", err)
		}
		a.Reporter.Notef("%s deleted again", name)
		return nil, nil
	}
	patch, err := back(r.Before, r.After)
	if err != nil {
		return nil, fmt.Errorf("restore %s: %w", name, err)
	}
	live := r.After
	if patch != nil {
		a.Reporter.Changed()
		live, err = client.Patch(ctx, r.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: cluster.FieldManager})
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return nil, &pipeline.Finding{Code: "workload-replaced", Severity: pipeline.Error, Where: r.Namespace,
				What: name + " is not the object any more that was changed", Fix: "look at it: another has deleted it or made it anew"}
		}
		if err != nil {
			return nil, cluster.Explain("restore "+name, err)
		}
		if live, err = a.takeOver(ctx, client, live, clientSideManagers(live)); err != nil {
			return nil, cluster.Explain("keep the ownership of "+name, err)
		}
	}
	return &Result{GVK: r.GVK, Namespace: r.Namespace, Name: r.Name, Action: Configured, Before: r.After, After: live, mapping: r.mapping}, nil
}

// back is the merge patch from after to before, without what is the server's.
// A merge patch replaces lists as a whole, so a pod template comes back exactly.
func back(before, after *unstructured.Unstructured) ([]byte, error) {
	from, err := json.Marshal(restorable(after))
	if err != nil {
		return nil, err
	}
	to, err := json.Marshal(restorable(before))
	if err != nil {
		return nil, err
	}
	patch, err := jsonmergepatch.CreateThreeWayJSONMergePatch(from, to, from)
	if err != nil || string(patch) == "{}" {
		return nil, err
	}
	// The UID makes the API server answer 409 when the name is another's now.
	var object map[string]any
	if err := json.Unmarshal(patch, &object); err != nil {
		return nil, err
	}
	if err := unstructured.SetNestedField(object, string(before.GetUID()), "metadata", "uid"); err != nil {
		return nil, err
	}
	return json.Marshal(object)
}

func restorable(u *unstructured.Unstructured) map[string]any {
	c := u.DeepCopy()
	for _, field := range []string{"managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink", "deletionTimestamp"} {
		unstructured.RemoveNestedField(c.Object, "metadata", field)
	}
	unstructured.RemoveNestedField(c.Object, "metadata", "annotations", controllersRevision)
	unstructured.RemoveNestedField(c.Object, "status")
	return c.Object
}
