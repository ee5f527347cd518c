package reader

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/catalog"
)

// The text of a worker's modules contains the names of files and folders:
// processes that it starts, and folders whose modules a package loads. Neither
// is evaluated.

// starterWords are what the words of starters begin with: looking for these is
// ten times as fast.
var starterWords = [][]byte{[]byte("Worker"), []byte("fork"), []byte("spawn"), []byte("exec"), []byte("Piscina"), []byte("Tinypool")}

// starts reports whether a module may start a process.
func starts(text []byte) bool {
	return slices.ContainsFunc(starterWords, func(w []byte) bool { return bytes.Contains(text, w) }) && starters.Match(text)
}

// starters are words of which at least one occurs in every module that starts
// a process.
var starters = regexp.MustCompile(`\b(Worker|fork|spawn|spawnSync|exec\w*|Piscina|Tinypool)\b`)

// handlers are the names of exports that register functions.
var handlers = regexp.MustCompile(`\b(serve|serveEdge|connect|createServer|InngestCommHandler|fastifyPlugin)\b`)

// chosen matches an import or require whose module is not named by a literal.
var chosen = regexp.MustCompile(`\b(import|require)\s*\(\s*[^"'\s)]`)

// literals matches string literals in one line, with what precedes them.
var literals = regexp.MustCompile("(\\b(?:from|import|require)\\s*\\(?\\s*)?[\"'`]([^\"'`\n]{1,200})[\"'`]")

// startedAt is the place where an index starts another program.
type startedAt struct {
	index, file string
	line        int
}

// closure returns the files that a file leads to, beginning with itself.
func (r *reading) closure(path string) []string {
	all, seen := []string{path}, map[string]bool{path: true}
	for i := 0; i < len(all); i++ {
		for _, to := range r.program.LeadsTo(all[i]) {
			if !seen[to] {
				seen[to] = true
				all = append(all, to)
			}
		}
	}
	return all
}

// eachName visits the strings in a module that may name a file or a folder.
func (r *reading) eachName(path string, visit func(name string, line int)) {
	for i, line := range bytes.Split(r.program.Text(path), []byte{'\n'}) {
		if text := bytes.TrimSpace(line); bytes.HasPrefix(text, []byte("//")) || bytes.HasPrefix(text, []byte("*")) {
			continue
		}
		for _, found := range literals.FindAllSubmatch(line, -1) {
			if len(found[1]) == 0 {
				visit(string(found[2]), i+1)
			}
		}
	}
}

// meant returns the paths that a name in a module may refer to: relative to
// the module, to its package and to the repository, because the worker may be
// started in any of them.
func (r *reading) meant(name, module string) []string {
	name = strings.TrimPrefix(name, "file://")
	var all []string
	for _, dir := range []string{filepath.Dir(module), r.packageDir(module), r.program.Root()} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if !slices.Contains(all, path) && strings.HasPrefix(path, r.program.Root()+string(filepath.Separator)) {
			all = append(all, path)
		}
	}
	return all
}

// started returns the programs with handlers of their own that the indexes
// start.
func (r *reading) started(indexes []*entryRead) ([]*entryRead, error) {
	var all []*entryRead
	for _, e := range indexes {
		own := r.closure(e.path)
		for _, path := range own {
			if !starts(r.program.Text(path)) {
				continue
			}
			var files []*entryRead
			r.eachName(path, func(name string, line int) {
				for _, file := range r.meant(name, path) {
					if file = sourceOf(file); file != "" && !slices.Contains(own, file) {
						at := &startedAt{e.index, r.program.Rel(path), line}
						files = append(files, &entryRead{index: r.program.Rel(file), path: file, started: at})
						return
					}
				}
			})
			for _, f := range files {
				if err := r.program.Add(r.ctx, f.path); err != nil {
					return nil, err
				}
				if slices.ContainsFunc(r.closure(f.path), r.handles) {
					all = append(all, f)
				}
			}
		}
	}
	return all, nil
}

