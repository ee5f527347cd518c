package catalog

import (
	"fmt"
	"slices"
	"strings"
)

// Registered is a function that an Inngest server has registered.
type Registered struct {
	// ID is the slug without the app's prefix ("<app>-").
	ID string
	// Retries is the value that the server stores: its default if none was
	// given.
	Retries  int
	Triggers []Trigger
}

// failedEvent starts the failure handlers that the SDK generates
// (helpers/consts.ts: internalEvents.FunctionFailed).
const failedEvent = "inngest/function.failed"

// FromRegistered converts registered functions so that they can be compared
// with those of an index: a generated failure handler becomes its function's
// OnFailure.
func FromRegistered(registered []Registered) []Function {
	var all []Function
	handlers := map[string]bool{}
	for _, r := range registered {
		base, isHandler := strings.CutSuffix(r.ID, failureSuffix)
		if isHandler && slices.ContainsFunc(r.Triggers, func(t Trigger) bool { return t.Event == failedEvent }) {
			handlers[base] = true
			continue
		}
		all = append(all, Function{ID: r.ID, Retries: Retries{Value: r.Retries, Explicit: true}, Triggers: slices.Clone(r.Triggers)})
	}
	for i := range all {
		all[i].OnFailure = handlers[all[i].ID]
		delete(handlers, all[i].ID)
	}
	// A failure handler without its function is listed as a function.
	for _, r := range registered {
		if base, ok := strings.CutSuffix(r.ID, failureSuffix); ok && handlers[base] {
			all = append(all, Function{ID: r.ID, Retries: Retries{Value: r.Retries, Explicit: true}, Triggers: slices.Clone(r.Triggers)})
		}
	}
	return all
}

// Change is one function that was added, removed or changed.
type Change struct {
	ID     string    `json:"id"`
	Before *Function `json:"before,omitempty"`
	After  *Function `json:"after,omitempty"`
	// What describes the change for people: "retries 4 → 0", "trigger + cron 0
	// * * * *".
	What []string `json:"what,omitempty"`
}

// Difference is the difference between two lists of functions. Each list is
// sorted by id.
type Difference struct {
	Added   []Change `json:"added,omitempty"`
	Removed []Change `json:"removed,omitempty"`
	Changed []Change `json:"changed,omitempty"`
}

// Empty reports whether there is no difference.
func (d Difference) Empty() bool { return len(d.Added)+len(d.Removed)+len(d.Changed) == 0 }

// Summary describes the difference in a few words: "2 added, 1 removed".
func (d Difference) Summary() string {
	var parts []string
	for _, p := range []struct {
		n    int
		word string
	}{{len(d.Added), "added"}, {len(d.Removed), "removed"}, {len(d.Changed), "changed"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.word))
		}
	}
	if len(parts) == 0 {
		return "no difference"
	}
	return strings.Join(parts, ", ")
}

// Diff compares two lists of functions by id. Fields that could not be
// determined in one of them are not compared.
func Diff(before, after []Function) Difference {
	old, current := byID(before), byID(after)
	var d Difference
	for _, id := range ids(old, current) {
		b, a := old[id], current[id]
		switch {
		case b == nil:
			d.Added = append(d.Added, Change{ID: id, After: a, What: describe(*a)})
		case a == nil:
			d.Removed = append(d.Removed, Change{ID: id, Before: b})
		default:
			if what := compare(*b, *a); len(what) > 0 {
				d.Changed = append(d.Changed, Change{ID: id, Before: b, After: a, What: what})
			}
		}
	}
	return d
}

func byID(fs []Function) map[string]*Function {
	m := map[string]*Function{}
	for _, f := range fs {
		if _, dup := m[f.ID]; !dup {
			m[f.ID] = &f
		}
	}
	return m
}

func ids(a, b map[string]*Function) []string {
	var all []string
	for id := range a {
		all = append(all, id)
	}
	for id := range b {
		if a[id] == nil {
			all = append(all, id)
		}
	}
	slices.Sort(all)
	return all
}

// Effective returns the value that the server uses, which is at most 20
// (pkg/sdk/function.go: "Always enforce bounds").
func (r Retries) Effective() int { return min(r.Value, maxRetries) }

func describe(f Function) []string {
	var what []string
	if !f.undecided("retries") {
		what = append(what, fmt.Sprintf("retries %d", f.Retries.Effective()))
	}
	for _, t := range f.Triggers {
		what = append(what, "trigger "+t.String())
	}
	return what
}

func compare(b, a Function) []string {
	var what []string
	same := func(field string) bool { return b.undecided(field) || a.undecided(field) }
	if !same("retries") && b.Retries.Effective() != a.Retries.Effective() {
		what = append(what, fmt.Sprintf("retries %d → %d", b.Retries.Effective(), a.Retries.Effective()))
	}
	if !same("triggers") {
		for _, t := range b.Triggers {
			if !slices.Contains(a.Triggers, t) {
				what = append(what, "trigger − "+t.String())
			}
		}
		for _, t := range a.Triggers {
			if !slices.Contains(b.Triggers, t) {
				what = append(what, "trigger + "+t.String())
			}
		}
	}
	if !same("onFailure") && b.OnFailure != a.OnFailure {
		sign := "−"
		if a.OnFailure {
			sign = "+"
		}
		what = append(what, sign+" failure handler")
	}
	return what
}

// Match returns the index from which a list of registered functions comes: the
// one that has the most ids in common with it, or the first of several with
// the same number. It returns none if there is no common id.
func (c *Catalog) Match(registered []Function) (Index, bool) {
	have := byID(registered)
	best, most := -1, 0
	for i, index := range c.Indexes {
		shared := 0
		for _, f := range index.Functions {
			if have[f.ID] != nil {
				shared++
			}
		}
		if shared > most {
			best, most = i, shared
		}
	}
	if best < 0 {
		return Index{}, false
	}
	return c.Indexes[best], true
}

// Slugs returns the ids under which the server stores a function of an app.
func (f Function) Slugs(app string) []string {
	var all []string
	for _, id := range f.registers() {
		if f.ID != "" { // [app, id].filter(Boolean).join("-")
			id = "-" + id
		}
		all = append(all, app+id)
	}
	return all
}

// IndexDifference is the difference between two versions of one index.
type IndexDifference struct {
	Path string `json:"path"`
	Difference
	// Incomplete means that functions may be missing in one of the versions,
	// so the added and removed functions are not certain.
	Incomplete bool `json:"incomplete,omitempty"`
}

// DiffIndexes compares two catalogs index by index, in the order of after.
// Indexes that only before has come last.
func DiffIndexes(before, after *Catalog) []IndexDifference {
	var all []IndexDifference
	find := func(c *Catalog, path string) Index {
		for _, i := range c.Indexes {
			if i.Path == path {
				return i
			}
		}
		return Index{Path: path}
	}
	for _, a := range after.Indexes {
		b := find(before, a.Path)
		all = append(all, IndexDifference{a.Path, Diff(b.Functions, a.Functions), a.Incomplete || b.Incomplete})
	}
	for _, b := range before.Indexes {
		if !slices.ContainsFunc(after.Indexes, func(a Index) bool { return a.Path == b.Path }) {
			all = append(all, IndexDifference{b.Path, Diff(b.Functions, nil), b.Incomplete})
		}
	}
	return all
}
