package judge

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// StepSet lists the steps of a function in the version that is about to be rolled
// out, by their ids in the source and in its order.
type StepSet struct {
	IDs []string
	// Open means that there may be others.
	Open bool
}

// StepHash returns the id under which a server keeps the result of a step: the
// SHA-1 of its id, in hex (execution/v1.ts: hashId, SDK 3 and 4).
func StepHash(id string) string {
	sum := sha1.Sum([]byte(id))
	return hex.EncodeToString(sum[:])
}

// has reports whether one of the steps keeps its result under a hash. The SDK
// appends :1, :2, … to an id that is used again (STEP_INDEXING_SUFFIX); a run
// with n steps has fewer than n of these.
func (s StepSet) has(hash string, n int) bool {
	return slices.ContainsFunc(s.IDs, func(id string) bool {
		if StepHash(id) == hash {
			return true
		}
		for i := 1; i < n; i++ {
			if StepHash(fmt.Sprintf("%s:%d", id, i)) == hash {
				return true
			}
		}
		return false
	})
}

// goneStep is a step that the new version of a function lacks.
type goneStep struct {
	slug, hash string
	done       bool // it has a result; otherwise it lasts, or is tried again
}

// goneRuns are the runs that have begun such a step.
type goneRuns struct {
	name string
	runs []string
	// next is the first step of the new version without a result, empty where that
	// differs between the runs.
	next string
}

// JudgeSpans reports the steps that unfinished runs have begun and that the next
// version of their function lacks: it does not find their results, so that work is
// done twice. next has the steps by slug; what is missing or open there is reported
// in one note, as are the runs that were not read.
func JudgeSpans(runs []UnfinishedRun, notRead map[string]int, next map[string]StepSet) []*pipeline.Finding {
	gone := map[goneStep]*goneRuns{}
	var order []goneStep
	unknown := map[string]int{}
	for _, r := range runs {
		set, known := next[r.Slug]
		var missing []goneStep
		n := len(r.Finished) + len(r.Pending)
		names := map[string]string{}
		for i, s := range slices.Concat(r.Finished, r.Pending) {
			if !set.has(s.ID, n) {
				missing = append(missing, goneStep{r.Slug, s.ID, i < len(r.Finished)})
				names[s.ID] = s.Name
			}
		}
		if len(missing) > 0 && (!known || set.Open) {
			unknown[r.Slug]++
			continue
		}
		for _, m := range missing {
			if gone[m] == nil {
				gone[m] = &goneRuns{name: names[m.hash], next: set.firstWithout(r)}
				order = append(order, m)
			}
			gone[m].runs = append(gone[m].runs, r.ID)
			if gone[m].next != set.firstWithout(r) {
				gone[m].next = ""
			}
		}
	}
	var all []*pipeline.Finding
	for _, m := range order {
		all = append(all, m.finding(gone[m]))
	}
	if f := spansUnknown(unknown, notRead, next); f != nil {
		all = append(all, f)
	}
	return all
}

// firstWithout returns the first step that a run has not begun.
func (s StepSet) firstWithout(r UnfinishedRun) string {
	for _, id := range s.IDs {
		hash := StepHash(id)
		begun := func(s Step) bool { return s.ID == hash }
		if !slices.ContainsFunc(r.Finished, begun) && !slices.ContainsFunc(r.Pending, begun) {
			return id
		}
	}
	return ""
}

func (g goneStep) finding(runs *goneRuns) *pipeline.Finding {
	f := &pipeline.Finding{Code: model.CodeStepGone, Severity: pipeline.Warning, Where: g.slug}
	verb := "have finished"
	switch {
	case !g.done && len(runs.runs) == 1:
		verb = "is in"
	case !g.done:
		verb = "are in"
	case len(runs.runs) == 1:
		verb = "has finished"
	}
	f.What = fmt.Sprintf("%s of %s %s `%s`; the new version has no such step", Count(len(runs.runs), "run"), g.slug, verb, runs.name)
	if runs.next != "" {
		f.What += fmt.Sprintf(" and would run `%s`", runs.next)
	}
	f.Why = "a run continues with the new code, which finds the results of steps by their ids; the work is then done again under another id"
	f.Fix = "keep the step's id, or wait until these runs have ended"
	const shown = 10
	for i, id := range runs.runs {
		if i == shown {
			f.Evidence = append(f.Evidence, fmt.Sprintf("and %d more", len(runs.runs)-shown))
			break
		}
		f.Evidence = append(f.Evidence, "run "+id)
	}
	return f
}

// spansUnknown reports in one note what could not be compared.
func spansUnknown(unknown, notRead map[string]int, next map[string]StepSet) *pipeline.Finding {
	n := 0
	f := &pipeline.Finding{Code: model.CodeStepsUnknown, Severity: pipeline.Note}
	for _, slug := range slices.Sorted(maps.Keys(unknown)) {
		n += unknown[slug]
		why := "the image does not record the steps of this function"
		if _, known := next[slug]; known {
			why = "not all steps of this function are known from its source"
		}
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s of %s: %s", Count(unknown[slug], "run"), slug, why))
	}
	for _, slug := range slices.Sorted(maps.Keys(notRead)) {
		n += notRead[slug]
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s of %s: the steps were not read from the server", Count(notRead[slug], "run"), slug))
	}
	if n == 0 {
		return nil
	}
	f.What = "it is not known whether the new version has all steps that " + Count(n, "unfinished run") + " began"
	f.Why = "a step whose id is gone or renamed would run again"
	return f
}
