package apply

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/joelhooks/gh-sbw/internal/cluster"
)

// Kept is the stored form of an object before this project changed it, or of an object that
// this project created. If a run is killed, the next one uses it.
type Kept struct {
	schema.GroupVersionKind
	Namespace string    `json:"namespace,omitempty"`
	Name      string    `json:"name"`
	UID       types.UID `json:"uid"`
	// Before has no server-set fields; nil if the object was created.
	Before map[string]any `json:"before,omitempty"`
	// Replaces means that the run kept the object once more before it changed it, because
	// somebody else had changed it meanwhile.
	Replaces bool `json:"replaces,omitempty"`
}

// keep passes an object on to be stored, before it is changed or after it was
// created. Secrets are not stored, because they would end up on disk. repeated replaces what
// this run has stored before.
func (a *applier) keep(r *Result, repeated bool) error {
	if a.DryRun || a.Options.Keep == nil || r.mapping.GroupVersionKind.Kind == "Secret" {
		return nil
	}
	k := Kept{GroupVersionKind: r.mapping.GroupVersionKind, Namespace: r.Namespace, Name: r.Name, Replaces: repeated}
	if r.Before != nil {
		k.UID, k.Before = r.Before.GetUID(), restorable(r.Before)
	} else {
		k.UID = r.After.GetUID()
	}
	return a.Options.Keep(k)
}

// keepReplicas adds the live number of replicas to a manifest that does not set it, if the
// field is ours. An apply removes fields that are no longer in the manifest, so leaving
// replicas to an autoscaler would first scale the workload to 1, the API server's default
// (kubernetes.io: HPA, "Migrating Deployments and StatefulSets to horizontal autoscaling").
// Whoever scales next becomes the owner of the field.
func keepReplicas(config, before *unstructured.Unstructured) error {
	if before == nil || config.GroupVersionKind().Group != "apps" || !ownsReplicas(before) {
		return nil
	}
	if _, named, err := unstructured.NestedFieldNoCopy(config.Object, "spec", "replicas"); named || err != nil {
		return nil // the API server reports a different structure
	}
	replicas, has, err := unstructured.NestedInt64(before.Object, "spec", "replicas")
	if !has || err != nil {
		return err
	}
	return unstructured.SetNestedField(config.Object, replicas, "spec", "replicas")
}

// ownsReplicas reports whether the number of replicas belongs to us, or to a client-side
// apply, which is taken over.
func ownsReplicas(live *unstructured.Unstructured) bool {
	others := clientSideManagers(live)
	for _, m := range live.GetManagedFields() {
		if (m.Manager == cluster.FieldManager || others.Has(m.Manager)) && m.Subresource == "" &&
			ownedBy(m).Has(fieldpath.MakePathOrDie("spec", "replicas")) {
			return true
		}
	}
	return false
}

// Resume turns what a killed run kept into results that Restore can undo. If an object was
// kept several times, the first state counts; objects that were replaced are left out.
// Errors come from reading.
func Resume(ctx context.Context, conn *cluster.Conn, kept []Kept) ([]Result, error) {
	a, err := newApplier(conn, Options{})
	if err != nil {
		return nil, err
	}
	var results []Result
	var errs []error
	for _, k := range firstStates(kept) {
		stub := &unstructured.Unstructured{Object: map[string]any{}}
		stub.SetGroupVersionKind(k.GroupVersionKind)
		stub.SetNamespace(k.Namespace)
		stub.SetName(k.Name)
		client, mapping, err := a.resource(stub)
		if isNoMatch(err) {
			continue // its kind has been removed, and the object with it
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		live, err := client.Get(ctx, k.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && live.GetUID() != k.UID {
			continue
		}
		if err != nil {
			errs = append(errs, cluster.Explain("read "+k.Kind+"/"+k.Name, err))
			continue
		}
		r := Result{GVK: k.GroupVersionKind.String(), Namespace: k.Namespace, Name: k.Name, Action: Created, After: live, mapping: mapping}
		if k.Before != nil {
			r.Action, r.Before = Configured, &unstructured.Unstructured{Object: k.Before}
			r.Before.SetUID(k.UID)
		}
		results = append(results, r)
	}
	return results, errors.Join(errs...)
}

// firstStates returns one entry for each object: its state before the first run changed it.
func firstStates(kept []Kept) (all []Kept) {
	at, runs := map[types.UID]int{}, map[types.UID]int{}
	for _, k := range kept {
		i, known := at[k.UID]
		switch {
		case !known:
			at[k.UID], runs[k.UID] = len(all), 1
			all = append(all, k)
		case !k.Replaces:
			runs[k.UID]++
		case runs[k.UID] == 1:
			all[i] = k
		}
	}
	return all
}

// Since combines what a killed run has stored with what this run applied, so that
// restoring the result restores the state before both.
func Since(resumed, applied []Result) []Result {
	var all []Result
	at := map[types.UID]int{}
	for _, r := range resumed {
		at[r.After.GetUID()] = len(all)
		all = append(all, r)
	}
	for _, r := range applied {
		if i, ok := at[r.After.GetUID()]; ok {
			all[i].After = r.After
			continue
		}
		all = append(all, r)
	}
	return all
}
