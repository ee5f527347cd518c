package apply

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// An apply removes what this project applied before and the manifest no longer contains. What
// somebody else has put into a pod template stays, without a conflict: a container that
// `kubectl rollout undo` has brought back (kubernetes/kubernetes#94698), the old name of a
// renamed container if two ways of applying were mixed (#112826), a variable that was set by
// hand. Then the pods are not what the manifest describes, which nothing else would mention.

// leftovers returns one Finding for each manager that keeps something in the pod template of
// o that o does not contain. What people set with their tools is a Warning. What any other
// manager keeps is only a Note, because it may be a controller that would add it again. Fields
// that this apply takes over are not kept, so they are left out.
func (a *applier) leftovers(ctx context.Context, o Object, live *unstructured.Unstructured) (found []*pipeline.Finding) {
	prefix := podSpecOf(o.Unstructured)
	if prefix == nil {
		return nil
	}
	kept := a.kept(o, prefix, live)
	if len(kept) == 0 {
		return nil
	}
	fresh := a.fresh(ctx, o)
	for _, k := range kept {
		k.paths = slices.DeleteFunc(k.paths, func(p fieldpath.Path) bool { return isDefault(p, live, fresh) })
		if f := k.finding(o, prefix); f != nil {
			found = append(found, f)
		}
	}
	return found
}

// keeper is a field manager and what it keeps; the zero entry stands for fields without an
// owner.
type keeper struct {
	metav1.ManagedFieldsEntry
	paths paths
}

// kept returns who keeps what o does not contain, including fields that only have their
// default value.
func (a *applier) kept(o Object, prefix fieldpath.Path, live *unstructured.Unstructured) (all []keeper) {
	taken := a.ownPaths(o.Unstructured)
	for _, v := range mixedVariables(o.Unstructured, live) {
		taken = append(taken, v.live)
	}
	others := clientSideManagers(live)
	owned := fieldpath.NewSet() // by anybody
	for _, m := range live.GetManagedFields() {
		set := ownedBy(m)
		owned = owned.Union(set)
		if m.Manager == cluster.FieldManager || others.Has(m.Manager) || m.Subresource != "" {
			continue
		}
		k := keeper{ManagedFieldsEntry: m}
		set.Iterate(func(p fieldpath.Path) {
			if holder(set, p) || covers(taken, p.String()) {
				return
			}
			if missing, ok := absent(o.Object, p); ok && below(missing, prefix) && !reloaders(missing) {
				k.paths.add(missing)
			}
		})
		if len(k.paths) > 0 {
			all = append(all, k)
		}
	}
	var unowned keeper
	candidates := elementsOf(live.Object, prefix)
	if len(live.GetManagedFields()) == 0 { // somebody has removed them, so nothing has an owner
		candidates = append(candidates, fieldsOf(live.Object, prefix)...)
	}
	for _, p := range candidates {
		if missing, ok := absent(o.Object, p); ok && !hasBelow(owned, p) {
			unowned.paths.add(missing)
		}
	}
	if len(unowned.paths) > 0 {
		all = append(all, unowned)
	}
	return all
}

// fresh returns what the API server would make of o if the object did not exist yet, with its
// defaults and with what its webhooks add; nil if it does not say.
func (a *applier) fresh(ctx context.Context, o Object) *unstructured.Unstructured {
	client, _, err := a.resource(o.Unstructured)
	if err != nil {
		return nil
	}
	config, err := a.configuration(o.Unstructured, nil)
	if err != nil {
		return nil
	}
	config.SetGenerateName(o.GetName() + "-")
	config.SetName("")
	made, err := client.Create(ctx, config, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: cluster.FieldManager})
	if err != nil {
		return nil // the judgement of the object itself reports what is wrong with it
	}
	return made
}

// isDefault reports whether a field of live has the value that it would have in a new object:
// whoever created the object with an Update owns the defaults, too. If a new object is not
// known, only elements of lists count as different, because no default adds them.
func isDefault(p fieldpath.Path, live, fresh *unstructured.Unstructured) bool {
	if fresh == nil {
		return p[len(p)-1].Key == nil
	}
	was, _ := valueAt(live.Object, p)
	is, has := valueAt(fresh.Object, p)
	return has && equality.Semantic.DeepEqual(was, is)
}

// valueAt returns the value of a field.
func valueAt(object any, p fieldpath.Path) (any, bool) {
	for _, e := range p {
		switch {
		case e.FieldName != nil:
			m, ok := object.(map[string]any)
			if object, ok = m[*e.FieldName], ok && m[*e.FieldName] != nil; !ok {
				return nil, false
			}
		case e.Key != nil:
			if object = itemWith(object, *e.Key); object == nil {
				return nil, false
			}
		default:
			return nil, false
		}
	}
	return object, true
}

