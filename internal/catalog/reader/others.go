package reader

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/catalog"
	"github.com/joelhooks/gh-sbw/internal/catalog/jseval"
	"github.com/joelhooks/gh-sbw/internal/catalog/source"
)

// A function that no index registers is not forgotten if another module
// registers it: another worker's index, a route of the same application, or a
// server for development. Such a module either contains the call of the SDK or
// calls a function that contains it.

// other is a module that may register functions, together with what reading it
// alone results in.
type other struct {
	*reading
	entry  *entryRead
	all    *collection
	worker string // see catalog.Other
}

// search is one search for other modules.
type search struct {
	*reading
	// evaluated contains the modules that need not be looked at again, and
	// wrappers those in which a function registers what it gets.
	evaluated map[string]bool
	wrappers  []string
	found     []*other
	packages  map[string]string // the packages of directories
}

// others looks for modules that register the functions that are lost so far:
// first among the indexes of other workers, then in the packages of the
// indexes, and then in the whole repository. It removes what they register, or
// may register, from the lost functions.
func (r *reading) others(indexes []string) error {
	s := &search{reading: r, evaluated: map[string]bool{}, packages: map[string]string{}}
	for path := range r.walked {
		s.evaluated[path] = true
	}
	for _, index := range indexes {
		s.evaluated[r.absolute(index)] = true
	}
	configured, _ := r.options.split(slices.Sorted(maps.Keys(r.options.Others)))
	for _, index := range configured {
		if err := s.add([]string{r.absolute(index)}, r.options.Others[index]); err != nil {
			return err
		}
	}
	dirs := r.packageDirs(indexes)
	for _, dir := range dirs {
		if err := s.in(dir, isPackage); err != nil {
			return err
		}
	}
	elsewhere := func(dir string) bool { return slices.Contains(dirs, dir) }
	if err := s.in(r.program.Root(), elsewhere); err != nil {
		return err
	}
	s.finish()
	return r.ctx.Err()
}

func (r *reading) absolute(index string) string {
	return filepath.Join(r.program.Root(), filepath.FromSlash(index))
}

// in evaluates the modules below a directory that import the SDK and may
// register functions, and then those that import wrappers. It does nothing if
// no function is lost any more.
func (s *search) in(dir string, skip func(string) bool) error {
	if !slices.ContainsFunc(s.lost, func(o orphan) bool { return !s.registered(o) }) {
		return nil
	}
	var candidates []string
	sources := map[string][]byte{}
	s.eachSource(dir, skip, func(path string, text []byte) {
		if s.evaluated[path] {
			return
		}
		sources[path] = text
	})
	related := s.related(sources)
	for path, text := range sources {
		switch {
		case !related[s.packageOf(path)]:
			delete(sources, path)
		case bytes.Contains(text, []byte(sdkPackage)) && handlers.Match(text):
			candidates = append(candidates, path)
		}
	}
	for path := range s.walked {
		if s.handles(path) {
			s.wrappers = append(s.wrappers, path)
		}
	}
	if err := s.add(candidates, ""); err != nil {
		return err
	}
	for range maxRounds {
		var importers []string
		for path, text := range sources {
			if !s.evaluated[path] && slices.ContainsFunc(s.wrappers, func(w string) bool { return bytes.Contains(text, []byte(stem(w))) }) {
				importers = append(importers, path)
			}
		}
		if len(importers) == 0 {
			break
		}
		if err := s.add(importers, ""); err != nil {
			return err
		}
	}
	return nil
}

