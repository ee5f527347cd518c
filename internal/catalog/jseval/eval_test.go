package jseval

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/catalog/source"
)

// evaluate evaluates a module together with others and shows the value of its
// export `x`.
func evaluate(t testing.TB, index string, others map[string]string) string {
	t.Helper()
	root := t.TempDir()
	files := map[string]string{"index.ts": index}
	for name, text := range others {
		files[name] = text
	}
	for name, text := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := source.New(source.Options{Root: root, Words: []string{"wanted"}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(p.Root(), "index.ts")
	if err := p.Add(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	m := New(Options{Program: p, Env: map[string]string{"KNOWN": "known"}})
	exports, rest, err := m.Exports(t.Context(), path)
	if err != nil {
		return "error: " + err.Error()
	}
	for _, e := range exports {
		if e.Name == "x" {
			return show(m, e.Value)
		}
	}
	if rest != nil {
		return "rest: " + rest.Why
	}
	return "no x"
}

// show formats a value. An unknown value is shown as its reason and its
// candidates.
func show(m *Machine, v Value) string {
	list := func(vs []Value) string {
		var parts []string
		for _, v := range vs {
			parts = append(parts, show(m, v))
		}
		return strings.Join(parts, " ")
	}
	rest := func(u *Unknown) string {
		if u == nil {
			return ""
		}
		return fmt.Sprintf(" ...?(%s)", list(u.May))
	}
	switch v := v.(type) {
	case nil:
		return "<nil>"
	case string:
		return fmt.Sprintf("%q", v)
	case *Array:
		return "[" + strings.TrimSpace(list(v.Elems)+rest(v.Rest)) + "]"
	case *Object:
		if p, ok := v.Host.(*promise); ok {
			return "promise " + show(m, p.value)
		}
		var parts []string
		for _, k := range v.Keys() {
			parts = append(parts, k+": "+show(m, m.Get(v, k)))
		}
		return "{" + strings.Join(parts, ", ") + rest(v.Rest) + "}"
	case *Func:
		return "function " + v.Name
	case *Namespace:
		values, _ := m.Values(v)
		return "namespace " + list(values)
	case *Unknown:
		if len(v.May) > 0 {
			return fmt.Sprintf("?(%s)", list(v.May))
		}
		return "? " + v.Why
	}
	s, _ := toString(v)
	return s
}

func TestKnown(t *testing.T) {
	for _, c := range []struct{ code, want string }{
		{`export const x = 1 + 2 + -1;`, "2"},
		{`export const x = "a" + 1 + true + null + undefined;`, `"a1truenullundefined"`},
		{`export const x = [0.1 + 0.2, -0, 0x1f, 1_000, .5];`, "[0.30000000000000004 0 31 1000 0.5]"},
		{`export const x = ["\x41\u0042\u{43}\n", 'it\'s', "a\
b"];`, `["ABC\n" "it's" "ab"]`},
		{"const a = 'v'; export const x = `${a}-${1}`;", `"v-1"`},
		{`export const x = ["1" == "1", null == undefined, null == 0, NaN === NaN, "a" === "a", [] === []];`, "[true true false false true false]"},
		{`export const x = [typeof 1, typeof "", typeof {}, typeof null, typeof undefined, typeof (() => 1), typeof undefinedName];`,
			`["number" "string" "object" "object" "undefined" "function" ? it depends on the global "undefinedName"]`},
		{`export const x = [null ?? 1, 0 ?? 1, 0 || 1, "" && 1, void 0];`, `[1 0 1 "" undefined]`},
		{`let a = 1; a += 2; a ||= 5; let b; b ??= a; b &&= 7; export const x = [a, b];`, "[3 7]"},
		{`export const x = ((a, b = 2, ...c) => [a, b, c])(1, undefined, 3, 4);`, "[1 2 [3 4]]"},
		{`const { a, b: { c = 3 } = {}, ...d } = { a: 1, e: 5, f: 6 }; const [g, , h = 9, ...i] = [1, 2, undefined, 4]; export const x = [a, c, d, g, h, i];`,
			"[1 3 {e: 5, f: 6} 1 9 [4]]"},
		{`const o = { a: 1, ["d" + 1]: 3, e() { return o.a; } }; o.a = 5; export const x = [o.d1, o.e(), o.a];`,
			"[3 5 5]"},
		{`const o = { 2: "b", 1: "a", z: 1, y: 2 }; export const x = Object.keys(o);`, `["1" "2" "z" "y"]`},
		{`const a = { n: { m: null } }; export const x = [a?.n?.m?.o.p.q, a.b?.c(), a["n"]?.["m"]];`, "[undefined undefined null]"},
		{`function f(n) { if (n === 0) return 1; return f(0) + 1; } export const x = f(5);`, "2"},
		{`const c = (() => { let n = 0; return { inc: () => n = n + 1 }; })(); c.inc(); c.inc(); export const x = c.inc();`, "3"},
		{`const fs = []; for (const i of [0, 1, 2]) fs.push(() => i); export const x = fs.map((f) => f());`, "[0 1 2]"},
		{`const out = []; for (const a of [1, 2, 3]) { for (const b of [1, 2, 3]) { if (b === 2) continue; out.push(a + "" + b); } } export const x = out;`, `["11" "13" "21" "23" "31" "33"]`},
		{`const out = []; for (const [k, v] of Object.entries({ c: 3 })) out.push(k + v); export const x = out;`, `["c3"]`},
		{`function f() { try { throw new Error("no"); } catch (e) { return e.message; } finally { g = 1; } } var g; export const x = [f(), g];`, `["no" 1]`},
		{`export const x = [[1, [2, [3]]].flat(9), [1, 2].concat(3, [4]), [1, 2].flatMap((n) => [n, n])];`, "[[1 2 3] [1 2 3 4] [1 1 2 2]]"},
		{`export const x = [Object.fromEntries([["a", 1]]), { ...{ c: 3 }, ...undefined }];`, "[{a: 1} {c: 3}]"},
		{`export const x = [Number("12px"), Number("3"), String(12), Boolean("")];`, `[NaN 3 "12" false]`},
		{`enum E { A, B = 5, C, D = "d" } namespace N { export const v = E.C; } export const x = [E.A, E[5], E.D, N.v];`, `[0 "B" "d" 6]`},
		{`export const x = await (async (a) => (await a) + 1)(Promise.resolve(1));`, "2"},
		{`export const x = await Promise.all([1, Promise.resolve(2)]).then((v) => v.map((n) => n + 1));`, "[2 3]"},
		{`const a = []; async function f() { a.push(0); await 0; a.push(1); } f(); export const x = [...a];`, "[0]"},
		{`const a = []; async function f() { await 0; a.push(1); } await f(); export const x = [...a];`, "[1]"},
		{`const a = []; async function f() { await g(); a.push(2); } async function g() { await 0; a.push(1); } const p = f(); a.push(0); await p; export const x = a;`, "[0 1 2]"},
		{`let a = [0]; async function f() { const v = await [1]; return v; } f().then((v) => { a = v; }).catch(() => {}); export const x = [...a];`, "[0]"},
		{`const a = []; async function f() { const v = await 1; return v; } f().then((v) => { a.push(v); }); export const x = a;`, "[1]"},
		{`export const x = [process.env.KNOWN, import.meta.env.KNOWN, Bun.env.KNOWN];`, `["known" "known" "known"]`},
		{`var a = 1; { var a = 2; } function g() { return h(); function h() { return a; } } export const x = g();`, "2"},
		{`export { y as x }; const y = later(); function later() { return "hoisted"; }`, `"hoisted"`},
		{`export default 1; const f = (0, () => 5); export const x = (f(), f());`, "5"},
		{`export const x = ((o) => { o.a = 1; return o; })({});`, "{a: 1}"},
		{`const f = function named(n) { return n ? named(n - 1) : "done"; }; export const x = typeof f;`, `"function"`},
	} {
		t.Run(c.code, func(t *testing.T) {
			if got := evaluate(t, c.code, nil); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestUnknown: everything that depends on an unknown value is unknown, and
// nothing else is.
func TestUnknown(t *testing.T) {
	const prelude = `declare const process: any; const u = process.env.U; `
	for _, c := range []struct{ code, want string }{
		{`export const x = u;`, "? it depends on the environment variable U"},
		{`export const x = "a" + u;`, "? it depends on the environment variable U"},
		{`export const x = Number(u ?? 5);`, "? it depends on the environment variable U"},
		{`export const x = u ?? "default";`, `?("default")`},
		{`export const x = u ? 1 : 1;`, "1"},
		{`export const x = u ? 1 : 2;`, "?(1 2)"},
		{`export const x = u && [1];`, "?([1])"},
		{`let a = 1; if (u) a = 2; export const x = a;`, "?(2 1)"},
		{`let a = 1; if (u) a = 2; else a = 2; export const x = a;`, "2"},
		{`let a = 1; if (u) { throw new Error("not set"); } a = 2; export const x = a;`, "2"},
		{`const a = [1]; if (u) a.push(2); a.push(3); export const x = a;`, "[1 3 ...?(2)]"},
		{`const a = [1, ...(u ? [2] : [])]; export const x = a;`, "[1 ...?(2)]"},
		{`const o = { a: 1, b: 2 }; if (u) o.a = 5; export const x = o;`, "{a: ?(5 1), b: 2}"},
		{`export const x = { a: 1, ...u, b: 2 };`, "{a: ?(1), b: 2 ...?()}"},
		{`const o = { a: 1 }; o[u] = 2; export const x = o.a;`, "?(1)"},
		{`function f() { if (u) return 1; return 2; } export const x = f();`, "?(1 2)"},
		{`function f() { if (u) return 1; } export const x = f();`, "?(1 undefined)"},
		{`function f() { for (const i of [1, 2]) { if (u) return i; } return 3; } export const x = f();`, "?(1 2 3)"},
		{`function f() { if (u) { if (u) return 1; } else { return 2; } return 3; } export const x = f();`, "?(1 2 3)"},
		{`const a = []; for (const i of [1, 2, 3]) { if (u) break; a.push(i); } export const x = a;`, "[...?(3 2 1)]"},
		{`const a = []; for (const i of u) a.push(1); export const x = a;`, "[...?(1)]"},
		{`let n = 0; while (u) { n = 1; } export const x = n;`, "?(1 0)"},
		{`const a = []; switch (u) { case "a": a.push(1); break; case "b": a.push(2); } export const x = a;`, "[...?(1 2)]"},
		{`let a; try { a = u.parse(); } catch { a = "failed"; } export const x = a;`, `?("failed")`},
		{`export const x = [1, 2, 3].filter((n) => n === 1 || u);`, "[1 ...?(2 3)]"},
		{`export const x = [1, u].map((n) => typeof n);`, `["number" ? it depends on the environment variable U]`},
		{`export const x = u.split(",").map((s) => s.length);`, "? it depends on the environment variable U"},
		{`export const x = { a: 1, b: 2, ...(u ? { b: 3 } : {}) };`, "{a: 1, b: ?(2 3)}"},
		{`export const x = { a: 1, ...(u && { b: 3 }) };`, "{a: 1, b: ?(undefined 3)}"},
		{`export const x = { a: 1, ...(u ? unknownThing : {}) };`, "{a: ?(1) ...?({})}"},
		{`const table = { a: 1, b: 2 }; export const x = table[u];`, "?(1 2)"},
		{`const r = (n) => (u ? r(n + 1) : n); export const x = typeof r(0);`, "? it depends on the environment variable U"},
		{`export const x = Date.now();`, `? it depends on the global "Date"`},
		{`export const x = Math.random();`, `? it depends on the global "Math"`},
		{`import { z } from "zod"; export const x = z.object({ a: z.string() });`, `? it comes from the package "zod", which is not read`},
		{`import { readFileSync } from "node:fs"; export const x = JSON.parse(readFileSync("x"));`, `? it depends on the global "JSON"`},
		{`import { gone } from "./missing"; export const x = gone;`, `? the module "./missing" cannot be found`},
		{`import { nope } from "./other"; export const x = nope;`, `? the module "./other" exports no "nope"`},
		{`import { bad } from "./broken"; export const x = bad;`, `? broken.ts:2 cannot be read: Expected identifier but found ";"`},
		{`import { boom } from "./throws"; export const x = boom;`, "? throws.ts cannot be evaluated: it throws when it is loaded: oh no"},
		{`export const x = (function* () { yield 1; })();`, "? it comes from a generator, which is not evaluated"},
		{`export const x = f(); function f() { return before; } const before = 1;`, `? it depends on the global "before"`},
		{`export const x = /(?=a)b/.test("ab");`, "? it is a regular expression, which is not evaluated"},
		{`export const x = "x".repeat(1e9);`, "? it is the property repeat of a text or a number, which is not evaluated"},
		{`export const x = new Array(1e9);`, "? it is made by a call that is not evaluated"},
		{`export const x = f(); function f() { return f(); }`, "? it is computed by calls that nest too deeply"},
	} {
		t.Run(c.code, func(t *testing.T) {
			got := evaluate(t, prelude+c.code, map[string]string{
				"other.ts": "export const a = 1;", "broken.ts": "export const a = 1;\nconst ;", "throws.ts": "export const boom = 1; throw new Error('oh no');",
			})
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestNotEvaluated: the result of anything that is not evaluated is unknown
// and has a reason.
func TestNotEvaluated(t *testing.T) {
	for _, c := range []struct{ code, want string }{
		{`class A { static s = 1; m() { return 1; } } export const x = [A.s, new A().m(), A];`, "[? it comes from the class A, which is not evaluated ? it comes from the class A, which is not evaluated ? it comes from the class A, which is not evaluated]"},
		{`function F() { this.a = 1; } export const x = new F();`, "? it is made by new, which is not evaluated"},
		{`export const x = new Set([1]);`, `? it depends on the global "Set"`},
		{`export const x = [...new Map([["a", 1]]).keys()];`, "[...?()]"},
		{`export const x = JSON.parse("1");`, `? it depends on the global "JSON"`},
		{`export const x = Math.max(1, 2);`, `? it depends on the global "Math"`},
		{`export const x = /a/.test("a");`, "? it is a regular expression, which is not evaluated"},
		{`export const x = ["a".toUpperCase(), "ab"[0], "ab".length];`, "[? it is the property toUpperCase of a text or a number, which is not evaluated ? it is the property 0 of a text or a number, which is not evaluated ? it is the property length of a text or a number, which is not evaluated]"},
		{`export const x = [[1, 2].find((n) => n > 1), [1, 2].includes(2), [1, 2].join("-"), [1, 2].reduce((a, b) => a + b)];`, "[? it is made by the method find of a list, which is not evaluated ? it is made by the method includes of a list, which is not evaluated ? it is made by the method join of a list, which is not evaluated ? it is made by the method reduce of a list, which is not evaluated]"},
		{`const a = [1, 2]; a.splice(0, 1); export const x = a;`, "[...?(1 2)]"},
		{`const a = [2, 1]; a.sort(); a.push(3); export const x = a;`, "[3 ...?(2 1)]"},
		{`export const x = (5 & 3) + 2 ** 3;`, "? its operator is not evaluated"},
		{`const o = { a: 1 }; export const x = [Object.assign(o, { b: 2 }), o];`, "[{a: ?(1) ...?()} {a: ?(1) ...?()}]"},
		{`let a = 9; a -= 4; export const x = [9 * 4, 1 < 2, a];`, "[? its operator is not evaluated ? its operator is not evaluated ? its operator is not evaluated]"},
		{`const out = [0]; for (const k in { a: 1 }) out.push(k); export const x = out;`, "[0 ...?(? it is the variable of a for-in loop, which is not evaluated)]"},
		{`export const x = [Number(true), Number(null)];`, "[? it is taken for a number, which is not evaluated ? it is taken for a number, which is not evaluated]"},
		{`export const x = 1 == "1";`, "? it compares values of two kinds by ==, which is not evaluated"},
		{"export const x = `${1e21}`;", "? it is the text of an object"},
		{`let a = 1; export const x = [a++, --a, a];`, "[? it is counted, which is not evaluated ? it is counted, which is not evaluated ? it is counted, which is not evaluated]"},
		{`let a = 1, b = 2; [a, b] = [b, a]; let c = 0; ({ d: c = 4 } = {}); export const x = [a, b, c];`, "[? it is assigned by destructuring, which is not evaluated ? it is assigned by destructuring, which is not evaluated ? it is assigned by destructuring, which is not evaluated]"},
		{`const o = { a: 1, b: 2 }; [o.a] = [3]; export const x = o;`, "{a: ?(1), b: ?(2) ...?()}"},
		{`const o = { a: 1, b: 2 }; export const x = [delete o.a, "a" in o, o.b];`, "[? it depends on delete, which is not evaluated ? its operator is not evaluated ?(2)]"},
		{`const o = { a: 1, e() { return this.a; } }; export const x = o.e();`, "? it depends on this, which is not evaluated"},
		{`export const x = (function () { return arguments.length; })(1, 2, 3);`, `? it depends on the global "arguments"`},
		{`const f = () => 1; f.a = 2; export const x = [f.a, f.call(null), f.bind(null)()];`, "[? it is a property of a function, which is not evaluated ? it is a property of a function, which is not evaluated ? it is a property of a function, which is not evaluated]"},
		{`const a = [1, 2]; a[1] = 3; a[u] = 4; export const x = a;`, "[...?(4 1 2 3)]"},
		{`export const x = [Array.of(7), Array.from([1])];`, "[? it uses a function of Array that is not evaluated ? it uses a function of Array that is not evaluated]"},
		{`function f(k) { switch (k) { case 1: return "one"; case 2: case 3: k = "few"; break; default: k = "many"; } return k; } export const x = f(1);`, `?("one" 1 "few" "many")`},
		{`const out = []; for (const a of [1, 2, 3]) { if (a === 3) break; out.push(a); } export const x = out;`, "[...?(2 1)]"},
		{`const out = [0]; for (const a of [1, 2]) { switch (a) { case 1: break; } out.push(a); } export const x = out;`, "[0 1 2]"},
		{`const out = [0]; for (const a of [1, 2]) { switch (a) { case 1: continue; } out.push(a); } export const x = out;`, "[0 ...?(2 1)]"},
		{`const o = { get a() { return 1; } }; export const x = o.a;`, "? it is the value of an accessor, which is not evaluated"},
		{`const a = []; for (let i = 0; i < 3; i++) a.push(1); export const x = a;`, "[...?(1)]"},
		{`let n = 0; while (n < 3) n++; export const x = n;`, "?(0)"},
		{`const a = []; outer: for (const i of [1, 2]) { for (const j of [1, 2]) { if (j === 2) continue outer; a.push(j); } } export const x = a;`, "[...?(1 1)]"},
		{"export const x = String.raw`a`;", "? it is made by a template tag"},
		{"export const x = `${[1]}`;", "? it is the text of an object"},
		{`export const x = parseInt("3");`, `? it depends on the global "parseInt"`},
	} {
		t.Run(c.code, func(t *testing.T) {
			if got := evaluate(t, c.code, nil); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestEndless(t *testing.T) {
	for _, code := range []string{
		`while (true) {}`,
		`for (;;) { [1].map((x) => x); }`,
		`const f = (n) => f(n + 1) + f(n + 2); f(0);`,
		`let s = "x"; while (s.length < 1e12) s += s;`,
		`const a = [1]; for (const v of a) a.push(v);`,
		`const a = []; a.push(a); String(a); JSON.stringify(a); structuredClone(a);`,
		`const o = {}; o.o = o; JSON.stringify(o); structuredClone(o);`,
		`class A extends A {} new A();`,
		`const a = { toString() { return "" + a; } }; "" + a;`,
		`const a = { get b() { return a.b; } }; a.b;`,
		`import * as self from "./index"; self.x; `,
		`let u = process.env.A; const f = (n) => { if (u) { f(n + 1); f(n + 2); } else { f(n + 3); f(n + 4); } }; f(0);`,
	} {
		t.Run(code, func(t *testing.T) {
			// The test passes if the evaluation returns.
			evaluate(t, code+"\nexport const x = 1;", nil)
		})
	}
}

func TestModules(t *testing.T) {
	for name, c := range map[string]struct {
		index  string
		others map[string]string
		want   string
	}{
		"order": {`import "./a"; import { log } from "./log"; export const x = log;`,
			map[string]string{"log.ts": "export const log: string[] = []; // wanted", "a.ts": `import "./b"; import { log } from "./log"; log.push("a");`, "b.ts": `import { log } from "./log"; log.push("b");`},
			`["b" "a"]`},
		"live binding": {`import { n, inc } from "./counter"; inc(); inc(); export const x = n;`,
			map[string]string{"counter.ts": "export let n = 0; export function inc() { n = n + 1; }"}, "2"},
		"star conflicts with own": {`export * from "./a"; export const x = 1;`, map[string]string{"a.ts": "export const x = 2;"}, "1"},
		"star of star":            {`export * from "./a";`, map[string]string{"a.ts": `export * from "./b";`, "b.ts": "export const x = 3; export default 4;"}, "3"},
		"star does not give default": {`import * as a from "./a"; export const x = Object.keys(a);`,
			map[string]string{"a.ts": `export * from "./b";`, "b.ts": "export default 4; export const y = 1;"}, `["y"]`},
		"circular stars": {`export * from "./a"; export * from "./b";`,
			map[string]string{"a.ts": `export * from "./b";`, "b.ts": `export * from "./a"; export const x = 5;`}, "5"},
		"circular values": {`import { b } from "./b"; export const a = 1; export const x = b();`,
			map[string]string{"b.ts": `import { a } from "./index"; export const b = () => a + 1;`}, "2"},
		"dynamic import": {`export const x = (await import("./a")).default;`, map[string]string{"a.ts": "export default 7;"}, "7"},
		"json":           {`import data, { list } from "./a.json"; export const x = [data.n, list];`, map[string]string{"a.json": `{"n": 1, "list": ["a"]}`}, `[1 ["a"]]`},
		"commonjs":       {`import a, { b } from "./a.cjs"; export const x = [a.b, b, a.c.d];`, map[string]string{"a.cjs": `exports.b = 1; exports.c = require("./c.js");`, "c.js": "module.exports = { d: 2 };"}, "[1 1 2]"},
		"asset":          {`import text from "./a.md"; export const x = text;`, map[string]string{"a.md": "# text"}, "? a.md (.md) is not a module that can be read"},
		"common namespace": {`import * as a from "./a"; export const x = Object.keys(a);`,
			map[string]string{"a.ts": "export const z = 1; export const b = 2; export default 3;"}, `["b" "default" "z"]`},
		"only what is used is run": {`import { fine } from "./a"; export const x = fine;`,
			map[string]string{"a.ts": `import { never } from "./b"; export const fine = 1; export const f = () => never;`, "b.ts": "throw new Error('never'); export const never = 1;"}, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := evaluate(t, c.index, c.others); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestContextEnds(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "index.ts")
	if err := os.WriteFile(path, []byte("const ten = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]; export const x = ten.map(() => ten.map(() => ten.map(() => 1)));"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := source.New(source.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Add(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := New(Options{Program: p}).Exports(ctx, filepath.Join(p.Root(), "index.ts")); err == nil {
		t.Error("no error although the context has ended")
	}
}
