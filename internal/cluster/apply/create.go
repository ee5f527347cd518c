package apply

import (
	"context"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/joelhooks/gh-sbw/internal/cluster"
)

// create creates an object. A patch would also do that, but if somebody else creates the
// object at the same moment, it becomes a part of theirs, and a rollback would then delete
// the whole. The error is errMoved if somebody else was first.
func (a *applier) create(
	ctx context.Context,
	client dynamic.ResourceInterface,
	config *unstructured.Unstructured,
) (*unstructured.Unstructured, error) {
	if a.DryRun {
		return a.patch(ctx, client, config, a.Force)
	}
	writing, done := cluster.Writing(ctx)
	defer done()
	made, err := client.Create(writing, config, metav1.CreateOptions{
		FieldManager: cluster.FieldManager, FieldValidation: metav1.FieldValidationStrict,
	})
	switch {
	case apierrors.IsAlreadyExists(err):
		a.Reporter.Refused() // the next attempt is a change of its own
		return nil, errMoved
	case a.unanswered(err):
		return a.landed(ctx, client, nil, config), err
	}
	return made, err
}

// asApplied makes the fields that a new object has from config belong to an apply, so that
// later ones can remove them. Those that the API server has set belong to nobody. If somebody
// else keeps writing to the object, it stays as it is: the next apply takes over what was not
// applied.
func (a *applier) asApplied(
	ctx context.Context,
	client dynamic.ResourceInterface,
	made, config *unstructured.Unstructured,
) (*unstructured.Unstructured, error) {
	if a.DryRun {
		return made, nil
	}
	var try cluster.Attempts
	for live := made; ; {
		entries, changed, err := applied(live.GetManagedFields(), config)
		if err != nil || !changed {
			return live, err
		}
		after, err := SetManagedFields(ctx, client, live, entries)
		if err == nil {
			return after, nil
		}
		if !apierrors.IsConflict(err) {
			return live, err
		}
		if !try.More(ctx) {
			return live, nil
		}
		again, err := client.Get(ctx, live.GetName(), metav1.GetOptions{})
		if err != nil || again.GetUID() != made.GetUID() {
			return live, err
		}
		live = again
	}
}

// applied turns our entry for what was created into one for what config contains.
func applied(
	entries []metav1.ManagedFieldsEntry,
	config *unstructured.Unstructured,
) (all []metav1.ManagedFieldsEntry, changed bool, err error) {
	all = slices.Clone(entries)
	for i, m := range all {
		if m.Manager != cluster.FieldManager || m.Operation != metav1.ManagedFieldsOperationUpdate || m.Subresource != "" {
			continue
		}
		set := fieldpath.NewSet()
		ownedBy(m).Iterate(func(p fieldpath.Path) {
			if _, missing := absent(config.Object, p); !missing {
				set.Insert(p.Copy())
			}
		})
		all[i].Operation = metav1.ManagedFieldsOperationApply
		if all[i].FieldsV1, err = fields(set); err != nil {
			return nil, false, err
		}
		changed = true
	}
	return all, changed, nil
}

// createdByUs reports whether an object that did not exist before a request without an answer
// is the one of that request.
func createdByUs(live *unstructured.Unstructured) bool {
	return slices.ContainsFunc(live.GetManagedFields(), func(m metav1.ManagedFieldsEntry) bool {
		return m.Manager == cluster.FieldManager && m.Subresource == ""
	})
}
