package catalog

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/units"
)

// CheckOptions say which unsafe settings are allowed, and how severe the other
// findings are.
type CheckOptions struct {
	// ZeroRetries maps the ids that may have `retries: 0` to the reasons.
	ZeroRetries map[string]string
	// Severity overrides a check's severity by its code: "error", "warning",
	// "note" or "off".
	Severity map[string]string
	// SameServer means that all indexes run against one Inngest server.
	SameServer bool
	// Own is the path of the index that the image registers. Problems of
	// functions that only other indexes have are at most warnings, because the
	// image does not register them. If Own is empty, the image registers all
	// indexes.
	Own string
}

// Own returns the path of the index that the worker's own image registers,
// which is the first one. The others belong to other workers on the same
// server.
func (c *Catalog) Own() string {
	if c == nil || len(c.Indexes) == 0 {
		return ""
	}
	return c.Indexes[0].Path
}

// only returns the catalog with that index alone.
func (c *Catalog) only(path string) *Catalog {
	out := *c
	out.Indexes = slices.DeleteFunc(slices.Clone(c.Indexes), func(i Index) bool { return i.Path != path })
	return &out
}

// These are the codes of the checks, in the order of their findings.
const (
	CodeZeroRetries     pipeline.Code = "catalog-zero-retries"
	CodeDuplicateID     pipeline.Code = "catalog-duplicate-id"
	CodeFunctionThrows  pipeline.Code = "catalog-function-throws"
	CodeSDKRefused      pipeline.Code = "catalog-sdk-refused"
	CodeIDRefused       pipeline.Code = "catalog-id-refused"
	CodeCronInvalid     pipeline.Code = "catalog-cron-invalid"
	CodeFunctionRefused pipeline.Code = "catalog-function-refused"
	CodeRetriesLowered  pipeline.Code = "catalog-retries-lowered"
	CodeIDFailure       pipeline.Code = "catalog-id-failure"
	CodeSharedFunction  pipeline.Code = "catalog-shared-function"
	CodeSharedTrigger   pipeline.Code = "catalog-shared-trigger"
	CodeSharedCron      pipeline.Code = "catalog-shared-cron"
	CodeOrphan          pipeline.Code = "catalog-orphan"
	CodeOtherIndex      pipeline.Code = "catalog-other-index"
	CodeUnresolved      pipeline.Code = "catalog-unresolved"
	CodeAllowUnused     pipeline.Code = "catalog-allow-unused"
	// CodeCheckUnknown reports an override that does not name a check or a
	// severity.
	CodeCheckUnknown pipeline.Code = "catalog-check-unknown"
)

// check is one check of a catalog.
type check struct {
	code     pipeline.Code
	severity pipeline.Severity
	run      func(c *Catalog, o CheckOptions) []*pipeline.Finding
}

// checks lists all checks. A problem is an error if it makes the worker crash,
// makes the registration fail, or lets a restart lose runs.
func checks() []check {
	return []check{
		{CodeZeroRetries, pipeline.Error, zeroRetries},
		{CodeDuplicateID, pipeline.Error, duplicateIDs},
		{CodeFunctionThrows, pipeline.Error, throwing},
		{CodeSDKRefused, pipeline.Error, refusedSDKs},
		{CodeIDRefused, pipeline.Error, refusedIDs},
		{CodeCronInvalid, pipeline.Error, invalidCrons},
		{CodeFunctionRefused, pipeline.Error, refusedFunctions},
		{CodeRetriesLowered, pipeline.Warning, loweredRetries},
		{CodeIDFailure, pipeline.Warning, failureIDs},
		{CodeSharedFunction, pipeline.Warning, sharedFunctions},
		{CodeSharedTrigger, pipeline.Warning, sharedEvents},
		{CodeSharedCron, pipeline.Note, sharedCrons},
		{CodeOrphan, pipeline.Warning, orphans},
		{CodeOtherIndex, pipeline.Note, otherIndexes},
		{CodeUnresolved, pipeline.Warning, unresolved},
		{CodeAllowUnused, pipeline.Note, unusedAllowances},
	}
}

// Codes returns the codes of all checks.
func Codes() []pipeline.Code {
	var all []pipeline.Code
	for _, c := range checks() {
		all = append(all, c.code)
	}
	return all
}

// Check returns the problems of a catalog; an empty catalog has none. An
// invalid override is also reported, with the severity Error.
func Check(c *Catalog, o CheckOptions) []*pipeline.Finding {
	if c == nil || c.Empty() {
		return nil
	}
	found := o.findings()
	for _, check := range checks() {
		level, on, _ := severity(o.Severity[string(check.code)], check.severity)
		if !on {
			continue
		}
		registered := func(*pipeline.Finding) bool { return true }
		if set := o.Severity[string(check.code)]; o.Own != "" && level == pipeline.Error && set == "" {
			own := check.run(c.only(o.Own), o)
			registered = func(f *pipeline.Finding) bool {
				return slices.ContainsFunc(own, func(g *pipeline.Finding) bool { return f.What == g.What && f.Where == g.Where })
			}
		}
		for _, f := range check.run(c, o) {
			f.Code, f.Severity = check.code, level
			if !registered(f) {
				f.Severity = pipeline.Warning
			}
			found = append(found, f)
		}
	}
	return found
}

