package judge

import (
	"fmt"
	"slices"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Duplicate is something that two apps have, so that one event starts two
// runs.
type Duplicate struct {
	// Function is set if the same function is in several apps, and Trigger if
	// functions with different names are triggered by the same event.
	Function string   `json:"function,omitempty"`
	Trigger  string   `json:"trigger,omitempty"`
	Slugs    []string `json:"slugs"`
	Apps     []string `json:"apps"`
}

// Duplicates finds functions that are in more than one app, and events that
// start functions in more than one app. Failure handlers belong to their
// functions; a cron counts as shared only together with the same function.
func Duplicates(apps []model.App) []Duplicate {
	functions, triggers := map[string][]model.Function{}, map[string][]model.Function{}
	for _, a := range apps {
		for _, f := range a.Functions {
			if f.IsFailureHandler() {
				continue
			}
			functions[f.LocalID()] = append(functions[f.LocalID()], f)
			for _, t := range f.Triggers {
				if t.Event != "" {
					triggers[t.String()] = append(triggers[t.String()], f)
				}
			}
		}
	}
	var all []Duplicate
	for _, id := range model.SortedKeys(functions) {
		if inSeveralApps(functions[id]) {
			all = append(all, Duplicate{Function: id, Slugs: slugs(functions[id]), Apps: appsOf(functions[id])})
		}
	}
	for _, t := range model.SortedKeys(triggers) {
		if fs := triggers[t]; inSeveralApps(fs) && !sameFunction(fs) {
			all = append(all, Duplicate{Trigger: t, Slugs: slugs(fs), Apps: appsOf(fs)})
		}
	}
	return all
}

func inSeveralApps(fs []model.Function) bool {
	return slices.ContainsFunc(fs, func(f model.Function) bool { return f.App != fs[0].App })
}

func sameFunction(fs []model.Function) bool {
	return !slices.ContainsFunc(fs, func(f model.Function) bool { return f.LocalID() != fs[0].LocalID() })
}

func appsOf(fs []model.Function) []string {
	var all []string
	for _, f := range fs {
		all = append(all, f.App)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func slugs(fs []model.Function) []string {
	var all []string
	for _, f := range fs {
		all = append(all, f.Slug)
	}
	slices.Sort(all)
	return all
}

// duplicateFinding returns the finding for the duplicates of one app.
func duplicateFinding(app string, all []Duplicate) *pipeline.Finding {
	var twice, shared []string
	for _, d := range all {
		if !slices.Contains(d.Apps, app) {
			continue
		}
		if d.Function != "" {
			twice = append(twice, strings.Join(d.Slugs, " = "))
		} else {
			shared = append(shared, fmt.Sprintf("%s starts %s", d.Trigger, strings.Join(d.Slugs, " and ")))
		}
	}
	switch {
	case len(twice) > 0:
		return &pipeline.Finding{
			Code: model.CodeDuplicates, Severity: pipeline.Warning, Evidence: append(twice, shared...),
			What: fmt.Sprintf("%s in more than one app", IsAre(len(twice), "function")), Why: "every event that starts them makes one run per app",
			Fix: "keep each function in one index (host or cluster), or delete an app that is stale: `kubectl sbw refresh --prune-stale`",
		}
	case len(shared) > 0:
		return &pipeline.Finding{
			Code: model.CodeSharedTriggers, Severity: pipeline.Note, Evidence: shared,
			What: fmt.Sprintf("%s functions in more than one app", starts(len(shared))),
			Why:  "that may be intended: different functions listen to the same event",
		}
	}
	return nil
}

// IsAre returns a count with its noun and verb.
func IsAre(n int, thing string) string {
	if n == 1 {
		return "1 " + thing + " is"
	}
	return fmt.Sprintf("%d %ss are", n, thing)
}

func starts(n int) string {
	if n == 1 {
		return "1 event starts"
	}
	return fmt.Sprintf("%d events start", n)
}
