package catalog

import (
	"fmt"
	"slices"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// CheckOptions say what is wanted although it is unsafe, and how grave the
// rest is.
type CheckOptions struct {
	// ZeroRetries are the ids that may have `retries: 0`, each with its reason.
	ZeroRetries map[string]string
	// Severity overrides a check's severity by its code: "error", "warning",
	// "note" or "off".
	Severity map[string]string
	// SameServer says that all indexes run against one Inngest server.
	SameServer bool
}

// check is one question asked of a catalog.
type check struct {
	code     pipeline.Code
	severity pipeline.Severity
	run      func(c *Catalog, o CheckOptions) []*pipeline.Finding
}

// checks are all of them, in the order in which they report. What makes the
// worker crash, the registration fail or a restart lose runs is an error.
func checks() []check {
	return []check{
		{code: "catalog-zero-retries", severity: pipeline.Error, run: zeroRetries},
		{code: "catalog-duplicate-id", severity: pipeline.Error, run: duplicateIDs},
		{code: "catalog-function-throws", severity: pipeline.Error, run: throwing},
		{code: "catalog-id-refused", severity: pipeline.Error, run: refusedIDs},
		{code: "catalog-cron-invalid", severity: pipeline.Error, run: invalidCrons},
		{code: "catalog-function-refused", severity: pipeline.Error, run: refusedFunctions},
		{code: "catalog-retries-lowered", severity: pipeline.Warning, run: loweredRetries},
		{code: "catalog-id-failure", severity: pipeline.Warning, run: failureIDs},
		{code: "catalog-shared-function", severity: pipeline.Warning, run: sharedFunctions},
		{code: "catalog-shared-trigger", severity: pipeline.Warning, run: sharedEvents},
		{code: "catalog-shared-cron", severity: pipeline.Note, run: sharedCrons},
		{code: "catalog-orphan", severity: pipeline.Warning, run: orphans},
		{code: "catalog-unresolved", severity: pipeline.Warning, run: unresolved},
		{code: "catalog-allow-unused", severity: pipeline.Note, run: unusedAllowances},
	}
}

// Codes are the codes of all checks.
func Codes() []string {
	var all []string
	for _, c := range checks() {
		all = append(all, string(c.code))
	}
	return all
}

// Check returns what is wrong with a catalog; nothing for an empty one. An
// override that is not understood is a finding too, of the severity Error.
func Check(c *Catalog, o CheckOptions) []*pipeline.Finding {
	var found []*pipeline.Finding
	if c == nil || c.Empty() {
		return nil
	}
	known := Codes()
	for _, code := range sortedKeys(o.Severity) {
		_, _, ok := severity(o.Severity[code], pipeline.Error)
		switch {
		case !slices.Contains(known, code):
			found = append(found, configFinding(code, "there is no check of that name", "use one of: "+strings.Join(known, ", ")))
		case !ok:
			found = append(found, configFinding(code, fmt.Sprintf("%q is no severity", o.Severity[code]), "use error, warning, note or off"))
		}
	}
	for _, check := range checks() {
		level, on, _ := severity(o.Severity[string(check.code)], check.severity)
		if !on {
			continue
		}
		for _, f := range check.run(c, o) {
			f.Code, f.Severity = check.code, level
			found = append(found, f)
		}
	}
	return found
}

func configFinding(code, why, fix string) *pipeline.Finding {
	return &pipeline.Finding{
		Code: "catalog-check-unknown", Severity: pipeline.Error,
		What: fmt.Sprintf("catalog.checks sets %q", code), Why: why, Fix: fix, Where: ".sbw.yaml", End: pipeline.Usage,
	}
}

func severity(name string, otherwise pipeline.Severity) (level pipeline.Severity, on, ok bool) {
	switch name {
	case "":
		return otherwise, true, true
	case "off":
		return otherwise, false, true
	case "note":
		return pipeline.Note, true, true
	case "warning":
		return pipeline.Warning, true, true
	case "error":
		return pipeline.Error, true, true
	}
	return otherwise, true, false
}

func sortedKeys(m map[string]string) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func where(f Function) string { return fmt.Sprintf("%s:%d", f.File, f.Line) }

// finding is one about a function; a factory's call is told as evidence.
func finding(f Function, what, why, fix string) *pipeline.Finding {
	out := &pipeline.Finding{What: what, Why: why, Fix: fix, Where: where(f)}
	if f.Via != "" {
		out.Evidence = []string{"made by the call at " + f.Via}
	}
	return out
}

// all are the functions of every index; one that is in several comes once.
func (c *Catalog) all() []Function {
	var all []Function
	for _, i := range c.Indexes {
		for _, f := range i.Functions {
			if !slices.ContainsFunc(all, f.sameAs) {
				all = append(all, f)
			}
		}
	}
	return all
}

// sameAs reports whether two entries are one function of the program.
func (f Function) sameAs(other Function) bool {
	return f.ID == other.ID && f.File == other.File && f.Line == other.Line && f.Via == other.Via
}

func (f Function) undecided(field string) bool { return slices.Contains(f.Undecided, field) }

// quoted names a function; one without an id is named by its place alone.
func quoted(id string) string {
	if id == "" {
		return "a function"
	}
	return fmt.Sprintf("%q", id)
}

func orphans(c *Catalog, _ CheckOptions) []*pipeline.Finding {
	var found []*pipeline.Finding
	var indexes []string
	for _, i := range c.Indexes {
		indexes = append(indexes, i.Path)
	}
	for _, f := range c.Orphans {
		if f.Uncalled {
			found = append(found, finding(f, quoted(f.ID)+" is created by a function that nothing calls",
				"no index registers it", "call it and export the result from "+strings.Join(indexes, " or ")+", or delete it"))
			continue
		}
		found = append(found, finding(f, quoted(f.ID)+" is created but in no index",
			"it will be missing after the deploy: only what an index exports is registered",
			"add it to "+strings.Join(indexes, " or ")+", or delete it"))
	}
	return found
}

func unresolved(c *Catalog, _ CheckOptions) []*pipeline.Finding {
	var found []*pipeline.Finding
	for _, u := range c.Unresolved {
		found = append(found, &pipeline.Finding{
			What: "cannot tell " + u.What, Why: u.Why,
			Fix:   "write it as a constant, or look at what the worker registers after the deploy",
			Where: fmt.Sprintf("%s:%d", u.File, u.Line),
		})
	}
	return found
}
