package handover

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
)

// Owner is a field manager's share of the held fields. Patching a field changes its
// owner, even if that restores the field's old value. So the shares are recorded before
// the hold and restored afterwards.
type Owner struct {
	Manager    string                            `json:"manager"`
	Operation  metav1.ManagedFieldsOperationType `json:"operation"`
	APIVersion string                            `json:"apiVersion"`
	// Fields is in the format of managedFields.
	Fields json.RawMessage `json:"fields"`
}

var (
	pathMinReady       = fieldpath.MakePathOrDie("spec", "minReadySeconds")
	pathDeadline       = fieldpath.MakePathOrDie("spec", "progressDeadlineSeconds")
	pathStrategy       = fieldpath.MakePathOrDie("spec", "strategy")
	pathMaxSurge       = fieldpath.MakePathOrDie("spec", "strategy", "rollingUpdate", "maxSurge")
	pathMaxUnavailable = fieldpath.MakePathOrDie("spec", "strategy", "rollingUpdate", "maxUnavailable")
	pathSelector       = fieldpath.MakePathOrDie("spec", "selector")

	deploymentPaths = []fieldpath.Path{pathMinReady, pathDeadline, pathStrategy}
	servicePaths    = []fieldpath.Path{pathSelector}
)

// below reports whether p is one of roots or inside one of them.
func below(p fieldpath.Path, roots []fieldpath.Path) bool {
	return slices.ContainsFunc(roots, func(root fieldpath.Path) bool {
		return len(p) >= len(root) && p[:len(root)].Equals(root)
	})
}

// split divides a set into what is below roots and the rest.
func split(s *fieldpath.Set, roots []fieldpath.Path) (in, rest *fieldpath.Set) {
	in, rest = &fieldpath.Set{}, &fieldpath.Set{}
	s.Iterate(func(p fieldpath.Path) {
		if below(p, roots) {
			in.Insert(p.Copy())
		} else {
			rest.Insert(p.Copy())
		}
	})
	return in, rest
}

func decode(raw []byte) (*fieldpath.Set, error) {
	s := &fieldpath.Set{}
	if err := s.FromJSON(bytes.NewReader(raw)); err != nil {
		return nil, fmt.Errorf("cannot read managedFields: %w", err)
	}
	return s, nil
}

// ownersOf returns the shares that managers have in the fields below roots, for the
// managers that keep accepts.
func ownersOf(entries []metav1.ManagedFieldsEntry, roots []fieldpath.Path, keep func(metav1.ManagedFieldsEntry) bool) ([]Owner, error) {
	var all []Owner
	for _, e := range entries {
		if e.FieldsV1 == nil || e.Subresource != "" || !keep(e) {
			continue
		}
		s, err := decode(e.FieldsV1.GetRawBytes())
		if err != nil {
			return nil, err
		}
		in, _ := split(s, roots)
		if in.Empty() {
			continue
		}
		raw, err := in.ToJSON()
		if err != nil {
			return nil, err
		}
		all = append(all, Owner{Manager: e.Manager, Operation: e.Operation, APIVersion: e.APIVersion, Fields: raw})
	}
	return all, nil
}

func everybody(metav1.ManagedFieldsEntry) bool { return true }

// union returns all fields that owners have. Entries that cannot be read are ignored,
// because ownersOf did not write them.
func union(owners []Owner) *fieldpath.Set {
	all := &fieldpath.Set{}
	for _, o := range owners {
		if s, err := decode(o.Fields); err == nil {
			all = all.Union(s)
		}
	}
	return all
}

// withConfig adds the share of this project's apply: the held fields that are in the
// manifest.
func withConfig(others []Owner, config *unstructured.Unstructured) ([]Owner, error) {
	named := &fieldpath.Set{}
	for _, p := range [][]string{{"minReadySeconds"}, {"progressDeadlineSeconds"}, {"strategy", "type"},
		{"strategy", "rollingUpdate", "maxSurge"}, {"strategy", "rollingUpdate", "maxUnavailable"}} {
		path := append([]string{"spec"}, p...)
		if _, ok, err := unstructured.NestedFieldNoCopy(config.Object, path...); err == nil && ok {
			parts := make([]any, len(path))
			for i := range path {
				parts[i] = path[i]
			}
			named.Insert(fieldpath.MakePathOrDie(parts...))
		}
	}
	if named.Empty() {
		return others, nil
	}
	raw, err := named.ToJSON()
	if err != nil {
		return nil, err
	}
	return append(slices.Clone(others), Owner{Manager: cluster.FieldManager, Operation: metav1.ManagedFieldsOperationApply,
		APIVersion: config.GetAPIVersion(), Fields: raw}), nil
}

// shared returns managedFields in which owners have the shares below roots; nil if that
// is already the case.
func shared(entries []metav1.ManagedFieldsEntry, roots []fieldpath.Path, owners []Owner) ([]metav1.ManagedFieldsEntry, error) {
	var all []metav1.ManagedFieldsEntry
	changed := false
	given := make([]bool, len(owners))
	for _, e := range entries {
		if e.FieldsV1 == nil || e.Subresource != "" {
			all = append(all, e)
			continue
		}
		s, err := decode(e.FieldsV1.GetRawBytes())
		if err != nil {
			return nil, err
		}
		had, next := split(s, roots)
		for i, o := range owners {
			if !given[i] && o.Manager == e.Manager && o.Operation == e.Operation {
				share, err := decode(o.Fields)
				if err != nil {
					return nil, err
				}
				given[i], next = true, next.Union(share)
			}
		}
		now, _ := split(next, roots)
		changed = changed || !now.Equals(had)
		if next.Empty() {
			continue
		}
		e = *e.DeepCopy()
		raw, err := next.ToJSON()
		if err != nil {
			return nil, err
		}
		e.FieldsV1.SetRawBytes(raw)
		all = append(all, e)
	}
	for i, o := range owners {
		if given[i] {
			continue
		}
		now := metav1.Now()
		changed = true
		all = append(all, metav1.ManagedFieldsEntry{Manager: o.Manager, Operation: o.Operation, APIVersion: o.APIVersion, Time: &now,
			FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(string(o.Fields))})
	}
	if !changed {
		return nil, nil
	}
	return all, nil
}

// giveBackOwnership makes owners the owners of the fields below roots again. It changes
// no value.
func giveBackOwnership(ctx context.Context, client dynamic.ResourceInterface, name string, roots []fieldpath.Path, owners []Owner) error {
	var try cluster.Attempts
	for {
		live, err := client.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		fields, err := shared(live.GetManagedFields(), roots, owners)
		if err != nil || fields == nil {
			return err
		}
		_, err = apply.SetManagedFields(ctx, client, live, fields)
		if !apierrors.IsConflict(err) || !try.More(ctx) {
			return err
		}
	}
}
