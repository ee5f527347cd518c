package reader

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/catalog"
)

// This is the module with the client, which most of these workers import. The
// workers that use a factory get one in it; an unused factory would be a
// function that may be missing.
const (
	clientModule  = `import { Inngest } from "inngest"; export const inngest = new Inngest({ id: "app" });` + "\n"
	factoryModule = `export const make = (id: string, o: any = {}) => inngest.createFunction({ id, ...o }, { event: "e/" + id }, async () => {});`
)

// write creates a worker from files, in addition to client.ts and
// package.json.
func write(t testing.TB, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	all := map[string]string{"client.ts": clientModule, "package.json": `{"name": "w"}`}
	for _, text := range files {
		if strings.Contains(text, "make") {
			all["client.ts"] = clientModule + factoryModule
		}
	}
	for name, text := range files {
		all[name] = text
	}
	for name, text := range all {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func read(t testing.TB, root string, indexes ...string) *catalog.Catalog {
	t.Helper()
	cat, err := Read(t.Context(), Options{Root: root, Indexes: indexes})
	if err != nil {
		t.Fatal(err)
	}
	return cat
}

// ids returns the ids of the functions of the first index in their order.
func ids(c *catalog.Catalog) string {
	var all []string
	if len(c.Indexes) > 0 {
		for _, f := range c.Indexes[0].Functions {
			all = append(all, f.ID)
		}
	}
	return strings.Join(all, " ")
}

func unresolvedOf(c *catalog.Catalog) string {
	var all []string
	for _, u := range c.Unresolved {
		all = append(all, fmt.Sprintf("%s:%d: %s: %s", u.File, u.Line, u.What, u.Why))
	}
	return strings.Join(all, "\n")
}

// TestUnresolved: everything that cannot be determined is reported with its
// place, and everything else is still read.
func TestUnresolved(t *testing.T) {
	for _, c := range []struct {
		name, index, ids, unresolved string
	}{
		{"all decided", `import { make } from "./client";
export const fns = [make("a")];`, "a", ""},
		{"retries from the environment", `import { make } from "./client";
const n = Number(process.env.RETRIES);
export const fns = [
  make("a", { retries: n }),
  make("b", { retries: process.env.PROD ? 3 : 0 }),
];`, "a b", `client.ts:2: the retries of "a": it depends on the environment variable RETRIES (index.ts:2)
client.ts:2: the retries of "b": it depends on the environment variable PROD (index.ts:5)`},
		{"id from the environment", `import { inngest } from "./client";
export const a = inngest.createFunction(
  { id: ` + "`${process.env.PREFIX}-a`" + ` }, { event: "x" }, async () => {});`, "",
			"index.ts:2: the id of a function: it depends on the environment variable PREFIX (index.ts:3)"},
		{"trigger from the environment, with a default", `import { inngest } from "./client";
export const a = inngest.createFunction({ id: "a" }, [{ event: "x" }, { cron: process.env.CRON ?? "0 * * * *" }], async () => {});`, "a",
			`index.ts:2: the triggers of "a": it depends on the environment variable CRON, else "0 * * * *"`},
		{"options of a package", `import { inngest } from "./client";
import { options } from "company-options";
export const a = inngest.createFunction({ ...options, id: "a" }, { event: "x" }, async () => {});`, "a",
			`index.ts:3: the name of "a": it comes from the package "company-options", which is not read (index.ts:2)
index.ts:3: the retries of "a": it comes from the package "company-options", which is not read (index.ts:2)
index.ts:3: the concurrency of "a": it comes from the package "company-options", which is not read (index.ts:2)
index.ts:3: the onFailure of "a": it comes from the package "company-options", which is not read (index.ts:2)`},
		{"functions of a package", `import { inngest, make } from "./client";
import { createFunctions } from "company-functions";
const theirs = createFunctions(inngest);
export const fns = [make("a"), ...theirs];`, "a",
			`index.ts:3: what else fns registers: it comes from the package "company-functions", which is not read`},
		{"nothing but functions of a package", `import { createFunctions } from "company-functions";
import { inngest } from "./client";
export const fns = createFunctions(inngest);`, "",
			`index.ts:3: what fns registers: it comes from the package "company-functions", which is not read`},
		{"a missing module", `import { gone } from "./gone";
import { make } from "./client";
export const fns = [make("a"), gone];`, "a", `index.ts:1: what fns registers: the module "./gone" cannot be found`},
		{"a missing export", `import { nope, make } from "./client";
export const fns = [make("a"), nope];`, "a", `index.ts:1: what fns registers: the module "./client" exports no "nope"`},
		{"a re-export that is missing", `export { gone } from "./gone";
export { make } from "./client";`, "", `client.ts:2: whether a function is registered: nothing is known to call the function that creates it
index.ts:1: what gone registers: the module "./gone" cannot be found`},
		{"a re-export of a missing name", `export { nope } from "./client";`, "", `index.ts:1: what nope registers: the module "./client" exports no "nope"`},
		{"re-exports of types", `export { Named, Aliased, Deep, Renamed } from "./types"; import { make } from "./client"; export const a = make("a");`, "a", ""},
		{"a star export of a missing module", `export * from "./gone";
export { make } from "./client";`, "", `client.ts:2: whether a function is registered: nothing is known to call the function that creates it
index.ts:1: what else index.ts exports: the module "./gone" cannot be found`},
		{"a branch on the environment", `import { make } from "./client";
const fns = [make("a")];
if (process.env.BETA) {
  fns.push(make("beta"));
}
export { fns };`, "a", `index.ts:3: what else fns registers, perhaps "beta": it depends on the environment variable BETA`},
		{"a spread on the environment", `import { make } from "./client";
export const fns = [make("a"), ...(process.env.BETA ? [make("b"), make("c")] : [])];`, "a",
			`index.ts:2: what else fns registers, perhaps "b", "c": it depends on the environment variable BETA`},
		{"a filter on the environment", `import { make } from "./client";
const off = (process.env.OFF ?? "").split(",");
export const fns = [make("a"), make("b")].filter((f: any) => !off.includes(f.opts.id));`, "",
			`index.ts:3: what else fns registers, perhaps "a", "b": it depends on the environment variable OFF`},
		{"one of two", `import { make } from "./client";
export const fn = process.env.X ? make("a") : make("b");`, "",
			`index.ts:2: what fn registers, perhaps "a", "b": it depends on the environment variable X`},
		{"a broken module", `import { b } from "./broken";
import { make } from "./client";
export const fns = [make("a"), b];`, "a", `index.ts:1: what fns registers: broken.ts:3 cannot be read: Expected identifier but found "="`},
		{"a module that throws", `import { b } from "./throws";
import { make } from "./client";
export const fns = [make("a"), b];`, "a", "throws.ts:1: what fns registers: throws.ts cannot be evaluated: it throws when it is loaded: not configured"},
		{"an endless index", `import { make } from "./client";
export const fns = [make("a")];
const ten = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
ten.map(() => ten.map(() => ten.map(() => ten.map(() => ten.map(() => ten.map(() => ten.map(() => 1)))))));`, "", "index.ts:1: what else index.ts exports: evaluating it takes more than 3000000 steps"},
		{"no index at all that parses", "import { make } from './client';\nexport const fns = [make('a')", "", `index.ts:2: what index.ts registers: Expected "]" but found end of file`},
		{"an index that exports the unknown", `import { Hono } from "hono"; import "./client";
export const app = new Hono();
export const PORT = Number(process.env.PORT);`, "", `index.ts:2: what app registers: it comes from the package "hono", which is not read`},
		{"the same next to functions", `import { Hono } from "hono"; import { make } from "./client";
export const app = new Hono();
export const fn = make("a");`, "a", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cat := read(t, write(t, map[string]string{
				"index.ts": c.index, "types.ts": "export interface Named { a: 1 }\nexport type Aliased = Named;\nexport * from './deep'; export { Deep as Renamed } from './deep';", "deep.ts": "type Deep = 1; export type { Deep };", "broken.ts": "export const b = 1;\n\nconst = 2;", "throws.ts": "export const b = 1;\nthrow new Error('not configured');",
			}), "index.ts")
			if got := ids(cat); got != c.ids {
				t.Errorf("functions %q, want %q", got, c.ids)
			}
			if got := unresolvedOf(cat); got != c.unresolved {
				t.Errorf("unresolved\n%s\nwant\n%s", got, c.unresolved)
			}
			incomplete := strings.Contains(c.unresolved, " registers") || strings.Contains(c.unresolved, "whether ") || strings.Contains(c.unresolved, " exports:") || strings.Contains(c.unresolved, "the id of")
			if cat.Indexes[0].Incomplete != incomplete {
				t.Errorf("incomplete: %v", cat.Indexes[0].Incomplete)
			}
			for _, o := range cat.Orphans {
				t.Errorf("orphan %+v", o)
			}
		})
	}
}

func TestEnvironmentKnown(t *testing.T) {
	root := write(t, map[string]string{"index.ts": `import { make } from "./client";
export const fns = [make("a", { retries: Number(process.env.RETRIES) }), process.env.BETA === "1" && make("b")].filter(Boolean);`})
	cat, err := Read(t.Context(), Options{Root: root, Indexes: []string{"index.ts"}, Env: map[string]string{"RETRIES": "2", "BETA": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	if ids(cat) != "a b" || cat.Indexes[0].Functions[0].Retries != (catalog.Retries{Value: 2, Explicit: true}) || len(cat.Unresolved) > 0 {
		t.Errorf("%+v", cat)
	}
}

func TestOrphans(t *testing.T) {
	root := write(t, map[string]string{
		"index.ts":           `import { make } from "./client"; import { listed } from "./both"; export const fns = [make("a"), listed];`,
		"both.ts":            "import { make } from './client';\nexport const listed = make('listed');\nexport const forgotten = make('forgotten');",
		"alone.ts":           "import { inngest } from './client';\n\nexport const alone = inngest.createFunction({ id: 'alone', retries: 0 }, { event: 'x' }, async () => {});",
		"deep/er/also.mts":   "import { inngest } from '../../client';\nexport default inngest.createFunction({ id: 'also' }, { cron: '* * * * *' }, async () => {});",
		"uncalled.ts":        "import type { Inngest } from 'inngest';\nexport function build(c: Inngest) {\n  return c.createFunction({ id: 'uncalled' }, { event: 'x' }, async () => {});\n}",
		"lambda.ts":          "declare const lambda: any;\nexport const deploy = () => lambda.createFunction({ FunctionName: 'x' }, () => {});",
		"both.test.ts":       "import { make } from './client';\nmake('in-a-test');",
		"dist/built.js":      "x.createFunction({ id: 'built' }, {}, () => {})",
		"node_modules/m.js":  "x.createFunction({ id: 'installed' }, {}, () => {})",
		"other/package.json": `{"name": "another-package"}`,
		"other/fn.ts":        "import { make } from '../client'; export const other = make('other-package'); // createFunction",
		"second.ts":          "import { make } from './client'; export const s = make('second-worker'); // createFunction",
		"maybe.ts":           "import { make } from './client'; export const m = [process.env.M && make('maybe')]; // createFunction",
	})
	cat, err := Read(t.Context(), Options{Root: root, Indexes: []string{"index.ts"}, Others: map[string]string{"second.ts": "second", "maybe.ts": "second"}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range cat.Orphans {
		got = append(got, fmt.Sprintf("%s %s:%d via %q uncalled %v", o.ID, o.File, o.Line, o.Via, o.Uncalled))
	}
	want := []string{
		`alone alone.ts:3 via "" uncalled false`,
		`forgotten client.ts:2 via "both.ts:3" uncalled false`,
		`also deep/er/also.mts:2 via "" uncalled false`,
		`uncalled uncalled.ts:3 via "" uncalled true`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestNothing: the catalog of a repository without Inngest is empty.
func TestNothing(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"no sources":  {"main.go": "package main"},
		"no index":    {"src/other.ts": "export const x = 1;"},
		"no inngest":  {"index.ts": "import { Hono } from 'hono'; export const app = new Hono();", "client.ts": ""},
		"broken":      {"index.ts": "this is { no (program", "client.ts": ""},
		"empty":       {"index.ts": "", "client.ts": ""},
		"a directory": {"index.ts/file.ts": "export {}"},
		"only binary": {"index.ts": "\x00\xff\xfe", "client.ts": ""},
	} {
		cat := read(t, write(t, files), "index.ts", "index.host.ts")
		if !cat.Empty() || len(catalog.Check(cat, catalog.CheckOptions{SameServer: true})) > 0 {
			t.Errorf("%s: %+v", name, cat)
		}
	}
}

func TestOneIndexMissing(t *testing.T) {
	cat := read(t, write(t, map[string]string{"index.ts": `export { make } from "./client"; import { make } from "./client"; export const a = make("a");`}), "index.ts", "gone.ts")
	if ids(cat) != "a" || unresolvedOf(cat) != "gone.ts:1: what gone.ts registers: the file does not exist" {
		t.Errorf("%q %q", ids(cat), unresolvedOf(cat))
	}
	if len(cat.Indexes) != 2 || !cat.Indexes[1].Incomplete {
		t.Errorf("%+v", cat.Indexes)
	}
}

func TestListedTwice(t *testing.T) {
	cat := read(t, write(t, map[string]string{"index.ts": `import { make } from "./client";
const a = make("a"), b = make("b");
export const some = [a];
export const all = [...some, b, b];`}), "index.ts")
	if got := ids(cat); got != "a b b" {
		t.Errorf("got %q", got)
	}
}

// TestIndexesApart: modules add functions to a registry when they are loaded,
// and each index is evaluated separately.
func TestIndexesApart(t *testing.T) {
	root := write(t, map[string]string{
		"registry.ts": `import { inngest } from "./client"; export const all: any[] = []; export const add = (id: string) => { const f = inngest.createFunction({ id }, { event: id }, async () => {}); all.push(f); return f; };`,
		"a.ts":        `import { add } from "./registry"; export const a = add("a");`,
		"b.ts":        `import { add } from "./registry"; export const b = add("b");`,
		"one.ts":      `import "./a"; export { all } from "./registry";`,
		"two.ts":      `import "./b"; import { a } from "./a"; import { all } from "./registry"; export const fns = all.filter((f) => f !== a);`,
	})
	cat := read(t, root, "one.ts", "two.ts")
	if len(cat.Indexes) != 2 || len(cat.Indexes[0].Functions) != 1 || cat.Indexes[0].Functions[0].ID != "a" ||
		len(cat.Indexes[1].Functions) != 1 || cat.Indexes[1].Functions[0].ID != "b" || len(cat.Orphans) > 0 || len(cat.Unresolved) > 0 {
		t.Errorf("%+v", cat)
	}
}

func TestContextEnds(t *testing.T) {
	root := write(t, map[string]string{"index.ts": `import { make } from "./client"; export const a = make("a");`})
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	cancel(cause)
	if _, err := Read(ctx, Options{Root: root, Indexes: []string{"index.ts"}}); !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
}

// TestFields checks where a function is written, and the fields that the
// registrations of the corpus do not show.
func TestFields(t *testing.T) {
	cat := read(t, write(t, map[string]string{"src/index.ts": `import { inngest } from "../client";

/**
 * Types move every line.
 */
type Options = { id: string };

export const one = inngest
  .createFunction(
    { id: "one" },
    { event: "x" },
    async () => {},
  );

function factory(id: string) {
  return inngest.createFunction({ id }, { event: id }, async () => {});
}
export const two = factory("two");
export const three = [1].map(() =>
  factory(
    "three",
  ),
);
`}), "src/index.ts")
	var got []string
	for _, f := range cat.Indexes[0].Functions {
		got = append(got, fmt.Sprintf("%s %s:%d %s %s", f.ID, f.File, f.Line, f.Via, f.App))
	}
	want := "one src/index.ts:9  app\nthree src/index.ts:16 src/index.ts:21 app\ntwo src/index.ts:16 src/index.ts:18 app"
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
}

// TestSameAgain: reading a worker twice results in the same catalog, byte for
// byte; otherwise images from the same sources would differ.
func TestSameAgain(t *testing.T) {
	dirs, err := filepath.Glob("testdata/corpus/v*")
	if err != nil || len(dirs) == 0 {
		t.Fatal(dirs, err)
	}
	for _, dir := range dirs {
		var first string
		for range 3 {
			index := "index.ts"
			if _, err := os.Stat(filepath.Join(dir, index)); err != nil {
				index = "worker.ts"
			}
			encoded, err := catalog.Encode(read(t, dir, index))
			if err != nil {
				t.Fatal(err)
			}
			if first == "" {
				first = encoded
			} else if encoded != first {
				t.Errorf("%s: the catalogs differ:\n%s\n%s", dir, first, encoded)
			}
		}
	}
}

// FuzzRead: reading ends with a result, whatever an index contains.
func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/corpus/*/index.ts")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`import { make } from "./client"; while (true) make("a"); export const x = [make];`))
	f.Add([]byte(`import * as me from "./index"; export * from "./index"; export default me.default;`))
	f.Add([]byte(`import { inngest as i } from "./client"; let x = i; for (const k in x) x[k] = x; export { x }; i.createFunction(x, x, x);`))
	f.Fuzz(func(t *testing.T, text []byte) {
		root := write(t, map[string]string{"index.ts": string(text)})
		cat, err := Read(t.Context(), Options{Root: root, Indexes: []string{"index.ts"}})
		if err != nil {
			t.Fatal(err)
		}
		catalog.Check(cat, catalog.CheckOptions{SameServer: true})
		encoded, err := catalog.Encode(cat)
		if errors.Is(err, catalog.ErrTooLarge) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := catalog.Decode(encoded); err != nil {
			t.Fatal(err)
		}
	})
}

func TestTooMany(t *testing.T) {
	cat := read(t, write(t, map[string]string{"index.ts": `import { make } from "./client";
const ten = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
export const fns = {} as any;
ten.map((a) => ten.map((b) => ten.map((c) => ten.map((d) => (fns.last = make("f" + a + b + c + d))))));`}), "index.ts")
	if got := unresolvedOf(cat); got != "index.ts:1: what else index.ts exports: it creates more than 5000 functions" {
		t.Error(got)
	}
}

// TestForms: the version of the SDK decides which argument contains the
// triggers.
func TestForms(t *testing.T) {
	const index = `import { inngest } from "./client";
const handler = async () => {};
export const three = inngest.createFunction({ id: "three", triggers: { event: "inner" } }, { event: "outer" }, handler);
export const two = inngest.createFunction({ id: "two", triggers: { event: "inner" } }, handler);`
	for version, want := range map[string]string{
		"":        "three [event outer]  | two [event inner] ",
		"^3.54.2": "three [event outer]  | two [nothing] ",
		"4.24.0":  "three [event inner] SDK 4 wants the handler as the second argument, and the triggers among the options | two [event inner] ",
	} {
		cat := read(t, write(t, map[string]string{"index.ts": index, "package.json": fmt.Sprintf(`{"dependencies": {"inngest": %q}}`, version)}), "index.ts")
		var got []string
		for _, f := range cat.Indexes[0].Functions {
			got = append(got, fmt.Sprintf("%s %v %s", f.ID, f.Triggers, f.Throws))
		}
		if strings.Join(got, " | ") != want {
			t.Errorf("%q: got %q, want %q", version, strings.Join(got, " | "), want)
		}
	}
}