// podSpecOf returns the path of an object's pod spec; nil if it is not a kind whose pods are
// replaced when it changes.
func podSpecOf(u *unstructured.Unstructured) fieldpath.Path {
	switch u.GroupVersionKind().Group + "/" + u.GetKind() {
	case "apps/Deployment", "apps/StatefulSet", "apps/DaemonSet":
		return fieldpath.MakePathOrDie("spec", "template", "spec")
	case "batch/CronJob":
		return fieldpath.MakePathOrDie("spec", "jobTemplate", "spec", "template", "spec")
	}
	return nil
}

// absent returns the shortest beginning of a path that an object does not contain. If that is
// a list of named elements, it also contains the element.
func absent(object map[string]any, p fieldpath.Path) (fieldpath.Path, bool) {
	var at any = object
	for i, e := range p {
		switch {
		case e.FieldName != nil:
			m, ok := at.(map[string]any)
			if !ok {
				return nil, false // a different shape, which the API server reports
			}
			if at = m[*e.FieldName]; at == nil {
				if i+1 < len(p) && p[i+1].Key != nil {
					i++
				}
				return p[:i+1].Copy(), true
			}
		case e.Key != nil:
			item := itemWith(at, *e.Key)
			if item == nil {
				return p[:i+1].Copy(), true
			}
			at = item
		default:
			return nil, false // an element of a list that has one owner as a whole
		}
	}
	return nil, false
}

// itemWith returns the element of a list that has these keys.
func itemWith(list any, keys value.FieldList) any { // nil, not a nil map, if there is none
	for _, m := range elements(list) {
		if !slices.ContainsFunc(keys, func(f value.Field) bool {
			has := m[f.Name]
			if has == nil && f.Name == "protocol" {
				has = "TCP" // the default
			}
			return fmt.Sprint(has) != fmt.Sprint(f.Value.Unstructured())
		}) {
			return m
		}
	}
	return nil
}

func below(p, prefix fieldpath.Path) bool {
	return len(p) > len(prefix) && p[:len(prefix)].Equals(prefix)
}

// holder reports whether a path only holds others that have the same owner: a list that its
// elements' owner has created.
func holder(set *fieldpath.Set, p fieldpath.Path) bool {
	found := false
	set.Iterate(func(q fieldpath.Path) { found = found || below(q, p) })
	return found
}

func hasBelow(set *fieldpath.Set, p fieldpath.Path) bool {
	found := false
	set.Iterate(func(q fieldpath.Path) { found = found || len(q) >= len(p) && q[:len(p)].Equals(p) })
	return found
}

// reloaders reports whether a variable is one by which Stakater's Reloader restarts pods.
func reloaders(p fieldpath.Path) bool {
	return strings.HasPrefix(nameIn(p[len(p)-1]), "STAKATER_")
}

// elementsOf returns the paths of the elements of a pod spec that no default adds: its
// containers, their variables, and its volumes.
func elementsOf(object map[string]any, prefix fieldpath.Path) (all []fieldpath.Path) {
	var names []string
	for _, e := range prefix {
		names = append(names, *e.FieldName)
	}
	spec, _, err := unstructured.NestedMap(object, names...)
	if err != nil {
		return nil
	}
	element := func(at fieldpath.Path, field string, m map[string]any) fieldpath.Path {
		return append(at.Copy(), fieldpath.FieldNameElement(field), fieldpath.PathElement{Key: fieldpath.KeyByFields("name", m["name"])})
	}
	for _, list := range []string{"containers", "initContainers", "volumes"} {
		for _, m := range elements(spec[list]) {
			p := element(prefix, list, m)
			all = append(all, p)
			for _, env := range elements(m["env"]) {
				all = append(all, element(p, "env", env))
			}
		}
	}
	return all
}

// fieldsOf returns the paths of the fields of a pod spec and of its containers, including those
// that only have their default value.
func fieldsOf(object map[string]any, prefix fieldpath.Path) (all []fieldpath.Path) {
	at := []fieldpath.Path{prefix}
	for _, p := range elementsOf(object, prefix) {
		if list := *p[len(prefix)].FieldName; len(p) == len(prefix)+2 && list != "volumes" {
			at = append(at, p)
		}
	}
	for _, p := range at {
		v, _ := valueAt(object, p)
		m, ok := v.(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if _, list := m[key].([]any); ok && (!list || !named[key]) {
				all = append(all, append(p.Copy(), fieldpath.FieldNameElement(key)))
			}
		}
	}
	return all
}

// named are the lists whose elements elementsOf returns.
var named = map[string]bool{"containers": true, "initContainers": true, "volumes": true, "env": true}
