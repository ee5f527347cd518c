package apply

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"
	"k8s.io/client-go/dynamic"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/fieldowner"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/units"
)

// Restore undoes what Apply or Image did, starting with the last object: an object that was
// created is deleted, and an object that was configured gets back its previous values, and
// only those.
//
// It never overwrites what somebody else has written meanwhile. Before anything is restored,
// every object is compared with what this run wrote. If a workload's pod template has changed
// since, or the workload itself was replaced, Restore writes nothing at all and the error is a
// Finding that wraps workload.ErrSuperseded or workload.ErrReplaced. Other fields that have
// changed (an autoscaler's replicas) keep their new value; if this run had also set them,
// they are reported as restore-left. Each write carries the resourceVersion that was
// compared, so that a change in between is noticed.
//
// The results are the objects after the restore; the workload is the one to
// watch. Every object is tried; the errors are joined.
func Restore(ctx context.Context, conn *cluster.Conn, results []Result, o Options) ([]Result, error) {
	a, err := newApplier(conn, o)
	if err != nil {
		return nil, err
	}
	for _, r := range slices.Backward(results) {
		if _, ok := asWorkload(r.After); !ok {
			continue
		}
		client, _, err := a.resource(r.After)
		if err != nil {
			return nil, err
		}
		if _, err := a.mine(ctx, client, r); err != nil {
			return nil, err
		}
	}
	var restored []Result
	var errs []error
	for _, r := range slices.Backward(results) {
		after, err := a.restore(ctx, r)
		if err != nil {
			errs = append(errs, err)
			if a.forbidden {
				break
			}
			continue
		}
		if after != nil {
			restored = append(restored, *after)
			o.Reporter.Notef("%s restored", after)
		}
	}
	return restored, errors.Join(errs...)
}

// restore restores one object; it returns nil if there is nothing to follow.
func (a *applier) restore(ctx context.Context, r Result) (*Result, error) {
	client, _, err := a.resource(r.After)
	if err != nil {
		return nil, err
	}
	var try cluster.Attempts
	for {
		live, err := a.mine(ctx, client, r)
		if err != nil || live == nil {
			return nil, err
		}
		after, err := a.putBack(ctx, client, r, live)
		if apierrors.IsConflict(err) && try.More(ctx) {
			continue
		}
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return nil, Replaced(r.String(), r.Namespace, nil, err)
		}
		if err != nil || after == nil {
			return nil, cluster.Explain("restore "+r.String(), err)
		}
		return &Result{
			GVK:       r.GVK,
			Namespace: r.Namespace,
			Name:      r.Name,
			Action:    Configured,
			Before:    r.After,
			After:     after,
			mapping:   r.mapping,
		}, nil
	}
}

// mine reads the live object and makes sure that this run may write to it. It returns nil if
// the object is gone and was to be deleted.
func (a *applier) mine(ctx context.Context, client dynamic.ResourceInterface, r Result) (*unstructured.Unstructured, error) {
	live, err := client.Get(ctx, r.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && r.Before == nil:
		return nil, nil
	case apierrors.IsNotFound(err):
		return nil, Replaced(r.String(), r.Namespace, nil, err)
	case err != nil:
		return nil, cluster.Explain("read "+r.String(), err)
	case live.GetUID() != r.After.GetUID():
		return nil, Replaced(r.String(), r.Namespace, live, nil)
	case verdict.Deletion(live) != "" && r.Before == nil:
		return nil, nil
	case verdict.Deletion(live) != "":
		return nil, Replaced(r.String(), r.Namespace, nil, nil)
	}
	now, ok := asWorkload(live)
	if !ok {
		return live, nil
	}
	if then, ok := asWorkload(r.After); ok && !verdict.SameTemplate(now.Template(), then.Template()) {
		return nil, Superseded(then, now)
	}
	return live, nil
}

// Superseded returns the Finding for a workload whose pod template is no longer the one that
// this run wrote.
func Superseded(then, now *workload.Workload) *pipeline.Finding {
	ref := now.Ref()
	return &pipeline.Finding{
		Code:     workload.CodeSuperseded,
		Severity: pipeline.Error,
		Where:    ref.Namespace + "/" + ref.String(),
		Err:      workload.ErrSuperseded,
		What:     "somebody else has changed " + ref.String() + " during this run",
		Why:      fieldowner.Template(then, now).String(),
		Fix:      "talk to them: the running version is theirs and was left alone",
	}
}

