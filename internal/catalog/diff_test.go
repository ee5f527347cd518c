package catalog

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func shown(d Difference) string {
	var lines []string
	for _, part := range []struct {
		sign    string
		changes []Change
	}{{"+", d.Added}, {"-", d.Removed}, {"~", d.Changed}} {
		for _, c := range part.changes {
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s", part.sign, c.ID, strings.Join(c.What, "; "))))
		}
	}
	return strings.Join(lines, "\n")
}

func TestDiff(t *testing.T) {
	for _, c := range []struct {
		name          string
		before, after []Function
		want, summary string
	}{
		{"nothing", []Function{fn("a")}, []Function{fn("a")}, "", "no difference"},
		{"another place in the sources", []Function{fn("a")}, []Function{fn("a", func(f *Function) { f.File = "b.ts"; f.Line = 9 })}, "", "no difference"},
		{"all three", []Function{fn("gone"), fn("b", retries(4))}, []Function{fn("new"), fn("b", retries(0))},
			"+ new retries 3; trigger event e/new\n- gone\n~ b retries 4 → 0", "1 added, 1 removed, 1 changed"},
		{"triggers", []Function{fn("a", triggers(Trigger{Event: "x"}, Trigger{Cron: "0 * * * *"}))}, []Function{fn("a", triggers(Trigger{Event: "x", Expression: "y > 1"}, Trigger{Cron: "0 * * * *"}))},
			"~ a trigger − event x; trigger + event x if y > 1", "1 changed"},
		{"order of triggers", []Function{fn("a", triggers(Trigger{Event: "x"}, Trigger{Event: "y"}))}, []Function{fn("a", triggers(Trigger{Event: "y"}, Trigger{Event: "x"}))}, "", "no difference"},
		{"a failure handler", []Function{fn("a")}, []Function{fn("a", onFailure)}, "~ a + failure handler", "1 changed"},
		{"an explicit default", []Function{fn("a", func(f *Function) { f.Retries = Retries{Value: DefaultRetries} })}, []Function{fn("a", retries(4))}, "", "no difference"},
		{"retries that the server lowers", []Function{fn("a", retries(20))}, []Function{fn("a", retries(50))}, "", "no difference"},
		{"undecided", []Function{fn("a", retries(1), triggers())}, []Function{fn("a", undecided("retries"), undecided("triggers"))}, "", "no difference"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Diff(c.before, c.after)
			if got := shown(d); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			if d.Summary() != c.summary || d.Empty() != (c.want == "") {
				t.Errorf("summary %q, empty %v", d.Summary(), d.Empty())
			}
		})
	}
}

func TestFromRegistered(t *testing.T) {
	got := FromRegistered([]Registered{
		{ID: "a", Retries: 4, Triggers: []Trigger{{Event: "x"}}},
		{ID: "a-failure", Retries: 1, Triggers: []Trigger{{Event: failedEvent, Expression: "event.data.function_id == 'app-a'"}}},
		{ID: "own-failure", Retries: 2, Triggers: []Trigger{{Event: "y"}}},
		{ID: "lost-failure", Retries: 1, Triggers: []Trigger{{Event: failedEvent}}},
	})
	want := []Function{
		{ID: "a", Retries: Retries{4, true}, Triggers: []Trigger{{Event: "x"}}, OnFailure: true},
		{ID: "own-failure", Retries: Retries{2, true}, Triggers: []Trigger{{Event: "y"}}},
		{ID: "lost-failure", Retries: Retries{1, true}, Triggers: []Trigger{{Event: failedEvent}}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := Diff(got, []Function{fn("a", onFailure, retries(4), triggers(Trigger{Event: "x"})), want[1], want[2]}); !d.Empty() {
		t.Error(shown(d))
	}
}

func TestMatch(t *testing.T) {
	c := &Catalog{Indexes: []Index{index("cluster.ts", fn("a"), fn("both")), index("host.ts", fn("b"), fn("c"), fn("both"))}}
	for _, r := range []struct {
		registered []Function
		want       string
	}{
		{[]Function{fn("a")}, "cluster.ts"},
		{[]Function{fn("b"), fn("both"), fn("older")}, "host.ts"},
		{[]Function{fn("both")}, "cluster.ts"},
		{[]Function{fn("unrelated")}, ""},
		{nil, ""},
	} {
		got, ok := c.Match(r.registered)
		if got.Path != r.want || ok != (r.want != "") {
			t.Errorf("%v: %q %v", ids(byID(r.registered), nil), got.Path, ok)
		}
	}
}

func TestSlugs(t *testing.T) {
	if got := strings.Join(fn("a", onFailure).Slugs("app"), " "); got != "app-a app-a-failure" {
		t.Error(got)
	}
	if got := strings.Join(fn("", onFailure).Slugs("app"), " "); got != "app app-failure" {
		t.Error(got)
	}
	if got := strings.Join(fn("a-").Slugs("app"), " "); got != "app-a-" {
		t.Error(got)
	}
}

func TestDiffIndexes(t *testing.T) {
	before := &Catalog{Indexes: []Index{index("gone.ts", fn("x")), index("a.ts", fn("a"), fn("b"))}}
	after := &Catalog{Indexes: []Index{{Path: "a.ts", Functions: []Function{fn("a")}, Incomplete: true}, index("new.ts", fn("n"))}}
	var got []string
	for _, d := range DiffIndexes(before, after) {
		got = append(got, fmt.Sprintf("%s %v: %s", d.Path, d.Incomplete, d.Summary()))
	}
	want := "a.ts true: 1 removed\nnew.ts false: 1 added\ngone.ts false: 1 removed"
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
}
