package judge

import (
	"fmt"
	"slices"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/units"
)

// Change is a function that stays but gets other settings.
type Change struct {
	Slug string   `json:"slug"`
	What []string `json:"what"` // "retries 2 → 0"
}

// Diff is what a registration would change, or has changed.
type Diff struct {
	Added   []model.Function `json:"added"`
	Removed []model.Function `json:"removed"`
	Changed []Change         `json:"changed"`
	Kept    []string         `json:"kept"` // slugs of the functions that do not change
}

// Empty reports whether there is no difference.
func (d Diff) Empty() bool { return len(d.Added)+len(d.Removed)+len(d.Changed) == 0 }

func (d Diff) String() string {
	return fmt.Sprintf("%d added, %d removed, %d changed, %d kept", len(d.Added), len(d.Removed), len(d.Changed), len(d.Kept))
}

// Compare reports what happens to the registered functions when the served
// ones replace them. URLs are not compared, because they follow from the app's
// URL.
func Compare(registered, served []model.Function) Diff {
	was := map[string]model.Function{}
	for _, f := range registered {
		was[f.Slug] = f
	}
	var d Diff
	for _, f := range model.BySlug(served) {
		old, known := was[f.Slug]
		delete(was, f.Slug)
		switch what := changes(old, f); {
		case !known:
			d.Added = append(d.Added, f)
		case len(what) > 0:
			d.Changed = append(d.Changed, Change{f.Slug, what})
		default:
			d.Kept = append(d.Kept, f.Slug)
		}
	}
	for _, f := range model.BySlug(registered) {
		if _, gone := was[f.Slug]; gone {
			d.Removed = append(d.Removed, f)
			delete(was, f.Slug)
		}
	}
	return d
}

func changes(was, is model.Function) []string {
	var what []string
	if was.Retries != is.Retries {
		what = append(what, fmt.Sprintf("retries %d → %d", was.Retries, is.Retries))
	}
	if a, b := joined(was.Triggers), joined(is.Triggers); a != b {
		what = append(what, fmt.Sprintf("triggers %s → %s", a, b))
	}
	if a, b := joined(was.Concurrency), joined(is.Concurrency); a != b {
		what = append(what, fmt.Sprintf("concurrency %s → %s", a, b))
	}
	return what
}

// joined writes a list independent of its order.
func joined[T fmt.Stringer](all []T) string {
	if len(all) == 0 {
		return "none"
	}
	var texts []string
	for _, one := range all {
		texts = append(texts, one.String())
	}
	slices.Sort(texts)
	return strings.Join(texts, ", ")
}

// GuardLoss refuses a registration that would make functions disappear, unless
// it is allowed. It returns nil if none would. inFlight counts, by slug, the runs that
// have not ended and would lose their function.
func GuardLoss(d Diff, inFlight map[string]InFlight, allow bool) *pipeline.Finding {
	if len(d.Removed) == 0 {
		return nil
	}
	var gone, why []string
	for _, f := range d.Removed {
		gone = append(gone, f.Slug)
		if n := inFlight[f.Slug]; n.Total() > 0 {
			why = append(why, fmt.Sprintf("%s has %s", f.Slug, n))
		}
	}
	f := &pipeline.Finding{
		Code: model.CodeFunctionsRemoved, Severity: pipeline.Error,
		What: fmt.Sprintf("%s would disappear: %s", Count(len(gone), "registered function"), strings.Join(gone, ", ")),
		Why:  "the worker does not serve them",
		Fix:  "add them to the worker's function index, or continue with --allow-removal",
	}
	if len(why) > 0 {
		f.Why += "; " + strings.Join(why, ", ")
	}
	if allow {
		f.Severity, f.Fix = pipeline.Warning, ""
		f.What = strings.Replace(f.What, "would disappear", "will disappear, as allowed", 1)
	}
	return f
}

// Count counts things in words.
func Count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// CatalogMismatch compares what is served or registered with the image's
// catalog.
func CatalogMismatch(app string, have []model.Function, expected []string) error {
	if expected == nil {
		return nil
	}
	var missing, extra []string
	want := map[string]bool{}
	for _, id := range expected {
		want[strings.TrimPrefix(id, app+"-")] = true
	}
	for _, f := range have {
		if id := f.LocalID(); !want[id] {
			if !f.IsFailureHandler() || !want[strings.TrimSuffix(id, model.FailureSuffix)] {
				extra = append(extra, id)
			}
		}
		delete(want, f.LocalID())
	}
	missing = model.SortedKeys(want)
	if len(missing)+len(extra) == 0 {
		return nil
	}
	f := &pipeline.Finding{
		Code: model.CodeCatalogMismatch, Severity: pipeline.Error,
		What: fmt.Sprintf("the worker %s does not serve what its image's catalog says", app),
		Fix:  "check which image the pods run; if it is the right one, publish again",
	}
	if len(missing) > 0 {
		f.Why = "missing: " + units.List(missing)
	}
	if len(extra) > 0 {
		slices.Sort(extra)
		f.Why = strings.TrimPrefix(f.Why+"; not in the catalog: "+units.List(extra), "; ")
	}
	return f
}

// Differs returns the error for a registration that is not what the worker
// serves.
func Differs(app string, d Diff) error {
	f := &pipeline.Finding{
		Code:     model.CodeRegistrationDiffers,
		Severity: pipeline.Error,
		What:     fmt.Sprintf("the registration of %s is not what the worker serves", app),
		Why:      "what has to change: " + d.String(),
		Fix:      "another pod may have registered an older set: `kubectl sbw refresh` once the old pods are gone",
	}
	for _, fn := range d.Added {
		f.Evidence = append(f.Evidence, "missing "+fn.Slug)
	}
	for _, fn := range d.Removed {
		f.Evidence = append(f.Evidence, "not served "+fn.Slug)
	}
	for _, c := range d.Changed {
		for _, what := range c.What {
			f.Evidence = append(f.Evidence, c.Slug+": "+what)
		}
	}
	return f
}
