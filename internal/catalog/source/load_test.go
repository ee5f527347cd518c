package source

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tdewolff/parse/v2/js"
)

// tree writes files and creates a program from them.
func tree(t *testing.T, files map[string]string) *Program {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := New(Options{Root: root, Words: []string{"createFunction"}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestResolve(t *testing.T) {
	files := map[string]string{
		"package.json":                        `{"name": "root", "workspaces": {"packages": ["packages/*", "apps/**"]}, "imports": {"#in/*": "./src/in/*.ts"}}`,
		"pnpm-workspace.yaml":                 "packages:\n  - libs/*\n  - '!libs/hidden'\n",
		"tsconfig.json":                       `{"compilerOptions": {"paths": {"@/*": ["./src/*"], "exact": ["./src/a.ts"]}}}`,
		"src/a.ts":                            "",
		"src/b.tsx":                           "",
		"src/c.mts":                           "",
		"src/d.js":                            "",
		"src/both.ts":                         "",
		"src/both.js":                         "",
		"src/dir/index.ts":                    "",
		"src/in/x.ts":                         "",
		"packages/exports/package.json":       `{"name": "@w/exports", "exports": {".": {"bun": "./src/bun.ts", "default": "./src/index.ts"}, "./sub": "./src/sub.ts", "./gone": "./src/gone.ts"}}`,
		"packages/exports/src/index.ts":       "",
		"packages/exports/src/bun.ts":         "",
		"packages/exports/src/sub.ts":         "",
		"packages/main/package.json":          `{"name": "main", "main": "./lib/main.ts"}`,
		"packages/main/lib/main.ts":           "",
		"packages/main/lib/other.ts":          "",
		"packages/index/package.json":         `{"name": "@w/index"}`,
		"packages/index/index.ts":             "",
		"apps/deep/er/package.json":           `{"name": "deeper"}`,
		"apps/deep/er/index.ts":               "",
		"libs/pnpm/package.json":              `{"name": "from-pnpm", "dependencies": {"linked": "link:../../outside/linked", "nowhere": "link:../../../nowhere"}}`,
		"libs/pnpm/index.ts":                  "",
		"libs/hidden/package.json":            `{"name": "hidden"}`,
		"libs/hidden/index.ts":                "",
		"outside/linked/package.json":         `{"name": "linked"}`,
		"outside/linked/index.ts":             "",
		"node_modules/installed/package.json": `{"name": "installed", "main": "x.js"}`,
		"node_modules/installed/x.js":         "throw 1",
	}
	for _, c := range []struct{ from, spec, path, pkg, missing string }{
		{"src/a.ts", "./b", "src/b.tsx", "", ""},
		{"src/a.ts", "./c", "src/c.mts", "", ""},
		{"src/a.ts", "./c.mjs", "src/c.mts", "", ""},
		{"src/a.ts", "./d", "src/d.js", "", ""},
		{"src/a.ts", "./a.js", "src/a.ts", "", ""},
		{"src/a.ts", "./both", "src/both.ts", "", ""},
		{"src/a.ts", "./both.js", "src/both.js", "", ""},
		{"src/a.ts", "./dir", "src/dir/index.ts", "", ""},
		{"src/dir/index.ts", "..", "", "", "cannot be found"},
		{"src/a.ts", "./none", "", "", `the module "./none" cannot be found`},
		{"src/a.ts", "@/dir", "src/dir/index.ts", "", ""},
		{"src/a.ts", "exact", "src/a.ts", "", ""},
		{"src/a.ts", "#in/x", "src/in/x.ts", "", ""},
		{"src/a.ts", "@w/exports", "packages/exports/src/bun.ts", "", ""},
		{"src/a.ts", "@w/exports/sub", "packages/exports/src/sub.ts", "", ""},
		{"src/a.ts", "@w/exports/gone", "", "@w/exports", "has no file for it"},
		{"src/a.ts", "main", "packages/main/lib/main.ts", "", ""},
		{"src/a.ts", "main/lib/other", "packages/main/lib/other.ts", "", ""},
		{"src/a.ts", "@w/index", "packages/index/index.ts", "", ""},
		{"src/a.ts", "deeper", "apps/deep/er/index.ts", "", ""},
		{"src/a.ts", "from-pnpm", "libs/pnpm/index.ts", "", ""},
		{"src/a.ts", "hidden", "", "hidden", ""},
		{"libs/pnpm/index.ts", "linked", "outside/linked/index.ts", "", ""},
		{"libs/pnpm/index.ts", "nowhere", "", "nowhere", "linked from outside the repository (link:../../../nowhere)"},
		{"src/a.ts", "installed", "", "installed", ""},
		{"src/a.ts", "zod", "", "zod", ""},
		{"src/a.ts", "inngest/hono", "", "inngest", ""},
		{"src/a.ts", "node:fs", "", "node:fs", ""},
		{"src/a.ts", "fs/promises", "", "fs", ""},
	} {
		t.Run(c.from+" "+c.spec, func(t *testing.T) {
			p := tree(t, files)
			got, err := p.Resolve(t.Context(), filepath.Join(p.root, filepath.FromSlash(c.from)), c.spec)
			if err != nil {
				t.Fatal(err)
			}
			path := ""
			if got.Path != "" {
				path = p.Rel(got.Path)
			}
			if path != c.path || got.Package != c.pkg || !strings.Contains(got.Missing, c.missing) || c.missing == "" && got.Missing != "" {
				t.Errorf("got %q, package %q, missing %q", path, got.Package, got.Missing)
			}
		})
	}
}

func TestAddWalks(t *testing.T) {
	p := tree(t, map[string]string{
		"a.ts": `import { b } from "./b"; import type { T } from "./types"; x.createFunction();`,
		"b.ts": `import "./a"; export const b = () => import("./lazy");`, "types.ts": "", "lazy.ts": "", "unreached.ts": "",
	})
	if err := p.Add(t.Context(), filepath.Join(p.root, "a.ts")); err != nil {
		t.Fatal(err)
	}
	if n := len(p.Files()); n != 4 {
		t.Errorf("%d files: %v", n, p.Files())
	}
	if !p.Mentions(filepath.Join(p.root, "a.ts")) || p.Mentions(filepath.Join(p.root, "b.ts")) {
		t.Error("the wrong files mention the word")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Add(ctx, filepath.Join(p.root, "unreached.ts")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestLines(t *testing.T) {
	body := strings.Repeat("  // a line\n", 30)
	p := tree(t, map[string]string{"a.ts": "type Gone = {\n  a: 1;\n};\n\ninterface AlsoGone {\n  b: 2;\n}\n\n/** A comment. */\nexport const here /* 10 */ = 1;\n\nfunction f(): void {\n" + body + "  inside;\n}\n\nexport const there = here;\n"})
	m, err := p.Module(filepath.Join(p.root, "a.ts"))
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]int{}
	var fn *js.FuncDecl
	for _, st := range m.Body {
		switch st := st.(type) {
		case *js.ExportStmt:
			if d, ok := st.Decl.(*js.VarDecl); ok {
				name := d.List[0].Binding.(*js.Var).Data
				lines[string(name)] = m.Line(name)
			}
		case *js.FuncDecl:
			fn = st
		}
	}
	if lines["here"] != 10 || lines["there"] != 46 {
		t.Errorf("lines %v", lines)
	}
	src, list, err := m.Function(fn.Body.List)
	if err != nil {
		t.Fatal(err)
	}
	if src == m {
		t.Fatal("the body was not left out")
	}
	last := list[len(list)-1].(*js.ExprStmt).Value.(*js.Var)
	if got := src.Line(last.Data); got != 43 {
		t.Errorf("inside is at line %d", got)
	}
	if m.Line([]byte("elsewhere")) != 0 {
		t.Error("a token from another text has a line")
	}
}

func TestRefusals(t *testing.T) {
	p := tree(t, map[string]string{
		"syntax.ts": "const a = 1;\n\nconst = 2;\n",
		"deep.ts":   "\n" + strings.Repeat("[", 1<<19),
		"large.ts":  strings.Repeat("const a = 1;\n", 1<<17),
		"image.png": "PNG",
		"ok.json":   `{"a": 1}`,
	})
	for name, want := range map[string]string{
		"syntax.ts":  "3: Expected identifier but found \"=\"",
		"deep.ts":    "2: it nests too deeply",
		"large.ts":   "1: it is larger than 1024 KiB",
		"image.png":  "is not a module",
		"missing.ts": "no such file",
		"ok.json":    "",
	} {
		_, err := p.Module(filepath.Join(p.root, name))
		got := ""
		if r, ok := errors.AsType[*Refusal](err); ok {
			got = string(rune('0'+r.Line)) + ": " + r.Why
		} else if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) || want == "" && err != nil {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestMatchGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"packages/*", "packages/a", true},
		{"packages/*", "packages/a/b", false},
		{"packages/**", "packages/a/b", true},
		{"**/lib", "a/b/lib", true},
		{"**", "", true},
		{"a/**/b", "a/b", true},
		{"[", "[", false},
	} {
		if got := matchGlob(c.pattern, c.name); got != c.want {
			t.Errorf("%s %s: %v", c.pattern, c.name, got)
		}
	}
}

func TestMajor(t *testing.T) {
	p := tree(t, map[string]string{
		"package.json":                                 `{"name": "root", "dependencies": {"inngest": "^3.54.2", "both": "3 || 4", "tag": "latest", "ours": "workspace:*", "alias": "npm:inngest@4.1.0", "x": "4.x"}}`,
		"packages/a/package.json":                      `{"name": "a", "devDependencies": {"inngest": "~4.24"}}`,
		"packages/b/package.json":                      `{"name": "b", "dependencies": {"inngest": "3"}}`,
		"node_modules/installed/package.json":          `{"name": "installed", "version": "12.0.1"}`,
		"packages/b/node_modules/inngest/package.json": `{"version": "4.0.0"}`,
	})
	for _, c := range []struct {
		from, name string
		want       int
	}{
		{"src/a.ts", "inngest", 3}, {"packages/a/src/x.ts", "inngest", 4}, {"packages/b/x.ts", "inngest", 4}, {"x.ts", "installed", 12},
		{"x.ts", "both", 0}, {"x.ts", "tag", 0}, {"x.ts", "ours", 0}, {"x.ts", "alias", 4}, {"x.ts", "x", 4}, {"x.ts", "none", 0},
	} {
		if got := p.Major(filepath.Join(p.root, filepath.FromSlash(c.from)), c.name); got != c.want {
			t.Errorf("%s of %s: %d, want %d", c.name, c.from, got, c.want)
		}
	}
}