// related returns the packages that may import the files of lost functions:
// their own ones, and those whose sources name such a package or contain a path
// that leads to one. Evaluating everything else in a large repository would
// take far longer than the indexes.
func (s *search) related(sources map[string][]byte) map[string]bool {
	related := map[string]bool{}
	for _, f := range s.lost {
		related[s.packageOf(s.absolute(f.home()))] = true
	}
	for range maxRounds {
		var marks [][]byte
		names := map[string]bool{}
		for dir := range related {
			marks = append(marks, []byte("../"+filepath.Base(dir)+"/"))
			if name := s.program.NameOf(dir); name != "" {
				names[name] = true
				marks = append(marks, []byte("'"+name), []byte(`"`+name))
			}
		}
		leads := func(path, spec string) bool {
			if strings.HasPrefix(spec, ".") {
				return related[s.packageOf(filepath.Join(filepath.Dir(path), filepath.FromSlash(spec)))]
			}
			return names[source.PackageName(spec)]
		}
		before := len(related)
		for path, text := range sources {
			// The marks are only there because searching for imports is slow.
			dir := s.packageOf(path)
			if related[dir] || !slices.ContainsFunc(marks, func(m []byte) bool { return bytes.Contains(text, m) }) {
				continue
			}
			if slices.ContainsFunc(imported.FindAllSubmatch(text, -1), func(found [][]byte) bool { return leads(path, string(found[1])) }) {
				related[dir] = true
			}
		}
		if len(related) == before {
			break
		}
	}
	return related
}

// imported matches the specifiers of imports.
var imported = regexp.MustCompile("(?:from|import|require)\\s*\\(?\\s*[\"']([^\"'\n]{1,200})[\"']")

// packageOf is packageDir, which asks the file system, with a memory.
func (s *search) packageOf(path string) string {
	dir := filepath.Dir(path)
	if _, ok := s.packages[dir]; !ok {
		s.packages[dir] = s.packageDir(path)
	}
	return s.packages[dir]
}

// stem returns what an import of a file contains.
func stem(path string) string {
	name, _, _ := strings.Cut(filepath.Base(path), ".")
	if name == "index" {
		return filepath.Base(filepath.Dir(path))
	}
	return name
}

// add evaluates modules and keeps those that register something.
func (s *search) add(paths []string, worker string) error {
	slices.Sort(paths)
	if err := s.program.Add(s.ctx, paths...); err != nil {
		return err
	}
	for _, path := range paths {
		s.evaluated[path] = true
		if worker == "" && !s.program.Imports(path, sdkPackage) && !slices.ContainsFunc(s.program.LeadsTo(path), s.wraps) {
			continue
		}
		o := &other{reading: newReading(s.ctx, s.options, s.program), entry: &entryRead{index: s.program.Rel(path), path: path}, worker: worker}
		if err := o.evaluate([]*entryRead{o.entry}); err != nil {
			return err
		}
		o.all = o.collect(o.entry)
		registers := worker != "" || o.entry.err != nil || o.entry.registers()
		if registers {
			s.found = append(s.found, o)
		}
		if len(o.all.found) == 0 && (registers || slices.ContainsFunc(s.program.LeadsTo(path), s.wraps)) {
			s.wrappers = append(s.wrappers, path)
		}
	}
	return nil
}

func (s *search) wraps(path string) bool { return slices.Contains(s.wrappers, path) }

// registers reports whether an entry calls the SDK to register something, or
// may do so.
func (e *entryRead) registers() bool {
	if len(e.sdk.served.Elems) > 0 || e.sdk.served.Rest != nil || len(e.sdk.laterServe) > 0 {
		return true
	}
	return slices.ContainsFunc(e.sites(), func(s *site) bool { return s.registers() && !e.sdk.reached[s.Node] })
}

// registered reports whether a module was found that registers a function.
func (s *search) registered(f orphan) bool {
	return slices.ContainsFunc(s.found, func(o *other) bool { return o.has(f) })
}

// has reports whether the module registers a function, or calls what creates
// it.
func (o *other) has(f orphan) bool {
	return o.listed[f.key] || f.Uncalled && o.reached[f.key.site[0]]
}

