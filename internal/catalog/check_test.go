package catalog

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

func fn(id string, change ...func(*Function)) Function {
	f := Function{ID: id, File: id + ".ts", Line: 3, Retries: Retries{Value: 3, Explicit: true}, Triggers: []Trigger{{Event: "e/" + id}}}
	for _, c := range change {
		c(&f)
	}
	return f
}

func retries(n int) func(*Function) {
	return func(f *Function) { f.Retries = Retries{Value: n, Explicit: true} }
}

func triggers(ts ...Trigger) func(*Function) { return func(f *Function) { f.Triggers = ts } }

func onFailure(f *Function) { f.OnFailure = true }

func at(file string) func(*Function) { return func(f *Function) { f.File = file } }

func handler(n int, app string) func(*Function) {
	return func(f *Function) { f.Handler, f.App = n, app }
}

func batch(size int, with ...string) func(*Function) {
	return func(f *Function) { f.Batch = &Batch{MaxSize: size, With: with} }
}

func codeNames() []string {
	var all []string
	for _, c := range Codes() {
		all = append(all, string(c))
	}
	return all
}

func via(place string) func(*Function) { return func(f *Function) { f.Via = place } }

func undecided(field string) func(*Function) {
	return func(f *Function) { f.Undecided = append(f.Undecided, field) }
}

func index(path string, fs ...Function) Index { return Index{Path: path, Functions: fs} }

