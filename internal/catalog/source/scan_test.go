package source

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/evanw/esbuild/pkg/api"
)

func wanted() [][]byte { return [][]byte{[]byte("createFunction")} }

func TestScanSpecifiers(t *testing.T) {
	for _, c := range []struct {
		code string
		want string
	}{
		{`import a from "./a";`, "./a"},
		{`import "./a"; import './b'`, "./a ./b"},
		{`import type { T } from "./t"; export * from "./e"; export { x } from './x'`, "./t ./e ./x"},
		{"import {\n  a,\n  b,\n} from\n  \"./multi\";", "./multi"},
		{`const a = await import("./dynamic"), b = require( './common' );`, "./dynamic ./common"},
		{`import(/* webpackChunkName: "x" */ "./commented")`, ""}, // it is found when it is requested
		{`// import a from "./comment"`, ""},
		{`/* import a from "./comment" */`, ""},
		{"const s = `import a from \"./template\" ${require('./inner')}`", "./inner"},
		{`const s = 'import a from "./string"'; const from = 1; x(from, "./no")`, ""},
		{`const re = /from "x"/; import b from "./b"`, "./b"},
		{`const d = a / b; import c from "./c"; const e = f / g`, "./c"},
		{`importer("./no"); import.meta.resolve("./no")`, ""},
	} {
		got := strings.Join(scanModule([]byte(c.code), wanted()).specifiers, " ")
		if got != c.want {
			t.Errorf("%s\ngot  %q\nwant %q", c.code, got, c.want)
		}
	}
}

func TestScanMentions(t *testing.T) {
	for code, want := range map[string]bool{
		`x.createFunction({})`:         true,
		`x["createFunction"]()`:        false, // it is parsed when it is needed
		`// createFunction`:            false,
		`const { createFunction } = x`: true,
		`x.createFunctions()`:          false,
	} {
		if got := scanModule([]byte(code), wanted()).mentions; got != want {
			t.Errorf("%s: %v", code, got)
		}
	}
}

// TestScanNesting: text that would overflow esbuild's stack or keep it busy
// for minutes is refused. Nothing that people write is refused.
func TestScanNesting(t *testing.T) {
	for _, open := range []string{"!", "[", "(", "{", "a=>", "-", "if(a)", "a?b:", "a?", "new ", "`${", "a.b(", "async()=>", "<T>", "x:", "a=", "a.b.", "function(){", "class{static{", "a<", "a=>{", "if(a);else ", "a\n?b\n:", "a,", "(a,b),"} {
		src := strings.Repeat(open, 1<<18)
		if scanModule([]byte(src), nil).tooDeep == 0 {
			t.Errorf("%q, repeated many times, is accepted", open)
		}
	}
	written := []string{
		strings.Repeat("const a = { b: [1, 2, (3)], c: `${d}` };\n", 20000),
		strings.Repeat("foo(bar)\nlet x = y\n", 20000), // without semicolons
		"const enums = { " + strings.Repeat("a, b: 1, ", 20000) + "};",
		"f(" + strings.Repeat("a, ", 20000) + "b)",
		"import { " + strings.Repeat("a, ", 20000) + "} from 'x'",
		"enum E { " + strings.Repeat("A = 1, ", 900) + "}",
		strings.Repeat("if (a) { b() } else { c() }\n", 900),
		"const list = [\n" + strings.Repeat("  { id: 'a', n: 1, f: () => 1 },\n", 20000) + "];",
		"type U =\n" + strings.Repeat("  | \"a\"\n", 3000),
		"const s = " + strings.Repeat("'part' +\n", 1500) + "'end';",
		strings.Repeat("function f() { return 1 }\n", 20000),
		"/*" + strings.Repeat("words ((( [[[ ", 100000) + "*/",
		"const s = `" + strings.Repeat("words ((( [[[ {{{ \n", 100000) + "`",
	}
	for _, src := range written {
		if line := scanModule([]byte(src), nil).tooDeep; line != 0 {
			t.Errorf("%.40q… is refused at line %d", src, line)
		}
	}
}

// TestParseDeepest: esbuild can handle in time everything that the measure
// accepts.
func TestParseDeepest(t *testing.T) {
	for _, open := range []string{"[", "(", "{", "a=>", "!", "a<", "(function(){", "if(a)", "a.b("} {
		n := 1
		for scanModule([]byte(strings.Repeat(open, n*2)), nil).tooDeep == 0 {
			n *= 2
		}
		m, err := parseText([]byte(strings.Repeat(open, n)+"1"), api.LoaderTS)
		_, refused := errors.AsType[*Refusal](err)
		if parsed := m != nil; parsed == refused {
			t.Errorf("%q, %d times: parsed %v, %v", open, n, parsed, err)
		}
	}
}

