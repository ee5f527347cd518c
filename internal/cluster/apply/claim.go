package apply

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/joelhooks/gh-sbw/internal/cluster"
)

// ownPaths are the fields that a rollout always takes over, whoever set them last:
// the target container's image (kubectl set image), the annotations that this run
// sets, such as the change cause (kubectl annotate, kubectl rollout undo copies it),
// and last-applied-configuration, which `kubectl apply --server-side` keeps under
// a manager of its own.
func (a *applier) ownPaths(u *unstructured.Unstructured) []string {
	paths := []string{annotationPath(lastApplied)}
	if image := a.imagePath(u); image != "" {
		paths = append(paths, image)
	}
	if a.isTarget(u) {
		for key := range a.Annotations {
			paths = append(paths, annotationPath(key))
		}
	}
	return paths
}

func annotationPath(key string) string { return ".metadata.annotations." + key }

// imagePath returns the path of the target container's image, or "" for any other object.
func (a *applier) imagePath(u *unstructured.Unstructured) string {
	if a.Container == "" || !a.isTarget(u) {
		return ""
	}
	for _, list := range []string{"containers", "initContainers"} {
		if element(u, a.Container, "spec", "template", "spec", list) != nil {
			return fmt.Sprintf(".spec.template.spec.%s[name=%q].image", list, a.Container)
		}
	}
	return ""
}

// variable is an environment variable that is a value in the file and a
// reference in the live object, or the other way round. Server-side apply
// merges the two into something invalid, without a conflict.
type variable struct {
	container, name string
	live            string // path of the live field that prevents the change
}

func mixedVariables(config, live *unstructured.Unstructured) []variable {
	if live == nil {
		return nil
	}
	var all []variable
	for _, list := range []string{"containers", "initContainers"} {
		containers, _, err := unstructured.NestedSlice(config.Object, "spec", "template", "spec", list)
		if err != nil {
			continue // a different shape, which the API server reports
		}
		for _, one := range containers {
			c, ok := one.(map[string]any)
			if !ok {
				continue
			}
			name, _ := c["name"].(string)
			is := element(live, name, "spec", "template", "spec", list)
			for _, e := range elements(c["env"]) {
				key, _ := e["name"].(string)
				now := byName(is["env"], key)
				at := fmt.Sprintf(".spec.template.spec.%s[name=%q].env[name=%q]", list, name, key)
				value, _ := now["value"].(string)
				switch {
				case e["valueFrom"] != nil && value != "":
					all = append(all, variable{name, key, at + ".value"})
				case e["valueFrom"] == nil && now["valueFrom"] != nil:
					all = append(all, variable{name, key, at + ".valueFrom"})
				}
			}
		}
	}
	return all
}

func element(u *unstructured.Unstructured, name string, path ...string) map[string]any {
	list, _, err := unstructured.NestedFieldNoCopy(u.Object, path...)
	if err != nil {
		return nil
	}
	return byName(list, name)
}

func elements(list any) (all []map[string]any) {
	l, ok := list.([]any)
	for i := 0; ok && i < len(l); i++ {
		if m, ok := l[i].(map[string]any); ok {
			all = append(all, m)
		}
	}
	return all
}

func byName(list any, name string) map[string]any {
	for _, m := range elements(list) {
		if m["name"] == name {
			return m
		}
	}
	return nil
}

// without returns config without the variables, for a dry run: a real run takes over
// their fields first, which a dry run cannot see.
func without(config *unstructured.Unstructured, variables []variable) *unstructured.Unstructured {
	if len(variables) == 0 {
		return config
	}
	config = config.DeepCopy()
	for _, list := range []string{"containers", "initContainers"} {
		containers, _, err := unstructured.NestedFieldNoCopy(config.Object, "spec", "template", "spec", list)
		if err != nil {
			continue
		}
		for _, c := range elements(containers) {
			env, ok := c["env"].([]any)
			if !ok {
				continue
			}
			c["env"] = slices.DeleteFunc(env, func(e any) bool {
				m, ok := e.(map[string]any)
				return ok && slices.ContainsFunc(variables, func(v variable) bool { return v.container == c["name"] && v.name == m["name"] })
			})
		}
	}
	return config
}

// covers reports whether a path is one of wanted or below it.
func covers(wanted []string, path string) bool {
	return slices.ContainsFunc(wanted, func(w string) bool { return path == w || strings.HasPrefix(path, w+".") })
}

