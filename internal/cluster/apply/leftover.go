package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

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
	for _, p := range elementsOf(live.Object, prefix) {
		if _, ok := absent(o.Object, p); ok && !hasBelow(owned, p) {
			unowned.paths.add(p)
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
	named := func(at fieldpath.Path, field string, m map[string]any) fieldpath.Path {
		return append(at.Copy(), fieldpath.FieldNameElement(field), fieldpath.PathElement{Key: fieldpath.KeyByFields("name", m["name"])})
	}
	for _, list := range []string{"containers", "initContainers", "volumes"} {
		for _, m := range elements(spec[list]) {
			p := named(prefix, list, m)
			all = append(all, p)
			for _, env := range elements(m["env"]) {
				all = append(all, named(p, "env", env))
			}
		}
	}
	return all
}

// paths is a list of paths, none of which is below another.
type paths []fieldpath.Path

func (l *paths) add(p fieldpath.Path) {
	for i, have := range *l {
		switch {
		case have.Equals(p), below(p, have):
			return
		case below(have, p):
			(*l)[i] = p
			return
		}
	}
	*l = append(*l, p)
}

// maxLeftovers is how many of them a message lists.
const maxLeftovers = 4

// finding returns the Finding for what a manager keeps; nil if it keeps nothing.
func (k keeper) finding(o Object, prefix fieldpath.Path) *pipeline.Finding {
	l, m := k.paths, k.ManagedFieldsEntry
	if len(l) == 0 {
		return nil
	}
	name := nameOf(o.Unstructured)
	f := &pipeline.Finding{Code: CodeLeftover, Severity: pipeline.Note, Where: Where(o, prefix.String())}
	var words []string
	for _, p := range l {
		words = append(words, inWords(p[len(prefix):]))
	}
	f.Evidence = words
	shown := strings.Join(words[:min(len(words), maxLeftovers)], ", ")
	if more := len(words) - maxLeftovers; more > 0 {
		shown += fmt.Sprintf(" and %d more", more)
	}
	f.What = fmt.Sprintf("%s keeps what the manifest does not contain: %s", name, shown)
	f.Why = "nobody owns it any more, so no apply removes it"
	if m.Manager != "" {
		f.Why = fmt.Sprintf("field manager %q set it", m.Manager)
		if m.Time != nil {
			f.Why += fmt.Sprintf(" (%s at %s)", m.Operation, m.Time.UTC().Format(time.RFC3339))
		}
		f.Why += ", and an apply removes only what sbw itself has applied"
	}
	f.Fix = "add it to the manifest; if it is not wanted, remove it: " + l.removal(o, prefix)
	if m.Manager == "" || byPeople(m.Manager) {
		f.Severity = pipeline.Warning
	}
	return f
}

// byPeople reports whether a field manager is a tool that people or their scripts use, as
// opposed to a controller, which sets its fields again when they are removed.
func byPeople(manager string) bool {
	switch strings.ToLower(manager) {
	case "helm", "terraform", "hashicorp", "k9s", "lens", "freelens", "node-fetch", "mozilla", "dashboard", "kustomize", "skaffold", "kapp":
		return true
	}
	return strings.HasPrefix(manager, "kubectl") || strings.HasPrefix(manager, "pulumi")
}

// removal returns the command that removes the fields. It is one patch, so that the pods are
// replaced only once.
func (l paths) removal(o Object, prefix fieldpath.Path) string {
	patch := map[string]any{}
	for _, p := range l {
		remove(patch, p)
	}
	text, err := json.Marshal(patch)
	if err != nil { // strings and numbers only
		return "kubectl edit " + nameOf(o.Unstructured)
	}
	return fmt.Sprintf("kubectl patch %s -n %s -p '%s'", nameOf(o.Unstructured), o.GetNamespace(), text)
}

// remove adds the removal of a path to a strategic merge patch.
func remove(at map[string]any, p fieldpath.Path) {
	field := *p[0].FieldName
	if len(p) == 1 {
		at[field] = nil
		return
	}
	if p[1].Key == nil {
		inner, ok := at[field].(map[string]any)
		if !ok {
			inner = map[string]any{}
			at[field] = inner
		}
		remove(inner, p[1:])
		return
	}
	item, ok := itemWith(at[field], *p[1].Key).(map[string]any)
	if !ok {
		item = map[string]any{}
		for _, key := range *p[1].Key {
			item[key.Name] = key.Value.Unstructured()
		}
		list, _ := at[field].([]any)
		at[field] = append(list, item)
	}
	if len(p) == 2 {
		item["$patch"] = "delete"
		return
	}
	remove(item, p[2:])
}

// inWords describes a field of a pod spec.
func inWords(p fieldpath.Path) string {
	kinds := map[string]string{"containers": "container", "initContainers": "init container", "volumes": "volume"}
	kind := kinds[*p[0].FieldName]
	if kind == "" || len(p) < 2 || p[1].Key == nil {
		return strings.TrimPrefix(p.String(), ".")
	}
	of := kind + " " + nameIn(p[1])
	switch {
	case len(p) == 2:
		return of
	case len(p) == 4 && p[2].FieldName != nil && *p[2].FieldName == "env":
		return "variable " + nameIn(p[3]) + " of " + of
	}
	return strings.TrimPrefix(p[2:].String(), ".") + " of " + of
}

// nameIn returns the name of a list's element, or "" if it has none.
func nameIn(e fieldpath.PathElement) string {
	if e.Key == nil {
		return ""
	}
	for _, key := range *e.Key {
		if key.Name == "name" {
			return fmt.Sprint(key.Value.Unstructured())
		}
	}
	return ""
}
