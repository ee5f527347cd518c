package apply

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

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
	f.Fix = "add it to the manifest; if it is not wanted, remove it: " + l.removal(o)
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
func (l paths) removal(o Object) string {
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