// owners returns the managers, other than ours and those that are taken over, that own a
// field or one below it.
func owners(u *unstructured.Unstructured, path string, others sets.Set[string]) []string {
	var all []string
	for _, m := range u.GetManagedFields() {
		if m.Manager == cluster.FieldManager || others.Has(m.Manager) || m.Subresource == "status" {
			continue
		}
		found := false
		ownedBy(m).Iterate(func(p fieldpath.Path) { found = found || covers([]string{path}, p.String()) })
		if found && !slices.Contains(all, m.Manager) {
			all = append(all, m.Manager)
		}
	}
	return all
}

func ownedBy(m metav1.ManagedFieldsEntry) *fieldpath.Set {
	set := fieldpath.NewSet()
	if m.FieldsV1 == nil || set.FromJSON(m.FieldsV1.GetRawReader()) != nil {
		return fieldpath.NewSet()
	}
	return set
}

// claim moves the ownership of fields to what this manager applied; the next apply
// can then set or drop them. It changes no value, so it does not count as a change:
// a run whose apply is refused after it has changed nothing that it could restore. It returns
// the object after that.
func (a *applier) claim(
	ctx context.Context,
	client dynamic.ResourceInterface,
	live *unstructured.Unstructured,
	paths []string,
) (*unstructured.Unstructured, error) {
	var try cluster.Attempts
	for len(paths) > 0 {
		entries, changed, err := claimed(live.GetManagedFields(), paths, live.GetAPIVersion())
		if err != nil || !changed {
			return live, err
		}
		after, err := SetManagedFields(ctx, client, live, entries)
		if !apierrors.IsConflict(err) || !try.More(ctx) {
			return after, err
		}
		if live, err = client.Get(ctx, live.GetName(), metav1.GetOptions{}); err != nil {
			return nil, err
		}
	}
	return live, nil
}

// SetManagedFields replaces the entries that say who owns which fields of an object. It
// changes no value. If the object has changed since live was read, the error is a conflict.
func SetManagedFields(
	ctx context.Context,
	client dynamic.ResourceInterface,
	live *unstructured.Unstructured,
	entries []metav1.ManagedFieldsEntry,
) (*unstructured.Unstructured, error) {
	patch, err := json.Marshal([]Operation{
		{Op: "replace", Path: "/metadata/managedFields", Value: entries},
		// If the version is outdated, the API server answers 409.
		{Op: "replace", Path: "/metadata/resourceVersion", Value: live.GetResourceVersion()},
	})
	if err != nil {
		return nil, err
	}
	writing, done := cluster.Writing(ctx)
	defer done()
	return client.Patch(writing, live.GetName(), types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: cluster.FieldManager})
}

func claimed(
	entries []metav1.ManagedFieldsEntry,
	paths []string,
	version string,
) (all []metav1.ManagedFieldsEntry, changed bool, err error) {
	taken := fieldpath.NewSet()
	mine := -1
	for _, m := range entries {
		if m.Manager == cluster.FieldManager && m.Operation == metav1.ManagedFieldsOperationApply && m.Subresource == "" {
			mine = len(all)
			all = append(all, m)
			continue
		}
		set, some := ownedBy(m), fieldpath.NewSet()
		set.Iterate(func(p fieldpath.Path) {
			if covers(paths, p.String()) {
				some.Insert(p.Copy())
			}
		})
		if some.Empty() {
			all = append(all, m)
			continue
		}
		changed, taken = true, taken.Union(some)
		if set = set.Difference(some); set.Empty() {
			continue
		}
		if m.FieldsV1, err = fields(set); err != nil {
			return nil, false, err
		}
		all = append(all, m)
	}
	if !changed {
		return nil, false, nil
	}
	if mine < 0 {
		now := metav1.Now()
		mine = len(all)
		all = append(
			all,
			metav1.ManagedFieldsEntry{
				Manager:    cluster.FieldManager,
				Operation:  metav1.ManagedFieldsOperationApply,
				APIVersion: version,
				Time:       &now,
				FieldsType: "FieldsV1",
			},
		)
	}
	all[mine].FieldsV1, err = fields(ownedBy(all[mine]).Union(taken))
	return all, true, err
}

func fields(set *fieldpath.Set) (*metav1.FieldsV1, error) {
	var out bytes.Buffer
	if err := set.ToJSONStream(&out); err != nil {
		return nil, err
	}
	return metav1.NewFieldsV1(out.String()), nil
}
