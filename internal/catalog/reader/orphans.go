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
	"github.com/joelhooks/gh-sbw/internal/catalog/jseval"
	"github.com/joelhooks/gh-sbw/internal/catalog/source"
)

// orphan is a function that no index is known to register.
type orphan struct {
	catalog.Function
	key functionKey
}

// home returns the file in which a reader finds the function.
func (f orphan) home() string {
	if f.Via == "" {
		return f.File
	}
	file, _, _ := strings.Cut(f.Via, ":")
	return file
}

// orphans finds functions that are created but that neither an index nor
// another module registers.
func (r *reading) orphans(indexes []string) error {
	if err := r.unregistered(indexes); err != nil {
		return err
	}
	if len(r.lost) > 0 {
		// Evaluating other modules is expensive, so it is done only if it
		// matters.
		if err := r.others(indexes); err != nil {
			return err
		}
	}
	for _, o := range r.lost {
		r.cat.Orphans = append(r.cat.Orphans, o.Function)
	}
	return nil
}

// unregistered finds functions that are created but that no index registers,
// both among what the indexes evaluated and in the other sources of their
// packages.
func (r *reading) unregistered(indexes []string) error {
	for _, made := range r.created {
		if !made.later {
			r.orphan(made)
		}
	}
	known := map[string]bool{}
	var rest []string
	for _, path := range r.sources(indexes) {
		if !r.walked[path] {
			rest = append(rest, path)
			known[path] = true
		}
	}
	if len(rest) == 0 {
		return nil
	}
	if r.loads {
		r.leaveDynamic()
	}
	if err := r.program.Add(r.ctx, rest...); err != nil {
		return err
	}
	m, s := r.machine()
	for _, path := range rest {
		// An unreadable file that matters has been reported already, because
		// an index leads to it.
		if _, _, err := m.Exports(r.ctx, path); err != nil && r.ctx.Err() != nil {
			return err
		}
	}
	loaders := r.loaders()
	for _, f := range s.created {
		if abs := filepath.Join(r.program.Root(), filepath.FromSlash(f.at.File())); known[abs] && !r.loadable(loaders, abs, madeBy{f, m}) {
			r.orphan(madeBy{f, m})
		}
	}
	r.uncalled(slices.DeleteFunc(rest, func(path string) bool { return r.loadable(loaders, path, madeBy{}) }), m, s)
	return nil
}

// loadable reports whether an index may load a file. The function that is
// created there, if one is given, becomes a candidate.
func (r *reading) loadable(loaders []loader, path string, made madeBy) bool {
	for _, l := range loaders {
		if !l.loads(path) {
			continue
		}
		if made.function != nil {
			if d := r.decode(made.machine, made.function); (!d.idOpen || d.neverRetried()) && !r.listed[r.key(made.machine, made.function)] {
				addCandidate(&r.cat.Indexes[l.index], d.Function)
			}
		}
		return true
	}
	return r.loads
}

// leaveDynamic records that an index loads unknown modules, if there are
// modules with functions that it may load.
func (r *reading) leaveDynamic() {
	for _, d := range r.dynamic {
		for i := range r.cat.Indexes {
			if r.cat.Indexes[i].Path != d.index {
				continue
			}
			r.cat.Indexes[i].Incomplete = true
			file, line := d.At.File(), d.At.Line()
			if !slices.ContainsFunc(r.cat.Unresolved, func(u catalog.Unresolved) bool { return u.File == file && u.Line == line }) {
				r.unresolved(catalog.Unresolved{Index: d.index, File: file, Line: line, What: "which modules are loaded here", Why: d.Why})
			}
		}
	}
}

func (r *reading) orphan(made madeBy) {
	if key := r.key(made.machine, made.function); !r.listed[key] {
		r.addOrphan(orphan{r.decode(made.machine, made.function).Function, key})
	}
}

func (r *reading) addOrphan(f orphan) {
	if !slices.ContainsFunc(r.lost, func(o orphan) bool {
		return o.File == f.File && o.Line == f.Line && o.ID == f.ID && o.Via == f.Via
	}) {
		r.lost = append(r.lost, f)
	}
}

// sources returns the files in the packages of the indexes that mention
// createFunction, without tests and build outputs.
func (r *reading) sources(indexes []string) []string {
	var found []string
	for _, dir := range r.packageDirs(indexes) {
		r.eachSource(dir, isPackage, func(path string, text []byte) {
			if bytes.Contains(text, []byte(words[0])) {
				found = append(found, path)
			}
		})
	}
	return found
}

// packageDirs returns the directories of the packages of the indexes.
func (r *reading) packageDirs(indexes []string) []string {
	var all []string
	for _, index := range indexes {
		dir := r.packageDir(filepath.Join(r.program.Root(), filepath.FromSlash(index)))
		if !slices.Contains(all, dir) {
			all = append(all, dir)
		}
	}
	return all
}

// eachSource visits the sources below a directory, without tests, build
// outputs and the folders that skip names.
func (r *reading) eachSource(dir string, skip func(dir string) bool, visit func(path string, text []byte)) {
	// An unreadable folder contains nothing that could be reported.
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || r.ctx.Err() != nil:
			return fs.SkipDir
		case d.IsDir():
			if path != dir && (skipDir(d.Name()) || skip(path)) {
				return fs.SkipDir
			}
		case d.Type().IsRegular() && isSource(d.Name()):
			if b, err := os.ReadFile(path); err == nil {
				visit(path, b)
			}
		}
		return nil
	})
}

// packageDir returns the directory of the package that contains a file.
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
	case "node_modules", "dist", "build", "out", "coverage", "examples",
		"test", "tests", "testdata", "fixtures", "mocks", "e2e", "cypress", "playwright":
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

// uncalled finds calls of createFunction that no evaluation reached, in
// modules to which no index leads: they are in functions that nothing calls.
func (r *reading) uncalled(rest []string, m *jseval.Machine, s *sdk) {
	for _, path := range rest {
		m.Walk(path, nil, func(c jseval.Site) {
			if s.calls(c) != createFunction || s.reached[c.Node] || r.reached[c.Node] {
				return
			}
			if id, ok := writtenID(c.Args); ok {
				r.addOrphan(orphan{
					catalog.Function{ID: id, File: c.At.File(), Line: c.At.Line(), Uncalled: true},
					functionKey{site: [2]any{c.Node, nil}, id: id},
				})
			}
		})
	}
}

// writtenID returns the id in the options of a function if it is a literal. A
// call without one is a wrapper that happens to be unused.
func writtenID(args js.Args) (id string, ok bool) {
	lit := writtenOption(args, "id")
	if lit == nil || lit.TokenType != js.StringToken || len(lit.Data) < 2 {
		return "", false
	}
	return string(lit.Data[1 : len(lit.Data)-1]), true
}

// writtenZero reports whether the options contain a literal `retries: 0`.
func writtenZero(args js.Args) bool {
	lit := writtenOption(args, "retries")
	if lit == nil {
		return false
	}
	n, ok := source.LiteralNumber(lit.Data)
	return ok && n == 0
}

// writtenOption returns an option of a function if it is a literal, or nil.
func writtenOption(args js.Args, name string) *js.LiteralExpr {
	if len(args.List) < 2 {
		return nil
	}
	options, isObject := args.List[0].Value.(*js.ObjectExpr)
	if !isObject {
		return nil
	}
	for _, p := range options.List {
		if p.Name != nil && p.Name.Computed == nil && strings.Trim(string(p.Name.Literal.Data), `"'`) == name {
			lit, _ := p.Value.(*js.LiteralExpr)
			return lit
		}
	}
	return nil
}