// finish adds the modules that matter to the catalog. A module that imports
// another one and registers nothing else is left out.
func (s *search) finish() {
	slices.SortStableFunc(s.found, func(a, b *other) int {
		return cmp.Or(cmp.Compare(len(a.entry.walked), len(b.entry.walked)), strings.Compare(a.entry.index, b.entry.index))
	})
	var kept []*other
	for _, o := range s.found {
		registers := func(by *other) bool {
			return !slices.ContainsFunc(s.lost, func(f orphan) bool { return o.has(f) && (by == nil || !by.has(f)) })
		}
		if registers(nil) || slices.ContainsFunc(kept, func(k *other) bool {
			return slices.Contains(o.entry.walked, k.entry.path) && registers(k)
		}) {
			continue
		}
		kept = append(kept, o)
	}
	open := slices.DeleteFunc(slices.Clone(s.lost), func(f orphan) bool {
		return slices.ContainsFunc(kept, func(o *other) bool { return o.has(f) })
	})
	s.lost = nil
	perhaps := map[*other][]string{}
	for _, f := range open {
		lost := true
		for _, o := range s.found {
			if o.mayRegister(f) {
				lost = false
				perhaps[o] = append(perhaps[o], f.ID)
				if !slices.Contains(kept, o) {
					kept = append(kept, o)
				}
			}
		}
		if lost {
			s.lost = append(s.lost, f)
		}
	}
	s.reading.lost = s.lost
	for _, o := range kept {
		s.cat.Others = append(s.cat.Others, s.describe(o, perhaps[o]))
	}
	slices.SortFunc(s.cat.Others, func(a, b catalog.Other) int { return strings.Compare(a.Path, b.Path) })
}

// mayRegister reports whether a function may be among what a module registers
// without being known to.
func (o *other) mayRegister(f orphan) bool {
	if !o.all.incomplete {
		return false
	}
	if o.loads {
		return true
	}
	leads := o.closure(o.entry.path)
	if o.entry.err != nil && len(leads) == 1 {
		return true // its imports are not known either
	}
	return slices.Contains(leads, o.absolute(f.home()))
}

// describe returns a module for the catalog.
func (s *search) describe(o *other, perhaps []string) catalog.Other {
	out := catalog.Other{Path: o.entry.index, Line: o.entry.line(), Worker: o.worker}
	add := func(to *[]string, f *function) {
		id := o.decode(o.entry.m, f).ID
		if id != "" && !s.listed[o.key(o.entry.m, f)] && !slices.Contains(*to, id) {
			*to = append(*to, id)
		}
	}
	counted := map[*function]bool{}
	for _, f := range functionsOf(o.all.found) {
		if !counted[f] {
			counted[f] = true
			out.Functions++
			add(&out.Only, f)
		}
	}
	for _, f := range o.all.maybe {
		add(&out.Perhaps, f)
	}
	for _, id := range perhaps {
		if id != "" && !slices.Contains(out.Perhaps, id) {
			out.Perhaps = append(out.Perhaps, id)
		}
	}
	if o.all.incomplete && len(o.all.open) > 0 {
		u := o.all.open[0]
		out.Incomplete = fmt.Sprintf("%s:%d: %s", u.File, max(u.Line, 1), u.Why)
	}
	return out
}

// line returns the line of an entry in which it registers functions.
func (e *entryRead) line() int {
	var all []*served
	if e.sdk != nil {
		for _, v := range slices.Concat(e.sdk.served.Elems, may(e.sdk.served.Rest)) {
			if o, ok := v.(*jseval.Object); ok {
				all = append(all, o.Host.(*served))
			}
		}
		all = append(all, e.sdk.laterServe...)
	}
	for _, sv := range all {
		for _, at := range slices.Backward(append(sv.calls, sv.at)) {
			if at.File() == e.index && at.Line() > 0 {
				return at.Line()
			}
		}
	}
	for _, s := range e.calls {
		if s.registers() && s.path == e.path {
			return s.At.Line()
		}
	}
	return 1
}

func may(u *jseval.Unknown) []jseval.Value {
	if u == nil {
		return nil
	}
	return u.May
}
