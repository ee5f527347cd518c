package kubecmd

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/catalog"
	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/rollout"
)

// gaps matches the space between columns, however wide.
var gaps = regexp.MustCompile(` {2,}`)

func TestFunctionsShowWhereTheyAreDefinedAndWhoElseHasThem(t *testing.T) {
	fn := func(app, id, event string) model.Function {
		return model.Function{Slug: app + "-" + id, App: app, Retries: 2, Triggers: []model.Trigger{{Event: event}}, Concurrency: []model.Concurrency{{Limit: 3}}}
	}
	handler := fn("c", "a-failure", "inngest/function.failed")
	apps := []model.App{
		{Name: "c", Functions: []model.Function{fn("c", "a", "x/a"), handler, fn("c", "b", "x/b")}},
		{Name: "h", Functions: []model.Function{fn("h", "a", "y/a"), fn("h", "z", "x/b")}},
	}
	indexes := &catalog.Catalog{Indexes: []catalog.Index{
		{Path: "index.cluster.ts", Functions: []catalog.Function{{ID: "a", File: "a.ts", Line: 3, OnFailure: true}, {ID: "b", File: "b.ts", Line: 4}}},
		{Path: "index.host.ts", Functions: []catalog.Function{{ID: "a", File: "a.ts", Line: 3}, {ID: "z", File: "z.ts", Line: 5}}},
	}}
	for name, tc := range map[string]struct {
		o       functionsOptions
		catalog *catalog.Catalog
		want    string
	}{
		"the worker's": {functionsOptions{}, indexes, `
FUNCTION  TRIGGERS  RETRIES  CONCURRENCY  APP  DEFINED  TWICE
a  x/a  2  3  c  a.ts:3  is h-a too
a-failure  inngest/function.failed  2  3  c  a.ts:3
b  x/b  2  3  c  b.ts:4  same event starts h-z
`},
		"of all apps, by name": {functionsOptions{name: "z", all: true}, indexes, `
FUNCTION  TRIGGERS  RETRIES  CONCURRENCY  APP  DEFINED  TWICE
z  x/b  2  3  h  z.ts:5  same event starts c-b
`},
		"without a catalog": {functionsOptions{name: "c-a-failure"}, nil, `
FUNCTION  TRIGGERS  RETRIES  CONCURRENCY  APP
a-failure  inngest/function.failed  2  3  c
`},
	} {
		var out bytes.Buffer
		env := &cli.Env{Out: &out}
		if err := tc.o.print(env, apps, "c", rollout.Functions(apps, "c", tc.o.name, tc.o.all, tc.catalog)); err != nil {
			t.Fatal(err)
		}
		var lines []string
		for line := range strings.Lines(out.String()) {
			lines = append(lines, gaps.ReplaceAllString(strings.TrimRight(line, " \n"), "  "))
		}
		if got := "\n" + strings.Join(lines, "\n") + "\n"; got != tc.want {
			t.Errorf("%s:%s\nwant%s", name, got, tc.want)
		}
	}
	if why := alternatives(apps, "c", &functionsOptions{name: "z"}); why != "other apps have z of app h" {
		t.Error(why)
	}
}