// lines formats findings as lines with severity, code and text.
func findingLines(fs []*pipeline.Finding) string {
	var lines []string
	for _, f := range fs {
		line := fmt.Sprintf("%s %s %s", f.Severity, f.Code, f.Error())
		for _, e := range f.Evidence {
			line += " | " + e
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// TestCheckOwn: problems of functions that the image does not register are at
// most warnings.
func TestCheckOwn(t *testing.T) {
	cluster := index("index.cluster.ts", fn("both", retries(0)), fn("safe"))
	host := index("index.host.ts", fn("both", retries(0)), fn("host-a", retries(0)), fn("host-b", triggers(Trigger{Cron: "61 * * * *"})), fn("dup"), fn("dup"))
	for _, tt := range []struct {
		name string
		o    CheckOptions
		want map[string]pipeline.Severity // codes and functions
	}{
		{"the first index", CheckOptions{Own: "index.cluster.ts"}, map[string]pipeline.Severity{
			"catalog-zero-retries both.ts:3": pipeline.Error, "catalog-zero-retries host-a.ts:3": pipeline.Warning,
			"catalog-cron-invalid host-b.ts:3": pipeline.Warning, "catalog-duplicate-id dup.ts:3": pipeline.Warning}},
		{"the other index", CheckOptions{Own: "index.host.ts"}, map[string]pipeline.Severity{
			"catalog-zero-retries both.ts:3": pipeline.Error, "catalog-zero-retries host-a.ts:3": pipeline.Error,
			"catalog-cron-invalid host-b.ts:3": pipeline.Error, "catalog-duplicate-id dup.ts:3": pipeline.Error}},
		{"with severity error for all", CheckOptions{Own: "index.cluster.ts", Severity: map[string]string{"catalog-zero-retries": "error"}}, map[string]pipeline.Severity{
			"catalog-zero-retries both.ts:3": pipeline.Error, "catalog-zero-retries host-a.ts:3": pipeline.Error,
			"catalog-cron-invalid host-b.ts:3": pipeline.Warning, "catalog-duplicate-id dup.ts:3": pipeline.Warning}},
	} {
		got := map[string]pipeline.Severity{}
		for _, f := range Check(&Catalog{Indexes: []Index{cluster, host}}, tt.o) {
			got[fmt.Sprint(f.Code, " ", f.Where)] = f.Severity
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%s: %s", tt.name, d)
		}
	}
	if (&Catalog{Indexes: []Index{cluster, host}}).Own() != "index.cluster.ts" || (*Catalog)(nil).Own() != "" {
		t.Error("the image's own index is not the first index")
	}
}

func TestCheck(t *testing.T) {
	many := make([]Trigger, 11)
	for i := range many {
		many[i] = Trigger{Event: fmt.Sprint("e/", i)}
	}
	for _, c := range []struct {
		name string
		cat  Catalog
		o    CheckOptions
		want string
	}{
		{"no problems", Catalog{Indexes: []Index{index("a.ts", fn("one"), fn("two"))}}, CheckOptions{SameServer: true}, ""},
		{"an empty catalog", Catalog{}, CheckOptions{SameServer: true, Severity: map[string]string{"nonsense": "error"}}, ""},
		{"zero retries", Catalog{Indexes: []Index{index("a.ts", fn("one", retries(0)))}}, CheckOptions{},
			`error catalog-zero-retries one.ts:3: "one" has retries: 0: one request that is refused while the worker restarts fails its run for good (ADR-0156); set retries to 1 or more, or allow it with a reason: allow.zeroRetries.one in .sbw.yaml`},
		{"zero retries, allowed", Catalog{Indexes: []Index{index("a.ts", fn("one", retries(0)))}}, CheckOptions{ZeroRetries: map[string]string{"one": "a canary"}}, ""},
		{"zero retries, allowed without a reason", Catalog{Indexes: []Index{index("a.ts", fn("one", retries(0)))}}, CheckOptions{ZeroRetries: map[string]string{"one": " "}},
			`error catalog-zero-retries one.ts:3: "one" has retries: 0, allowed without a reason: the next reader cannot know whether the allowance is still needed; give the reason at allow.zeroRetries.one in .sbw.yaml`},
		{"retries undecided", Catalog{Indexes: []Index{index("a.ts", fn("one", retries(0), undecided("retries")))}}, CheckOptions{}, ""},
		{"an unused allowance", Catalog{Indexes: []Index{index("a.ts", fn("one"))}}, CheckOptions{ZeroRetries: map[string]string{"gone": "was a canary"}},
			`note catalog-allow-unused .sbw.yaml: allow.zeroRetries names "gone": no function with that id has retries: 0; remove it`},
		{"an id twice", Catalog{Indexes: []Index{index("a.ts", fn("one"), fn("one", func(f *Function) { f.File = "other.ts" }))}}, CheckOptions{},
			"error catalog-duplicate-id other.ts:3: the id \"one\" is used twice in a.ts: the worker throws `Duplicate function ID` and does not start; give one of them another id | the other one is at one.ts:3"},
		{"an id twice, by a factory", Catalog{Indexes: []Index{index("a.ts", fn("one", via("x.ts:1")), fn("one", via("x.ts:2")))}}, CheckOptions{},
			"error catalog-duplicate-id one.ts:3: the id \"one\" is used twice in a.ts: the worker throws `Duplicate function ID` and does not start; give one of them another id | made by the call at x.ts:2 | the other one is at one.ts:3 | made by the call at x.ts:1"},
		{"an id twice, in two handlers", Catalog{Indexes: []Index{index("a.ts", fn("one", handler(1, "kiln")), fn("one", handler(2, "kiln"), at("b.ts")))}}, CheckOptions{}, ""},
		{"an id twice, of two apps", Catalog{Indexes: []Index{index("a.ts", fn("one", handler(0, "kiln")), fn("one", handler(0, "oven"), at("b.ts")))}}, CheckOptions{}, ""},
		{"an id that a failure handler of another app has", Catalog{Indexes: []Index{index("a.ts", fn("one", onFailure, handler(1, "kiln")), fn("one-failure", handler(1, "oven")))}},
			CheckOptions{Severity: map[string]string{"catalog-id-failure": "off"}}, ""},
		{"a candidate", Catalog{Indexes: []Index{{Path: "a.ts", Candidates: []Function{fn("one", retries(0))}}}, Unresolved: []Unresolved{{File: "a.ts", Line: 1}}},
			CheckOptions{Severity: map[string]string{"catalog-unresolved": "off"}},
			`error catalog-zero-retries one.ts:3: "one" has retries: 0: one request that is refused while the worker restarts fails its run for good (ADR-0156); set retries to 1 or more, or allow it with a reason: allow.zeroRetries.one in .sbw.yaml`},
		{"an allowance for a candidate", Catalog{Indexes: []Index{{Path: "a.ts", Candidates: []Function{fn("one", retries(0))}}}, Unresolved: []Unresolved{{File: "a.ts", Line: 1}}},
			CheckOptions{ZeroRetries: map[string]string{"one": "a canary"}, Severity: map[string]string{"catalog-unresolved": "off"}}, ""},
		{"small batches", Catalog{Indexes: []Index{index("a.ts", fn("one", batch(1)))}}, CheckOptions{},
			`error catalog-function-refused one.ts:3: "one" batches events with maxSize 1: the server refuses the whole registration because of it, and with it every function; set batchEvents.maxSize to 2 or more`},
		{"batches with incompatible options", Catalog{Indexes: []Index{index("a.ts", fn("one", batch(2, "cancelOn", "singleton")))}}, CheckOptions{},
			"error catalog-function-refused one.ts:3: \"one\" combines batchEvents with cancelOn: the server refuses the whole registration because of it, and with it every function; remove one of the two\n" +
				"error catalog-function-refused one.ts:3: \"one\" combines batchEvents with singleton: the server refuses the whole registration because of it, and with it every function; remove one of the two"},
		{"an SDK that the server refuses", Catalog{Indexes: []Index{{Path: "a.ts", SDK: "3.53.1", Functions: []Function{fn("one")}}, {Path: "b.ts", SDK: "3.53.1", Functions: []Function{fn("two")}}}}, CheckOptions{},
			"error catalog-sdk-refused a.ts: the worker uses version 3.53.1 of the inngest SDK: it has a known security hole (CVE-2026-42047), for which current Inngest servers refuse to register it; upgrade inngest to 3.54.0 or later"},
		{"SDKs that the server accepts", Catalog{Indexes: []Index{
			{Path: "a.ts", SDK: "3.21.9", Functions: []Function{fn("one")}}, {Path: "b.ts", SDK: "3.54.0", Functions: []Function{fn("two")}},
			{Path: "c.ts", SDK: "^3.40.0", Functions: []Function{fn("three")}}, {Path: "d.ts", SDK: "latest", Functions: []Function{fn("four")}},
		}}, CheckOptions{}, ""},
		{"an id that a failure handler has", Catalog{Indexes: []Index{index("a.ts", fn("one", onFailure), fn("one-failure"))}}, CheckOptions{Severity: map[string]string{"catalog-id-failure": "off"}},
			"error catalog-duplicate-id one-failure.ts:3: the id \"one-failure\" is used twice in a.ts, once as the failure handler of another function: the worker throws `Duplicate function ID` and does not start; give one of them another id | the other one is at one.ts:3"},
		{"an id that looks like a failure handler's", Catalog{Indexes: []Index{index("a.ts", fn("one-failure"))}}, CheckOptions{},
			`warning catalog-id-failure one-failure.ts:3: the id "one-failure" ends in -failure: Inngest gives such ids to generated failure handlers, and treats the function as one; give it another id`},
		{"no id", Catalog{Indexes: []Index{index("a.ts", fn("", func(f *Function) { f.File = "x.ts" }))}}, CheckOptions{},
			"error catalog-id-refused x.ts:3: a function has no id: the SDK registers it under the app's id alone; give it an id"},
		{"an id with a quote", Catalog{Indexes: []Index{index("a.ts", fn("it's", onFailure), fn("that's"))}}, CheckOptions{},
			`error catalog-id-refused it's.ts:3: the id "it's" breaks the expression of its own failure handler: the SDK puts it between single quotes, and the server refuses the whole registration because of it, and with it every function; leave quotes, backslashes and line ends out of the id`},
		{"a bad schedule", Catalog{Indexes: []Index{index("a.ts", fn("one", triggers(Trigger{Cron: "@daily"}, Trigger{Cron: "0 0 * * *"})))}}, CheckOptions{},
			`error catalog-cron-invalid one.ts:3: "one" has the schedule "@daily", which is invalid: parser does not accept descriptors: @daily; the server refuses the whole registration because of it, and with it every function; write minute, hour, day of month, month and day of week, after TZ=Zone if it needs a time zone`},
		{"too many triggers and limits", Catalog{Indexes: []Index{index("a.ts", fn("one", triggers(many...), func(f *Function) { f.Concurrency = make([]Concurrency, 3) }))}}, CheckOptions{},
			"error catalog-function-refused one.ts:3: \"one\" has 11 triggers: the server refuses the whole registration because of it, and with it every function; split it, so that each part has at most 10\n" +
				"error catalog-function-refused one.ts:3: \"one\" has 3 concurrency limits: the server refuses the whole registration because of it, and with it every function; leave at most 2"},
		{"a trigger twice", Catalog{Indexes: []Index{index("a.ts", fn("one", triggers(Trigger{Event: "x"}, Trigger{Event: "x", Expression: "y"}, Trigger{Event: "x"})))}}, CheckOptions{},
			`error catalog-function-refused one.ts:3: "one" has the trigger event x twice: the server refuses the whole registration because of it, and with it every function; remove one of them`},
		{"an empty trigger", Catalog{Indexes: []Index{index("a.ts", fn("one", triggers(Trigger{}, Trigger{Event: "x"})))}}, CheckOptions{},
			`error catalog-function-refused one.ts:3: "one" has a trigger with neither an event nor a schedule: the server refuses the whole registration because of it, and with it every function; check the constant that the trigger is made of`},
		{"the form of another version", Catalog{Indexes: []Index{index("a.ts", fn("one", func(f *Function) { f.Throws = "SDK 4 wants it so" }))}}, CheckOptions{},
			`error catalog-function-throws one.ts:3: creating "one" throws, and the worker does not start: SDK 4 wants it so; write it in the form of the SDK that package.json asks for`},
		{"too many retries", Catalog{Indexes: []Index{index("a.ts", fn("one", retries(21)), fn("two", retries(20)))}}, CheckOptions{},
			`warning catalog-retries-lowered one.ts:3: "one" has retries: 21: Inngest lowers it to 20 without a warning; set retries to 20 or less`},
		{"in both", Catalog{Indexes: []Index{index("a.ts", fn("one")), index("b.ts", fn("one"))}}, CheckOptions{SameServer: true},
			`warning catalog-shared-function one.ts:3: "one" is in both a.ts and b.ts: both workers register it with one server, and each event or tick starts it twice; leave it in one of them`},
		{"in both, of two servers", Catalog{Indexes: []Index{index("a.ts", fn("one")), index("b.ts", fn("one"))}}, CheckOptions{}, ""},
		{"a shared event", Catalog{Indexes: []Index{index("a.ts", fn("one", triggers(Trigger{Event: "x"}))), index("b.ts", fn("two", triggers(Trigger{Event: "y"}, Trigger{Event: "x"})), fn("three", triggers(Trigger{Event: "x", Expression: "z"})))}}, CheckOptions{SameServer: true},
			`warning catalog-shared-trigger one.ts:3: "one" and "two" have the same trigger: event x: each such event starts both, in different workers; let only one of them listen to it, or separate them with an ` + "`if`" + ` | "two" of b.ts is at two.ts:3`},
		{"a shared event in one worker", Catalog{Indexes: []Index{index("a.ts", fn("one", triggers(Trigger{Event: "x"})), fn("two", triggers(Trigger{Event: "x"})))}}, CheckOptions{SameServer: true}, ""},
		{"a shared schedule", Catalog{Indexes: []Index{index("a.ts", fn("one", triggers(Trigger{Cron: "0 * * * *"}))), index("b.ts", fn("two", triggers(Trigger{Cron: "0 * * * *"})))}}, CheckOptions{SameServer: true},
			`note catalog-shared-cron one.ts:3: "one" and "two" have the same trigger: cron 0 * * * *: both start at the same moment, in different workers; move one of them by a minute if they compete for the same resource | "two" of b.ts is at two.ts:3`},
		{"forgotten", Catalog{Indexes: []Index{index("a.ts"), index("b.ts")}, Orphans: []Function{fn("one"), fn("two", func(f *Function) { f.Uncalled = true })}}, CheckOptions{},
			"warning catalog-orphan one.ts:3: \"one\" is created but is not in any index: it will be missing after the deploy, because only what an index exports is registered; add it to a.ts or b.ts, or delete it\n" +
				"warning catalog-orphan two.ts:3: \"two\" is created by a function that nothing calls: no index registers it; call that function and export the result from a.ts or b.ts, or delete it"},
		{"undecided", Catalog{Unresolved: []Unresolved{{File: "x.ts", Line: 7, What: `the retries of "one"`, Why: "it depends on the moon"}}}, CheckOptions{},
			`warning catalog-unresolved x.ts:7: cannot determine the retries of "one": it depends on the moon; write it as a constant, or check what the worker registers after the deploy`},
		{"other indexes", Catalog{Indexes: []Index{index("a.ts", fn("one"))}, Others: []Other{
			{Path: "b.ts", Line: 3, Functions: 2, Only: []string{"two"}},
			{Path: "c.ts", Line: 1, Worker: "oven", Functions: 1, Only: []string{"three"}},
			{Path: "d.ts", Line: 9, Perhaps: []string{"four"}, Incomplete: "d.ts:9: it depends on the environment variable ROLE"},
		}}, CheckOptions{},
			"note catalog-other-index b.ts:3: b.ts registers 2 functions, but it is not an index of this worker: what only that module registers is neither checked nor recorded in this image; if it runs as another worker, add that one to .sbw.yaml: workers: {NAME: {catalog: {indexes: [b.ts]}}}; if it is a server for development, ignore this | only there: two\n" +
				"note catalog-other-index c.ts:1: c.ts, an index of the worker \"oven\", registers 1 function: what only that module registers is checked and recorded when that worker is published; list it with gh sbw functions --worker oven | only there: three\n" +
				"note catalog-other-index d.ts:9: d.ts registers functions that cannot be determined, but it is not an index of this worker: what only that module registers is neither checked nor recorded in this image; if it runs as another worker, add that one to .sbw.yaml: workers: {NAME: {catalog: {indexes: [d.ts]}}}; if it is a server for development, ignore this | perhaps there: four | not everything is known: d.ts:9: it depends on the environment variable ROLE"},
		{"severities", Catalog{Indexes: []Index{index("a.ts", fn("one", retries(0)))}, Orphans: []Function{fn("two")}, Unresolved: []Unresolved{{File: "x.ts", Line: 1}}},
			CheckOptions{Severity: map[string]string{"catalog-zero-retries": "warning", "catalog-orphan": "error", "catalog-unresolved": "off"}},
			"warning catalog-zero-retries one.ts:3: \"one\" has retries: 0: one request that is refused while the worker restarts fails its run for good (ADR-0156); set retries to 1 or more, or allow it with a reason: allow.zeroRetries.one in .sbw.yaml\n" +
				"error catalog-orphan two.ts:3: \"two\" is created but is not in any index: it will be missing after the deploy, because only what an index exports is registered; add it to a.ts, or delete it"},
		{"invalid severities", Catalog{Indexes: []Index{index("a.ts", fn("one"))}}, CheckOptions{Severity: map[string]string{"catalog-orphan": "fatal", "no-such-check": "off"}},
			"error catalog-check-unknown .sbw.yaml: catalog.checks sets \"catalog-orphan\": \"fatal\" is not a severity; use error, warning, note or off\n" +
				"error catalog-check-unknown .sbw.yaml: catalog.checks sets \"no-such-check\": no check has that name; use one of: " + strings.Join(codeNames(), ", ")},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := findingLines(Check(&c.cat, c.o)); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// TestOneFindingForOneFunction: a problem of a function that is in two indexes
// is reported once.
func TestOneFindingForOneFunction(t *testing.T) {
	f := fn("one", retries(0))
	found := Check(&Catalog{Indexes: []Index{index("a.ts", f), index("b.ts", f)}}, CheckOptions{})
	if len(found) != 1 {
		t.Errorf("got\n%s", findingLines(found))
	}
}

func TestValidateCron(t *testing.T) {
	for expression, ok := range map[string]bool{
		"* * * * *":                             true,
		"*/5 0-12/2 1,15 JAN-MAR mon-fri":       true,
		"TZ=America/Los_Angeles 0 8 * * *":      true,
		"CRON_TZ=Europe/Vienna 0 8 * * *":       true,
		"TZ= 0 8 * * *":                         true, // interpreted as UTC
		"":                                      false,
		"* * * *":                               false,
		"* * * * * *":                           false, // seconds
		"60 * * * *":                            false,
		"*/0 * * * *":                           false,
		"5-1 * * * *":                           false,
		"@daily":                                false,
		"@every 1h":                             false,
		"TZ=Nowhere/Atall 0 8 * * *":            false,
		"TZ=UTC":                                false, // makes the parser panic
		"TZ=UTC TZ=UTC 0 8 * * *":               false,
		"TZ=../../etc/passwd * * * * *":         false,
		"0 0 * * * " + strings.Repeat(" ", 300): false,
		"every day":                             false,
	} {
		if err := ValidateCron(expression); (err == nil) != ok {
			t.Errorf("%q: %v", expression, err)
		}
	}
}

func FuzzValidateCron(f *testing.F) {
	f.Add("TZ=UTC")
	f.Add("*/5 0-12/2 1,15 JAN-MAR mon-fri")
	f.Fuzz(func(t *testing.T, expression string) { _ = ValidateCron(expression) })
}

// TestEachAppIsChecked: one call may create functions with the same id for
// several apps.
func TestEachAppIsChecked(t *testing.T) {
	of := func(app string, retries int) Function {
		return Function{ID: "job", App: app, File: "index.ts", Line: 3, Retries: Retries{Value: retries, Explicit: true}}
	}
	for name, c := range map[string]struct {
		functions []Function
		want      int
	}{
		"the second has none":   {[]Function{of("a", 3), of("b", 0)}, 1},
		"the first has none":    {[]Function{of("a", 0), of("b", 3)}, 1},
		"both have none":        {[]Function{of("a", 0), of("b", 0)}, 1},
		"both are of one app":   {[]Function{of("a", 3), of("a", 0)}, 1},
		"none of them has none": {[]Function{of("a", 3), of("b", 4)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got := 0
			for _, f := range Check(&Catalog{Version: Version, Indexes: []Index{{Path: "index.ts", Functions: c.functions}}}, CheckOptions{}) {
				if f.Code == CodeZeroRetries {
					got++
				}
			}
			if got != c.want {
				t.Errorf("%d findings, want %d", got, c.want)
			}
		})
	}
}