func TestScanBodies(t *testing.T) {
	long := strings.Repeat("/* long */ ", 20)
	for _, c := range []struct {
		name, code string
		want       int
	}{
		{"arrow", "const f = () => {" + long + "};", 1},
		{"short arrow", "const f = () => { return 1; };", 0},
		{"arrow with types", "const f = async <T,>(a: { b: T }): Promise<{ c: T }> => {" + long + "};", 1},
		{"function", "export async function f() {" + long + "}", 1},
		{"function with types", "function f<T extends { a: 1 }>(a: { b: 1 }, b = { c: 1 }): Promise<Map<string, { d: 1 }>> {" + long + "}", 1},
		{"object type returned", "function f(): { a: 1; b: { c: 2 } } {" + long + "}", 1},
		{"union returned", "function f(): | { a: 1 } | B {" + long + "}", 1},
		{"predicate returned", "function f(x: unknown): x is Foo {" + long + "}", 1},
		{"overloads", "function f(a: 1): void;\nfunction f(a: 2): { b: 1 };\nfunction f(a: any) {" + long + "}", 1},
		{"nested", "const f = () => { const g = () => {" + long + "}; " + long + " };", 1},
		{"in a factory", "function make() { " + long + " return c.createFunction({ id: 'x' }, {}, async () => {" + long + "}); }", 1},
		{"class", "class A { m() {" + long + "} p = () => {" + long + "} }", 0},
		{"class with types", "class A<T extends { a: 1 }> extends B<{ c: 1 }> implements C { m = () => {" + long + "} }", 0},
		{"object", "const o = { a: {" + long + "} };", 0},
		{"super", "const o = { m() { return () => { super.m();" + long + "}; } };", 0},
		{"template", "const s = `${list.map((x) => {" + long + "})}`;", 1},
		{"braces in strings", "const f = () => { const s = '}'; const r = /[}]/; const t = `}${'}'}`;" + long + "}; const g = () => {" + long + "};", 2},
	} {
		s := scanModule([]byte(c.code), wanted())
		if len(s.bodies) != c.want {
			t.Errorf("%s: %d bodies, want %d", c.name, len(s.bodies), c.want)
		}
		for _, b := range s.bodies {
			if c.code[b.from-1] != '{' || c.code[b.to] != '}' {
				t.Errorf("%s: %q is not recognised as a body", c.name, c.code[b.from-1:b.to+1])
			}
		}
		if _, err := parseText(outline([]byte(c.code), s.bodies), api.LoaderTS); err != nil {
			t.Errorf("%s: without bodies it does not parse: %v", c.name, err)
		}
	}
}

// TestOutlineParses: every file of the corpus parses without its bodies, each
// body parses separately, and line numbers do not change.
func TestOutlineParses(t *testing.T) {
	files, err := filepath.Glob("../reader/testdata/corpus/*/*.ts")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		s := scanModule(src, nil) // without words, every long body is left out
		short := outline(src, s.bodies)
		if strings.Count(string(short), "\n") != strings.Count(string(src), "\n") {
			t.Errorf("%s: lines have moved", path)
		}
		if _, err := parseText(short, api.LoaderTS); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		m := &Module{}
		for _, b := range s.bodies {
			inner := &body{text: src[b.from:b.to], line: b.line}
			inner.parse(m)
			if inner.bad != nil {
				t.Errorf("%s:%d: %v", path, b.line, inner.bad)
			}
		}
	}
}

func FuzzScan(f *testing.F) {
	files, err := filepath.Glob("../reader/testdata/corpus/*/*.ts")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range files {
		src, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Add([]byte("`${`${"))
	f.Add([]byte("function f(): {"))
	f.Add([]byte("a => { '"))
	f.Fuzz(func(t *testing.T, src []byte) {
		s := scanModule(src, wanted())
		last := 0
		for _, b := range s.bodies {
			if b.from < last || b.to < b.from || b.to > len(src) {
				t.Fatalf("bodies %v of %d bytes", s.bodies, len(src))
			}
			last = b.to
		}
		if !slices.ContainsFunc(s.bodies, func(b span) bool { return b.line < 1 }) {
			outline(src, s.bodies)
		}
	})
}
