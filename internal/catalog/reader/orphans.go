package reader

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tdewolff/parse/v2/js"

	"github.com/joelhooks/gh-sbw/internal/catalog"
)

// orphans finds the functions that are created but that no index registers:
// in what the indexes evaluated, and in the other sources of their packages.
func (r *reading) orphans(indexes []string) error {
	known := map[string]bool{}
	for _, made := range r.created {
		r.orphan(made)
	}
	var rest []string
	for _, path := range r.sources(indexes) {
		if !r.evaluated[path] {
			rest = append(rest, path)
			known[path] = true
		}
	}
	if len(rest) > 0 {
		if err := r.program.Add(r.ctx, rest...); err != nil {
			return err
		}
		m, s := r.machine()
		for _, path := range rest {
			// A file that cannot be read is told of if it mattered: then an
			// index led to it.
			if _, _, err := m.Exports(r.ctx, path); err != nil && r.ctx.Err() != nil {
				return err
			}
		}
		for _, f := range s.created {
			if abs := filepath.Join(r.program.Root(), filepath.FromSlash(f.at.File())); known[abs] {
				r.orphan(madeBy{f, m})
			}
		}
		for site := range s.sites {
			r.sites[site] = true
		}
	}
	r.unreached(rest)
	return nil
}

func (r *reading) orphan(made madeBy) {
	d := r.decode(made.machine, made.function)
	key := made.key(d.ID)
	if r.listed[key] || r.maybe[key] {
		return
	}
	r.addOrphan(d.Function)
}

func (r *reading) addOrphan(f catalog.Function) {
	if !slices.ContainsFunc(r.cat.Orphans, func(o catalog.Function) bool {
		return o.File == f.File && o.Line == f.Line && o.ID == f.ID && o.Via == f.Via
	}) {
		r.cat.Orphans = append(r.cat.Orphans, f)
	}
}

// sources are the files in the packages of the indexes that mention
// createFunction; tests and what is built are left out.
func (r *reading) sources(indexes []string) []string {
	var found []string
	visited := map[string]bool{}
	for _, index := range indexes {
		dir := r.packageDir(filepath.Join(r.program.Root(), filepath.FromSlash(index)))
		if visited[dir] {
			continue
		}
		visited[dir] = true
		// A folder that cannot be read holds nothing that could be told of.
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil || r.ctx.Err() != nil:
				return fs.SkipDir
			case d.IsDir():
				if path != dir && (skipDir(d.Name()) || isPackage(path)) {
					return fs.SkipDir
				}
			case d.Type().IsRegular() && isSource(d.Name()):
				if b, err := os.ReadFile(path); err == nil && bytes.Contains(b, []byte(words[0])) {
					found = append(found, path)
				}
			}
			return nil
		})
	}
	return found
}

// packageDir is the folder of the package that a file belongs to.
func (r *reading) packageDir(path string) string {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if isPackage(dir) {
			return dir
		}
		if dir == r.program.Root() || dir == filepath.Dir(dir) {
			return filepath.Dir(path)
		}
	}
}

func isPackage(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "package.json"))
	return err == nil
}

func skipDir(name string) bool {
	switch name {
	case "node_modules", "dist", "build", "out", "coverage", "test", "tests", "fixtures", "testdata", "examples":
		return true
	}
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "__")
}

func isSource(name string) bool {
	switch filepath.Ext(name) {
	case ".ts", ".tsx", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs":
	default:
		return false
	}
	for _, mark := range []string{".test.", ".spec.", ".stories.", ".bench.", ".d."} {
		if strings.Contains(name, mark) {
			return false
		}
	}
	return true
}

// unreached finds calls of createFunction that no evaluation came by: in a
// function that nothing calls when the worker starts.
func (r *reading) unreached(rest []string) {
	paths := slices.Clone(rest)
	for path := range r.evaluated {
		if r.program.Mentions(path) {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	for _, path := range paths {
		module, err := r.program.Module(path)
		if err != nil {
			continue
		}
		for _, st := range module.Body {
			js.Walk(siteFinder(func(name []byte, call *js.CallExpr) {
				if r.sites[[2]any{module, &name[0]}] {
					return
				}
				if id, ok := looksLikeFunction(call); ok {
					r.addOrphan(catalog.Function{ID: id, File: module.Rel, Line: module.Line(name), Uncalled: true})
				}
			}), st)
		}
	}
}

// siteFinder visits the calls of a method named createFunction.
type siteFinder func(name []byte, call *js.CallExpr)

// Enter implements js.IVisitor.
func (f siteFinder) Enter(n js.INode) js.IVisitor {
	if call, ok := n.(*js.CallExpr); ok {
		if dot, ok := call.X.(*js.DotExpr); ok {
			if lit, ok := dot.Y.(js.LiteralExpr); ok && string(lit.Data) == words[0] {
				f(lit.Data, call)
			}
		}
	}
	return f
}

// Exit implements js.IVisitor.
func (siteFinder) Exit(js.INode) {}

// looksLikeFunction tells an Inngest function from what else has a method of
// that name (AWS Lambda's client has): options with an id, and a handler. Where
// the id is not written out, it is a wrapper that nothing happens to use.
func looksLikeFunction(call *js.CallExpr) (id string, ok bool) {
	if len(call.Args.List) < 2 {
		return "", false
	}
	options, isObject := call.Args.List[0].Value.(*js.ObjectExpr)
	if !isObject {
		return "", false
	}
	for _, p := range options.List {
		if p.Name == nil || p.Name.Computed != nil || string(p.Name.Literal.Data) != "id" {
			continue
		}
		if lit, isLiteral := p.Value.(*js.LiteralExpr); isLiteral && lit.TokenType == js.StringToken && len(lit.Data) > 1 {
			return string(lit.Data[1 : len(lit.Data)-1]), true
		}
		return "", false
	}
	return "", false
}