// Replaced returns the Finding for an object that is no longer the one that this run started
// with. live is the present object, or nil; err is the error from reading it.
func Replaced(name, namespace string, live metav1.Object, err error) *pipeline.Finding {
	f := &pipeline.Finding{
		Code:     workload.CodeReplaced,
		Severity: pipeline.Error,
		Where:    namespace,
		Err:      errors.Join(workload.ErrReplaced, err),
		What:     name + " is no longer the object that this run is about",
		Why:      "somebody deleted it",
		Fix:      "check what is there now; nothing was written to it",
	}
	if live != nil {
		f.Why = "somebody deleted it, and another was created by " + fieldowner.Creator(live).String()
	}
	return f
}

// appeared returns the Finding for a workload that somebody has created since the preflight.
func appeared(live *unstructured.Unstructured) *pipeline.Finding {
	name := nameOf(live)
	return &pipeline.Finding{
		Code:     workload.CodeReplaced,
		Severity: pipeline.Error,
		Where:    live.GetNamespace() + "/" + name,
		Err:      workload.ErrReplaced,
		What:     "somebody else has created " + name + " since this run's preflight",
		Why:      "it was created by " + fieldowner.Creator(live).String(),
		Fix:      "start this run again: its preflight then considers what they have created",
	}
}

func asWorkload(u *unstructured.Unstructured) (*workload.Workload, bool) {
	if u.GroupVersionKind().Group != "apps" {
		return nil, false
	}
	w, err := Typed(u)
	return w, err == nil
}

// putBack writes the difference between live and the state before this run. It returns nil if
// the object is gone or nothing had to be written. A conflict means that the object has
// changed since it was read.
func (a *applier) putBack(
	ctx context.Context,
	client dynamic.ResourceInterface,
	r Result,
	live *unstructured.Unstructured,
) (*unstructured.Unstructured, error) {
	if r.Before == nil {
		return nil, a.deleteCreated(ctx, client, r, live)
	}
	patch, left, err := back(r.Before, r.After, live)
	if err != nil {
		return nil, err
	}
	if len(left) > 0 {
		a.Reporter.Finding(&pipeline.Finding{Code: CodeRestoreLeft, Severity: pipeline.Warning, Where: r.Namespace + "/" + r.String(),
			What: "fields that somebody else has changed were not restored", Why: strings.Join(left, ", "),
			Fix: "compare them with the manifest"})
	}
	if patch == nil {
		return live, nil
	}
	if err := a.guard(ctx); err != nil {
		return nil, err
	}
	a.Reporter.Changed()
	ctx, done := cluster.Writing(ctx)
	defer done()
	after, err := client.Patch(ctx, r.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: cluster.FieldManager})
	if err != nil {
		return nil, err
	}
	return a.takeOver(ctx, client, after, clientSideManagers(after))
}

// holders are kinds whose deletion also deletes what somebody else may have put into the
// object meanwhile: objects, data.
var holders = []schema.GroupKind{
	{Kind: "Namespace"}, {Kind: "PersistentVolume"}, {Kind: "PersistentVolumeClaim"},
	{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"},
}

// deleteCreated deletes an object that this run created, unless somebody has
// changed what this run wrote into it, or may have put something else there.
func (a *applier) deleteCreated(ctx context.Context, client dynamic.ResourceInterface, r Result, live *unstructured.Unstructured) error {
	if slices.Contains(holders, live.GroupVersionKind().GroupKind()) {
		a.Reporter.Finding(
			&pipeline.Finding{Code: CodeRestoreLeft, Severity: pipeline.Note, Where: strings.TrimPrefix(r.Namespace+"/"+r.String(), "/"),
				What: r.String() + " was created by this run and stays", Why: "deleting it would delete whatever others have put into it since",
				Fix: "delete it if nobody needs it"},
		)
		return nil
	}
	if _, left := ours(restorable(r.After), restorable(r.After), restorable(live), ""); len(left) > 0 {
		a.Reporter.Finding(&pipeline.Finding{Code: CodeRestoreLeft, Severity: pipeline.Warning, Where: r.Namespace + "/" + r.String(),
			What: r.String() + " stays: this run created it, but somebody else has changed it since", Why: strings.Join(left, ", "),
			Fix: "delete it if nobody needs it"})
		return nil
	}
	if by := a.usedBy(ctx, live); by != "" {
		a.Reporter.Finding(&pipeline.Finding{Code: CodeRestoreLeft, Severity: pipeline.Warning, Where: r.Namespace + "/" + r.String(),
			What: r.String() + " stays, although this run created it", Why: by, Fix: "delete it if nobody needs it"})
		return nil
	}
	if err := a.guard(ctx); err != nil {
		return err
	}
	uid, version := live.GetUID(), live.GetResourceVersion()
	ctx, done := cluster.Writing(ctx)
	defer done()
	err := client.Delete(ctx, r.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version}})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	a.Reporter.Notef("%s deleted again", r)
	return nil
}

