package watch

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// writer is who changed the pod template between two states of an object, as
// far as managedFields tell: best one who owns fields of it that were not
// theirs, else whose entry is newer and has lost nothing (who lost a field was
// written over).
func writer(now, then metav1.Object) string {
	type key struct{ manager, operation, subresource string }
	of := func(m metav1.ManagedFieldsEntry) key { return key{m.Manager, string(m.Operation), m.Subresource} }
	before := map[key]metav1.ManagedFieldsEntry{}
	for _, m := range then.GetManagedFields() {
		before[of(m)] = m
	}
	best, who := 0, ""
	for _, m := range now.GetManagedFields() {
		if m.Subresource != "" || m.Time == nil {
			continue
		}
		old := before[of(m)]
		had, has := fieldsOf(old), fieldsOf(m)
		score := 0
		switch {
		case touchesTemplate(has.Difference(had)):
			score = 2
		case old.Time.Before(m.Time) && had.Difference(has).Empty():
			score = 1
		}
		if score > best {
			best, who = score, fmt.Sprintf("field manager %q, %s at %s", m.Manager, m.Operation, m.Time.UTC().Format(time.RFC3339))
		}
	}
	if who == "" {
		return "the pod template is not the one that was applied"
	}
	return who
}

func fieldsOf(m metav1.ManagedFieldsEntry) *fieldpath.Set {
	set := fieldpath.NewSet()
	if m.FieldsV1 != nil && set.FromJSON(m.FieldsV1.GetRawReader()) != nil {
		return fieldpath.NewSet() // not this process's to repair
	}
	return set
}

func touchesTemplate(s *fieldpath.Set) bool {
	found := false
	s.Iterate(func(p fieldpath.Path) { found = found || strings.HasPrefix(p.String(), ".spec.template") })
	return found
}