// findings returns the problems of the overrides themselves.
func (o CheckOptions) findings() []*pipeline.Finding {
	var found []*pipeline.Finding
	var known []string
	for _, c := range Codes() {
		known = append(known, string(c))
	}
	for _, code := range sortedKeys(o.Severity) {
		_, _, ok := severity(o.Severity[code], pipeline.Error)
		switch {
		case !slices.Contains(known, code):
			found = append(found, configFinding(code, "no check has that name", "use one of: "+strings.Join(known, ", ")))
		case !ok:
			found = append(found, configFinding(code, fmt.Sprintf("%q is not a severity", o.Severity[code]), "use error, warning, note or off"))
		}
	}
	return found
}

func configFinding(code, why, fix string) *pipeline.Finding {
	return &pipeline.Finding{
		Code: CodeCheckUnknown, Severity: pipeline.Error,
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

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

func where(f Function) string { return fmt.Sprintf("%s:%d", f.File, f.Line) }

// finding creates a finding about a function. Its evidence contains the call
// of the factory.
func finding(f Function, what, why, fix string) *pipeline.Finding {
	out := &pipeline.Finding{What: what, Why: why, Fix: fix, Where: where(f)}
	if f.Via != "" {
		out.Evidence = []string{"made by the call at " + f.Via}
	}
	return out
}

// all returns the functions of every index, and those that may be registered
// as well. A function that is in several indexes is returned once. One call
// may create a function for each of several apps, with different options.
func (c *Catalog) all() []Function {
	var all []Function
	for _, i := range c.Indexes {
		for _, f := range slices.Concat(i.Functions, i.Candidates) {
			if !slices.ContainsFunc(all, f.looksLike) {
				all = append(all, f)
			}
		}
	}
	return all
}

// sameAs reports whether two entries are the same function of the program.
func (f Function) sameAs(other Function) bool {
	return f.ID == other.ID && f.File == other.File && f.Line == other.Line && f.Via == other.Via
}

// looksLike reports whether two entries differ at most in who registers them.
func (f Function) looksLike(other Function) bool {
	f.App, f.Handler = other.App, other.Handler
	return reflect.DeepEqual(f, other)
}

func (f Function) undecided(field string) bool { return slices.Contains(f.Undecided, field) }

// quoted returns the quoted id of a function, or "a function" if it has none.
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
				"no index registers it", "call that function and export the result from "+strings.Join(indexes, " or ")+", or delete it"))
			continue
		}
		found = append(found, finding(f, quoted(f.ID)+" is created but is not in any index",
			"it will be missing after the deploy, because only what an index exports is registered",
			"add it to "+strings.Join(indexes, " or ")+", or delete it"))
	}
	return found
}

// otherIndexes reports modules that register functions but are not indexes of
// the worker. Whether one is forgotten, belongs to another worker or is only
// for development, the sources do not say.
func otherIndexes(c *Catalog, _ CheckOptions) []*pipeline.Finding {
	var found []*pipeline.Finding
	for _, o := range c.Others {
		f := &pipeline.Finding{
			Where: fmt.Sprintf("%s:%d", o.Path, o.Line),
			What:  o.Path + " " + o.registers() + ", but it is not an index of this worker",
			Why:   "what only that module registers is neither checked nor recorded in this image",
			Fix: fmt.Sprintf("if it runs as another worker, add that one to .sbw.yaml: workers: {NAME: {catalog: {indexes: [%s]}}}; "+
				"if it is a server for development, ignore this", o.Path),
		}
		if o.Worker != "" {
			f.What = fmt.Sprintf("%s, an index of the worker %q, %s", o.Path, o.Worker, o.registers())
			f.Why = "what only that module registers is checked and recorded when that worker is published"
			f.Fix = "list it with gh sbw functions --worker " + o.Worker
		}
		if len(o.Only) > 0 {
			f.Evidence = append(f.Evidence, "only there: "+units.List(o.Only))
		}
		if len(o.Perhaps) > 0 {
			f.Evidence = append(f.Evidence, "perhaps there: "+units.List(o.Perhaps))
		}
		if o.Incomplete != "" {
			f.Evidence = append(f.Evidence, "not everything is known: "+o.Incomplete)
		}
		found = append(found, f)
	}
	return found
}

// registers describes what another module registers.
func (o Other) registers() string {
	switch {
	case o.Functions > 0 && o.Incomplete == "":
		return "registers " + units.Count(o.Functions, "function", "functions")
	case o.Functions > 0:
		return "registers " + units.Count(o.Functions, "function", "functions") + " or more"
	}
	return "registers functions that cannot be determined"
}

func unresolved(c *Catalog, _ CheckOptions) []*pipeline.Finding {
	var found []*pipeline.Finding
	for _, u := range c.Unresolved {
		found = append(found, &pipeline.Finding{
			What: "cannot determine " + u.What, Why: u.Why,
			Fix:   "write it as a constant, or check what the worker registers after the deploy",
			Where: fmt.Sprintf("%s:%d", u.File, u.Line),
		})
	}
	return found
}