// usedBy returns why an object may be needed by others; "" if it is not. Another run that
// found the object as its own manifest describes it has not changed it.
func (a *applier) usedBy(ctx context.Context, live *unstructured.Unstructured) string {
	gvk := live.GroupVersionKind()
	if a.UsedBy == nil || gvk.Group != "" || live.GetNamespace() != a.Target.Namespace ||
		!slices.Contains([]string{"ConfigMap", "Secret", "ServiceAccount"}, gvk.Kind) {
		return ""
	}
	pods, err := a.UsedBy(ctx, gvk.Kind, live.GetName())
	switch {
	case err != nil:
		return "it is unknown whether other pods use it: " + line(err)
	case len(pods) > 0:
		return "used by " + units.List(pods)
	}
	return ""
}

// guard checks whether this run may still write.
func (a *applier) guard(ctx context.Context) error {
	if a.DryRun || a.Options.Guard == nil {
		return nil
	}
	err := a.Options.Guard(ctx)
	a.forbidden = err != nil
	return err
}

// back returns the merge patch that restores before, without server-set fields and without
// the fields that somebody has changed since after, which are left. A merge patch replaces
// lists as a whole, so a pod template is restored exactly.
func back(before, after, live *unstructured.Unstructured) (patch []byte, left []string, err error) {
	from, err := json.Marshal(restorable(after))
	if err != nil {
		return nil, nil, err
	}
	to, err := json.Marshal(restorable(before))
	if err != nil {
		return nil, nil, err
	}
	patch, err = jsonmergepatch.CreateThreeWayJSONMergePatch(from, to, from)
	if err != nil {
		return nil, nil, err
	}
	var object map[string]any
	if err := json.Unmarshal(patch, &object); err != nil {
		return nil, nil, err
	}
	object, left = ours(object, restorable(after), restorable(live), "")
	if len(object) == 0 {
		return nil, left, nil
	}
	// Together they make the API server answer 409 if the object has been
	// replaced or changed since it was compared.
	for field, value := range map[string]string{"uid": string(live.GetUID()), "resourceVersion": live.GetResourceVersion()} {
		if err := unstructured.SetNestedField(object, value, "metadata", field); err != nil {
			return nil, nil, err
		}
	}
	patch, err = json.Marshal(object)
	return patch, left, err
}

// ours reduces a patch to the fields whose live value is still the one that was written, and
// returns the names of the others.
func ours(patch, written, live map[string]any, path string) (kept map[string]any, left []string) {
	kept = map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(patch)) {
		at := strings.TrimPrefix(path+"."+key, ".")
		inner, isMap := patch[key].(map[string]any)
		was, wasMap := written[key].(map[string]any)
		is, isLive := live[key].(map[string]any)
		if isMap && wasMap && isLive {
			some, more := ours(inner, was, is, at)
			left = append(left, more...)
			if len(some) > 0 {
				kept[key] = some
			}
			continue
		}
		if !equality.Semantic.DeepEqual(written[key], live[key]) && !strings.HasPrefix(at, "metadata.annotations."+OwnPrefix) {
			left = append(left, at)
			continue
		}
		kept[key] = patch[key]
	}
	return kept, left
}

func restorable(u *unstructured.Unstructured) map[string]any {
	c := u.DeepCopy()
	for _, field := range []string{
		"managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink", "deletionTimestamp",
	} {
		unstructured.RemoveNestedField(c.Object, "metadata", field)
	}
	unstructured.RemoveNestedField(c.Object, "metadata", "annotations", controllersRevision)
	unstructured.RemoveNestedField(c.Object, "status")
	return c.Object
}
