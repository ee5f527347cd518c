package apply

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/csaupgrade"
	"k8s.io/kubectl/pkg/util"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/joelhooks/gh-sbw/internal/cluster"
)

const lastApplied = corev1.LastAppliedConfigAnnotation

// maxAnnotations is the API server's limit for all annotations of an object
// together (TotalAnnotationSizeLimitB).
const maxAnnotations = 256 << 10

// lastAppliedOf returns the annotation that `kubectl apply` would write for the same object. A
// Secret gets none unless it already has one, because it would contain the Secret's content.
// Neither does an object that is too large for it, which kubectl apply could not handle
// either.
func lastAppliedOf(u, before *unstructured.Unstructured) (string, error) {
	if u.GetKind() == "Secret" && (before == nil || before.GetAnnotations()[lastApplied] == "") {
		return "", nil
	}
	data, err := util.GetModifiedConfiguration(u.DeepCopy(), false, unstructured.UnstructuredJSONScheme)
	if err != nil {
		return "", err
	}
	if len(data) > maxAnnotations*9/10 {
		return "", nil
	}
	return string(data), nil
}

// clientSideManagers returns the managers whose fields we take over: those that wrote
// last-applied-configuration with an Update, kubectl's own two names, and this project's
// entries that were not written by an apply (see Restore).
func clientSideManagers(u *unstructured.Unstructured) sets.Set[string] {
	names := sets.New("kubectl-client-side-apply", "before-first-apply", cluster.FieldManager)
	path := fieldpath.NewSet(fieldpath.MakePathOrDie("metadata", "annotations", lastApplied))
	for _, m := range csaupgrade.FindFieldsOwners(u.GetManagedFields(), metav1.ManagedFieldsOperationUpdate, path) {
		names.Insert(m.Manager)
	}
	return names
}

// takeOver merges the entries of others into ours, even if somebody writes in
// between, and returns the resulting object. As with claim, no value changes.
func (a *applier) takeOver(
	ctx context.Context,
	client dynamic.ResourceInterface,
	live *unstructured.Unstructured,
	others sets.Set[string],
) (*unstructured.Unstructured, error) {
	var try cluster.Attempts
	for {
		patch, err := csaupgrade.UpgradeManagedFieldsPatch(live, others, cluster.FieldManager)
		if err != nil || patch == nil {
			return live, err
		}
		writing, done := cluster.Writing(ctx)
		after, err := client.Patch(writing, live.GetName(), types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: cluster.FieldManager})
		done()
		if err == nil || !apierrors.IsConflict(err) || !try.More(ctx) {
			return after, err
		}
		if live, err = client.Get(ctx, live.GetName(), metav1.GetOptions{}); err != nil {
			return nil, err
		}
	}
}

// onlyConflictsToTake tries the patch and reports whether it is only prevented by fields that a
// real run would take over.
func (a *applier) onlyConflictsToTake(ctx context.Context, client dynamic.ResourceInterface, live, config *unstructured.Unstructured) bool {
	_, err := a.patch(ctx, client, config, false)
	found := conflicts(err)
	a.takeEqual(ctx, client, live, config, found)
	return a.onlyToTake(found, false)
}

// takeEqual lets the apply take over fields whose value it does not change. The API server
// compares the manifest as it is written with the live object, so it reports a conflict over a
// CPU limit of 0.5 that the object has as 500m, and over a list or a fieldRef to which it has
// itself added defaults.
func (a *applier) takeEqual(
	ctx context.Context,
	client dynamic.ResourceInterface,
	live, config *unstructured.Unstructured,
	found []conflict,
) {
	if live == nil || a.Force || len(found) == 0 || a.onlyToTake(found, false) {
		return
	}
	dry := *a
	dry.DryRun = true
	after, err := dry.patch(ctx, client, config, true)
	if err != nil {
		return // the conflict is reported, and the refusal after it is gone
	}
	equal := map[conflict]bool{}
	for _, c := range found {
		p := c.path(live)
		was, had := valueAt(live.Object, p)
		is, has := valueAt(after.Object, p)
		equal[c] = p != nil && had && has && equality.Semantic.DeepEqual(was, is)
	}
	takes := a.takes
	a.takes = func(c conflict) bool { return equal[c] || takes != nil && takes(c) }
}

// path returns the path of the field, as its owner's entry has it; nil if there is none.
func (c conflict) path(live *unstructured.Unstructured) (path fieldpath.Path) {
	for _, m := range live.GetManagedFields() {
		if m.Manager != c.manager {
			continue
		}
		ownedBy(m).Iterate(func(p fieldpath.Path) {
			if p.String() == c.field {
				path = p.Copy()
			}
		})
	}
	return path
}

// onlyToTake reports whether there are conflicts, and all of them are about fields that are
// taken over, or about the overlay's if it was sent. That can show only when the patch is sent:
// somebody has written in between, or the object had no managedFields until now, and its entry
// "before-first-apply" is new.
func (a *applier) onlyToTake(found []conflict, overlaid bool) bool {
	return len(found) > 0 && !slices.ContainsFunc(found, func(c conflict) bool {
		return !(a.takes != nil && a.takes(c)) && !(overlaid && covers(a.Overlay.Fields, c.field))
	})
}

// conflict is one field that belongs to another manager.
type conflict struct{ field, manager, how string }

// conflicts reads the API server's refusal; its causes contain the manager's
// name only in their text: `conflict with "NAME" using apps/v1 at TIME`.
func conflicts(err error) []conflict {
	status, ok := err.(apierrors.APIStatus)
	if !ok || !apierrors.IsConflict(err) || status.Status().Details == nil {
		return nil
	}
	var all []conflict
	for _, c := range status.Status().Details.Causes {
		if c.Type != metav1.CauseTypeFieldManagerConflict {
			continue
		}
		one := conflict{field: c.Field}
		rest := strings.TrimPrefix(c.Message, "conflict with ")
		if n, err := fmt.Sscanf(rest, "%q", &one.manager); n == 1 && err == nil {
			_, one.how, _ = strings.Cut(strings.TrimPrefix(rest, "\""), "\" ")
		}
		all = append(all, one)
	}
	return all
}
