package apply

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/joelhooks/gh-sbw/internal/cluster"
)

// unchanged takes back Reporter.Changed if the server has refused the patch and the object is
// the same as before. After a connection error nobody can know that.
func (a *applier) unchanged(
	ctx context.Context,
	client dynamic.ResourceInterface,
	name string,
	before *unstructured.Unstructured,
	err error,
) {
	if errors.Is(err, errMoved) {
		return // patchOver has taken it back
	}
	if a.DryRun || !cluster.Answered(err) {
		return
	}
	if apierrors.IsConflict(err) { // the server refuses a conflicting patch as a whole
		a.Reporter.Refused()
		return
	}
	live, err := client.Get(ctx, name, metav1.GetOptions{})
	if before == nil && apierrors.IsNotFound(err) || before != nil && err == nil && live.GetResourceVersion() == before.GetResourceVersion() {
		a.Reporter.Refused()
	}
}

// prepare takes over what is ours to take of the live object: all of client-side
// apply's fields, those of ownPaths, and with Force the other half of variables
// that are a value here and a reference there. A dry run only makes sure that
// nothing else is in the way. It returns what to send, and the live object after that.
func (a *applier) prepare(
	ctx context.Context,
	client dynamic.ResourceInterface,
	o Object,
	before, config *unstructured.Unstructured,
) (send, live *unstructured.Unstructured, force bool, err error) {
	others := clientSideManagers(before)
	claims := a.ownPaths(config)
	variables := mixedVariables(config, before)
	a.takes = func(c conflict) bool { return others.Has(c.manager) || covers(claims, c.field) }
	var found []error
	for _, v := range variables {
		managers := owners(before, v.live, others)
		switch {
		case len(managers) == 0: // the field is ours, and this apply removes it
		case a.Force:
			claims = append(claims, v.live)
		default:
			found = append(found, a.mixed(o, v, managers))
		}
	}
	if f := scaled(o, before, config, others); a.Force && f != nil {
		found = append(found, f)
	}
	if len(found) > 0 {
		return nil, nil, false, errors.Join(found...)
	}
	if a.DryRun {
		config = without(config, variables)
		return config, before, a.Force || a.onlyConflictsToTake(ctx, client, before, config), nil
	}
	live, err = a.takeOver(ctx, client, before, others)
	if err == nil {
		live, err = a.claim(ctx, client, live, claims)
	}
	if err != nil {
		return nil, nil, false, cluster.Explain("take over fields of "+nameOf(config), err)
	}
	if !sameContent(before, live) {
		return nil, nil, false, errMoved
	}
	return config, live, a.Force, nil
}

// patchOver applies the patch, with the overlay if config is the Target's. before is the
// object for which this was decided, nil if there was none, and live is its latest version.
// The patch contains that version, so that the API server refuses it if somebody else has
// written meanwhile. A write to the status alone does not matter, and is the reason for most
// refusals; any other results in errMoved.
func (a *applier) patchOver(
	ctx context.Context,
	client dynamic.ResourceInterface,
	before, live, config *unstructured.Unstructured,
	force bool,
) (*unstructured.Unstructured, error) {
	config = config.DeepCopy()
	overlaid := a.Overlay != nil && before != nil && a.isTarget(config)
	if overlaid {
		if err := a.Overlay.Set(before, config, clientSideManagers(before).Has); err != nil {
			return nil, err
		}
	}
	var try cluster.Attempts
	for {
		if live != nil && !a.DryRun {
			config.SetResourceVersion(live.GetResourceVersion())
			config.SetUID(live.GetUID()) // so that an object that was deleted is not created again
		}
		after, err := a.patch(ctx, client, config, force)
		if !overlaid {
			a.takeEqual(ctx, client, live, config, conflicts(err))
		}
		if a.onlyToTake(conflicts(err), overlaid) {
			after, err = a.patch(ctx, client, config, true)
		}
		if a.unanswered(err) {
			return a.landed(ctx, client, before, config), err
		}
		if live == nil || !apierrors.IsConflict(err) || len(conflicts(err)) > 0 {
			return after, err
		}
		name := live.GetName()
		if live, err = client.Get(ctx, name, metav1.GetOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return nil, err
		}
		if err != nil || live.GetUID() != before.GetUID() || !sameContent(before, live) || !try.More(ctx) {
			a.Reporter.Refused() // the next attempt is a change of its own
			return nil, errMoved
		}
	}
}

// unanswered reports whether a patch has failed in a way that may have changed something.
func (a *applier) unanswered(err error) bool {
	return err != nil && !a.DryRun && !cluster.Answered(err)
}

// landed returns the object as a patch without an answer has left it; nil if the patch has
// changed nothing. If that cannot be found out, it returns the object as it was before, so
// that Restore looks at the live one and touches only what is still the same.
func (a *applier) landed(
	ctx context.Context, client dynamic.ResourceInterface, before, config *unstructured.Unstructured,
) *unstructured.Unstructured {
	ctx, cancel := cluster.Looking(ctx)
	defer cancel()
	unknown := before
	if unknown == nil {
		unknown = config
	}
	live, err := client.Get(ctx, config.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return unknown
	}
	if before != nil && live.GetResourceVersion() == before.GetResourceVersion() || before == nil && !createdByUs(live) {
		return nil
	}
	// If applying it once more would change nothing, it has been applied.
	again, dry := config.DeepCopy(), *a
	again.SetResourceVersion("")
	dry.DryRun = true
	after, err := dry.patch(ctx, client, again, false)
	switch {
	case err == nil && sameContent(after, live):
		return live
	case err == nil || cluster.Answered(err):
		return nil // it is as somebody else has left it
	}
	return unknown
}

func (a *applier) patch(
	ctx context.Context,
	client dynamic.ResourceInterface,
	config *unstructured.Unstructured,
	force bool,
) (*unstructured.Unstructured, error) {
	data, err := json.Marshal(config.Object)
	if err != nil {
		return nil, err
	}
	o := metav1.PatchOptions{FieldManager: cluster.FieldManager, Force: &force, FieldValidation: metav1.FieldValidationStrict}
	if a.DryRun {
		o.DryRun = []string{metav1.DryRunAll}
		return client.Patch(ctx, config.GetName(), types.ApplyPatchType, data, o)
	}
	writing, done := cluster.Writing(ctx)
	defer done()
	return client.Patch(writing, config.GetName(), types.ApplyPatchType, data, o)
}

// configuration returns what is sent: the object in the file without server-set fields,
// with our annotations.
func (a *applier) configuration(u, before *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	config := u.DeepCopy()
	for _, field := range []string{"managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink"} {
		unstructured.RemoveNestedField(config.Object, "metadata", field)
	}
	unstructured.RemoveNestedField(config.Object, "status")
	if err := keepReplicas(config, before); err != nil {
		return nil, err
	}
	annotations := maps.Clone(config.GetAnnotations())
	if annotations == nil {
		annotations = map[string]string{}
	}
	delete(annotations, lastApplied)
	value, err := lastAppliedOf(u, before)
	if err != nil {
		return nil, err
	}
	if value != "" {
		annotations[lastApplied] = value
	}
	if a.isTarget(u) {
		// Our annotations were written by an update and have since been taken over. An
		// apply removes those that it no longer contains.
		if before != nil {
			for k, v := range before.GetAnnotations() {
				if strings.HasPrefix(k, OwnPrefix) {
					annotations[k] = v
				}
			}
		}
		maps.Copy(annotations, a.Annotations)
	}
	if len(annotations) > 0 {
		config.SetAnnotations(annotations)
	}
	return config, nil
}
