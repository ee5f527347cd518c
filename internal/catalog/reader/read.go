package reader

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/catalog"
	"github.com/joelhooks/gh-sbw/internal/catalog/jseval"
	"github.com/joelhooks/gh-sbw/internal/catalog/source"
)

// Options say what to read.
type Options struct {
	// Root is the repository's root; everything in a catalog is relative to it.
	Root string
	// Indexes are the modules whose exports a worker registers, relative to
	// Root.
	Indexes []string
	// Others are the indexes of other workers: what they register is not
	// forgotten.
	Others []string
	// Env holds the environment variables whose value in the worker is known;
	// what depends on any other is unresolved.
	Env map[string]string
}

// words are what makes a module worth parsing ahead.
var words = []string{"createFunction"}

// Read reads the catalog. Where there is nothing to read, no index or nothing
// of Inngest's in what they lead to, it is empty and so is the error: see
// Catalog.Empty. The error is that of the context or of the file system.
func Read(ctx context.Context, o Options) (*catalog.Catalog, error) {
	cat := &catalog.Catalog{Version: catalog.Version}
	present, missing := o.split(o.Indexes)
	if len(present) == 0 {
		return cat, nil
	}
	program, err := source.New(source.Options{Root: o.Root, Words: words})
	if err != nil {
		return nil, err
	}
	others, _ := o.split(o.Others)
	r := &reading{
		ctx: ctx, options: o, program: program, cat: cat,
		decodedBy: map[*function]*decoded{},
		listed:    map[functionKey]bool{},
		maybe:     map[functionKey]bool{},
		evaluated: map[string]bool{},
		sites:     map[[2]any]bool{},
	}
	var entries []string
	for _, index := range slices.Concat(present, others) {
		entries = append(entries, filepath.Join(program.Root(), filepath.FromSlash(index)))
	}
	if err := program.Add(ctx, entries...); err != nil {
		return nil, err
	}
	if !r.concernsInngest() {
		return cat, nil
	}
	for i, index := range present {
		if err := r.index(index, entries[i]); err != nil {
			return nil, err
		}
	}
	for i, index := range others {
		if err := r.other(index, entries[len(present)+i]); err != nil {
			return nil, err
		}
	}
	for _, index := range missing {
		cat.Indexes = append(cat.Indexes, catalog.Index{Path: index, Incomplete: true})
		r.unresolved(catalog.Unresolved{Index: index, File: index, Line: 1, What: "what " + index + " registers", Why: "there is no such file"})
	}
	// Where an index could not be evaluated, any function may be one of it.
	if !r.blind {
		if err := r.orphans(present); err != nil {
			return nil, err
		}
	}
	r.sort()
	return cat, nil
}

// split tells the indexes that are files from those that are not.
func (o Options) split(indexes []string) (present, missing []string) {
	for _, index := range indexes {
		index = filepath.ToSlash(filepath.Clean(index))
		info, err := os.Stat(filepath.Join(o.Root, filepath.FromSlash(index)))
		if err == nil && info.Mode().IsRegular() {
			present = append(present, index)
		} else {
			missing = append(missing, index)
		}
	}
	return present, missing
}

// reading is one Read under way.
type reading struct {
	ctx       context.Context
	options   Options
	program   *source.Program
	cat       *catalog.Catalog
	decodedBy map[*function]*decoded
	// listed are the functions of some index, maybe those that may be of one.
	listed, maybe map[functionKey]bool
	// evaluated are the modules that an index evaluated, and sites the calls
	// of createFunction that were reached there.
	evaluated map[string]bool
	sites     map[[2]any]bool
	created   []madeBy
	// blind says that an index could not be evaluated as a whole.
	blind bool
}

// madeBy is a function and the machine that it is a value of.
type madeBy struct {
	*function
	machine *jseval.Machine
}

// concernsInngest reports whether anything that was walked mentions Inngest.
func (r *reading) concernsInngest() bool {
	for _, path := range r.program.Files() {
		if r.program.Mentions(path) || r.program.Imports(path, "inngest") {
			return true
		}
	}
	return false
}

func (r *reading) machine() (*jseval.Machine, *sdk) {
	s := newSDK(func(file string) int {
		return r.program.Major(filepath.Join(r.program.Root(), filepath.FromSlash(file)), "inngest")
	})
	return jseval.New(jseval.Options{Program: r.program, External: s.external, Method: s.method, Env: r.options.Env, Marked: marked}), s
}

// index reads one index into the catalog.
func (r *reading) index(index, path string) error {
	c, err := r.collect(index, path)
	if err != nil {
		return err
	}
	out := catalog.Index{Path: index, Incomplete: c.incomplete, Functions: []catalog.Function{}}
	for _, f := range c.functions {
		d := r.decode(c.machine, f)
		for _, u := range d.open {
			u.Index = index
			r.unresolved(u)
		}
		if d.idOpen {
			out.Incomplete = true
			continue
		}
		out.Functions = append(out.Functions, d.Function)
	}
	for _, u := range c.open {
		u.Index = index
		r.unresolved(u)
	}
	r.cat.Indexes = append(r.cat.Indexes, out)
	return nil
}

// other notes what another worker's index registers.
func (r *reading) other(index, path string) error {
	_, err := r.collect(index, path)
	return err
}

// collect evaluates an index and notes what was made and listed.
func (r *reading) collect(index, path string) (*collection, error) {
	m, s := r.machine()
	exports, rest, err := m.Exports(r.ctx, path)
	if err != nil {
		if r.ctx.Err() != nil {
			return nil, err
		}
		return r.unreadable(index, err), nil
	}
	c := &collection{machine: m, index: index, seen: map[*function]bool{}, visited: map[any]bool{}}
	c.registered(exports, s.served, rest)
	r.blind = r.blind || m.Failed(path)
	for _, f := range c.functions {
		r.listed[f.key(r.decode(m, f).ID)] = true
	}
	for _, f := range c.maybe {
		r.maybe[f.key(r.decode(m, f).ID)] = true
	}
	for path := range m.Evaluated() {
		r.evaluated[path] = true
	}
	for site := range s.sites {
		r.sites[site] = true
	}
	for _, f := range s.created {
		r.created = append(r.created, madeBy{f, m})
	}
	return c, nil
}

func (r *reading) unreadable(index string, err error) *collection {
	r.blind = true
	u := catalog.Unresolved{File: index, Line: 1, What: "what " + index + " registers", Why: err.Error()}
	if refused, ok := errors.AsType[*source.Refusal](err); ok {
		u.Line, u.Why = refused.Line, refused.Why
	}
	if errors.Is(err, fs.ErrPermission) {
		u.Why = "it cannot be opened"
	}
	return &collection{index: index, incomplete: true, open: []catalog.Unresolved{u}}
}

func (r *reading) unresolved(u catalog.Unresolved) {
	if u.Line == 0 {
		u.Line = 1
	}
	if u.File == "" {
		u.File = u.Index
	}
	if !slices.Contains(r.cat.Unresolved, u) {
		r.cat.Unresolved = append(r.cat.Unresolved, u)
	}
}

// sort brings everything whose order says nothing into one that is stable.
// Functions of an index keep theirs: it is that of the registration.
func (r *reading) sort() {
	sort.SliceStable(r.cat.Unresolved, func(i, j int) bool {
		a, b := &r.cat.Unresolved[i], &r.cat.Unresolved[j]
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line)) < 0
	})
	sort.SliceStable(r.cat.Orphans, func(i, j int) bool {
		a, b := &r.cat.Orphans[i], &r.cat.Orphans[j]
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), strings.Compare(a.ID, b.ID)) < 0
	})
}
