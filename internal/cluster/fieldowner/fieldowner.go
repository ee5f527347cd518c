// Package fieldowner finds out who changed a workload's pod template between
// two states of it, and which fields. A watch or an undo calls Template when
// the live object is no longer the one that this project wrote, so that the
// message can name the other manager.
//
// managedFields say who owns a field and when they last wrote, not who changed
// its value. The manager is therefore a best guess, while the fields come from
// comparing the two templates and are exact.
package fieldowner

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
)

// Change is a change of a pod template by somebody else.
type Change struct {
	// Manager is the field manager, empty if managedFields do not show it.
	Manager   string
	Operation string
	Time      time.Time
	// Fields are the paths that differ: spec.containers[worker].image.
	Fields []string
}

// maxFields limits how many paths String prints.
const maxFields = 3

// String formats the manager and the fields on one line.
func (c Change) String() string {
	who := "a field manager that cannot be determined"
	if c.Manager != "" {
		who = fmt.Sprintf("field manager %q, %s at %s", c.Manager, c.Operation, c.Time.UTC().Format(time.RFC3339))
	}
	if c.Manager == cluster.FieldManager {
		who = "another run of sbw (" + who + ")"
	}
	if len(c.Fields) == 0 {
		return who
	}
	shown := c.Fields[:min(len(c.Fields), maxFields)]
	text := who + " changed " + strings.Join(shown, ", ")
	if more := len(c.Fields) - len(shown); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// Creator returns who wrote an object first, as far as its managedFields still show it.
func Creator(o metav1.Object) (c Change) {
	for _, m := range o.GetManagedFields() {
		if m.Subresource == "" && m.Time != nil && (c.Manager == "" || m.Time.Time.Before(c.Time)) {
			c = Change{Manager: m.Manager, Operation: string(m.Operation), Time: m.Time.Time}
		}
	}
	return c
}

// Owner returns who last set one field, such as spec.paused.
func Owner(o metav1.Object, path ...any) (c Change) {
	field := fieldpath.MakePathOrDie(path...)
	for _, m := range o.GetManagedFields() {
		if m.Time != nil && m.Time.After(c.Time) && fieldsOf(m).Has(field) {
			c = Change{Manager: m.Manager, Operation: string(m.Operation), Time: m.Time.Time}
		}
	}
	return c
}

// Template returns the change of the pod template between then and now.
func Template(then, now *workload.Workload) Change {
	c := writer(now.Object(), then.Object())
	c.Fields = Fields(then.Template(), now.Template())
	return c
}

// writer picks the manager that most likely made the change: one that owns
// template fields it did not own before, or else one whose entry is newer. Of
// several such managers, one that has lost a field is the less likely: it may
// have been overwritten, although an apply also gives up what it leaves out.
func writer(now, then metav1.Object) (c Change) {
	type key struct{ manager, operation, subresource string }
	of := func(m metav1.ManagedFieldsEntry) key { return key{m.Manager, string(m.Operation), m.Subresource} }
	before := map[key]metav1.ManagedFieldsEntry{}
	for _, m := range then.GetManagedFields() {
		before[of(m)] = m
	}
	best := 0
	for _, m := range now.GetManagedFields() {
		if m.Subresource != "" || m.Time == nil {
			continue
		}
		old := before[of(m)]
		had, has := fieldsOf(old), fieldsOf(m)
		score := 0
		switch {
		case touchesTemplate(has.Difference(had)):
			score = 3
		case old.Time.Before(m.Time) && had.Difference(has).Empty():
			score = 2
		case old.Time.Before(m.Time) && touchesTemplate(has):
			score = 1
		}
		if score > best {
			best, c = score, Change{Manager: m.Manager, Operation: string(m.Operation), Time: m.Time.Time}
		}
	}
	return c
}

func fieldsOf(m metav1.ManagedFieldsEntry) *fieldpath.Set {
	set := fieldpath.NewSet()
	if m.FieldsV1 != nil && set.FromJSON(m.FieldsV1.GetRawReader()) != nil {
		return fieldpath.NewSet() // written by somebody else in an unreadable form
	}
	return set
}

func touchesTemplate(s *fieldpath.Set) bool {
	found := false
	s.Iterate(func(p fieldpath.Path) { found = found || strings.HasPrefix(p.String(), ".spec.template") })
	return found
}

// Fields lists the paths where two pod templates differ, sorted. List elements
// are identified by their name if they have one.
func Fields(a, b *corev1.PodTemplateSpec) []string {
	before, errA := runtime.DefaultUnstructuredConverter.ToUnstructured(a)
	after, errB := runtime.DefaultUnstructuredConverter.ToUnstructured(b)
	if errA != nil || errB != nil {
		return nil // cannot happen with typed objects; the change is reported without its fields
	}
	var paths []string
	compare("", before, after, &paths)
	slices.Sort(paths)
	return slices.Compact(paths)
}

func compare(path string, a, b any, paths *[]string) {
	if equality.Semantic.DeepEqual(a, b) {
		return
	}
	x, isX := asMap(a)
	y, isY := asMap(b)
	if isX && isY {
		for _, k := range slices.Sorted(maps.Keys(union(x, y))) {
			compare(join(path, k), x[k], y[k], paths)
		}
		return
	}
	x, isX = byName(a)
	y, isY = byName(b)
	if isX && isY {
		for _, k := range slices.Sorted(maps.Keys(union(x, y))) {
			if x[k] == nil || y[k] == nil { // added or removed as a whole
				*paths = append(*paths, path+"["+k+"]")
				continue
			}
			compare(path+"["+k+"]", x[k], y[k], paths)
		}
		return
	}
	*paths = append(*paths, path)
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// asMap returns v as a map; a missing map is an empty one.
func asMap(v any) (map[string]any, bool) {
	m, ok := v.(map[string]any)
	return m, ok || v == nil
}

func union(a, b map[string]any) map[string]any {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]any{}
	}
	maps.Copy(all, b)
	return all
}

// byName indexes a list whose elements all have a name; a missing list is an
// empty one.
func byName(v any) (map[string]any, bool) {
	if v == nil {
		return nil, true
	}
	list, ok := v.([]any)
	if !ok {
		return nil, false
	}
	all := make(map[string]any, len(list))
	for _, e := range list {
		m, ok := e.(map[string]any)
		if !ok {
			return nil, false
		}
		name, ok := m["name"].(string)
		if !ok {
			return nil, false
		}
		all[name] = e
	}
	return all, true
}