// handles reports whether the text of a module may create a handler of the
// SDK.
func (r *reading) handles(path string) bool {
	text := r.program.Text(path)
	return handlers.Match(text) && bytes.Contains(text, []byte(sdkPackage))
}

// sourceOf returns the source file for a path, which may name a compiled file.
func sourceOf(path string) string {
	ext := filepath.Ext(path)
	if ext == "" || !isSource(filepath.Base(path)) {
		return ""
	}
	for _, p := range []string{path, strings.TrimSuffix(path, ext) + strings.Replace(ext, "js", "ts", 1)} {
		if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() {
			return p
		}
	}
	return ""
}

// addStarted makes an index incomplete if it starts a program that registers
// functions. These functions are candidates of the index.
func (r *reading) addStarted(e *entryRead, c *collection) {
	for i := range r.cat.Indexes {
		index := &r.cat.Indexes[i]
		if index.Path != e.started.index {
			continue
		}
		index.Incomplete = true
		r.unresolved(catalog.Unresolved{
			Index: index.Path, File: e.started.file, Line: e.started.line,
			What: "what the program that is started here registers", Why: e.index + " has a handler of its own",
		})
		for _, f := range slices.Concat(functionsOf(c.found), c.maybe) {
			if d := r.decode(e.m, f); !d.idOpen || d.neverRetried() {
				addCandidate(index, d.Function)
			}
		}
	}
}

// loader describes what an incomplete index may load in addition.
type loader struct {
	index   int
	any     bool // modules with any name
	folders []string
	// tails are the ends of paths that imports which cannot be resolved may
	// mean: a bundler may know an alias, or how to load "./a?worker".
	tails []string
}

// loaders returns the loaders of the indexes.
func (r *reading) loaders() []loader {
	var all []loader
	for i, index := range r.cat.Indexes {
		if !index.Incomplete {
			continue
		}
		l := loader{index: i, any: r.loads}
		for _, path := range r.closure(filepath.Join(r.program.Root(), filepath.FromSlash(index.Path))) {
			l.any = l.any || chosen.Match(r.program.Text(path))
			for _, spec := range r.program.Unfound(path) {
				if tail := tailOf(spec); tail != "" {
					l.tails = append(l.tails, tail)
				}
			}
			r.eachName(path, func(name string, _ int) {
				if strings.Trim(name, "./") == "" {
					return
				}
				for _, dir := range r.meant(name, path) {
					if info, err := os.Stat(dir); err == nil && info.IsDir() {
						l.folders = append(l.folders, dir)
					}
				}
			})
		}
		all = append(all, l)
	}
	return all
}

// loads reports whether a file may be loaded.
func (l loader) loads(path string) bool {
	if l.any || slices.ContainsFunc(l.folders, func(dir string) bool {
		return strings.HasPrefix(path, dir+string(filepath.Separator))
	}) {
		return true
	}
	name := strings.ToLower(withoutExtension(filepath.ToSlash(path)))
	return slices.ContainsFunc(l.tails, func(tail string) bool {
		return strings.HasSuffix(name, tail) || strings.HasSuffix(name, tail+"/index")
	})
}

// tailOf returns the end of the path that a specifier without a known target
// may mean: "/jobs/a" for "@/jobs/a.ts" and "../jobs/a?worker".
func tailOf(spec string) string {
	spec, _, _ = strings.Cut(spec, "?")
	_, tail, _ := strings.Cut(strings.TrimLeft(spec, "."), "/")
	if tail = path.Clean("/" + tail); tail == "/" {
		return ""
	}
	return strings.ToLower(withoutExtension(tail))
}

func withoutExtension(name string) string {
	if isSource(path.Base(name)) {
		return strings.TrimSuffix(name, path.Ext(name))
	}
	return name
}

func addCandidate(index *catalog.Index, f catalog.Function) {
	if !slices.ContainsFunc(index.Candidates, func(o catalog.Function) bool { return o.ID == f.ID && o.File == f.File && o.Line == f.Line }) {
		index.Candidates = append(index.Candidates, f)
	}
}
