package reader

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"maps"
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
	// Root is the root of the repository. All paths in a catalog are relative
	// to it.
	Root string
	// Indexes are the modules whose exports a worker registers, relative to
	// Root.
	Indexes []string
	// Others maps the indexes of other workers to the workers' names.
	// Functions that they register are not orphans.
	Others map[string]string
	// Env contains the environment variables whose values in the worker are
	// known. Everything that depends on another variable is unresolved.
	Env map[string]string
}

// words are the words that make a module worth parsing in advance.
var words = []string{createFunction}

// Read reads the catalog. If there is nothing to read (no index, or nothing
// that uses Inngest in the modules that they lead to), the catalog is empty
// and the error is nil; see Catalog.Empty. An error comes from the context or
// the file system.
func Read(ctx context.Context, o Options) (*catalog.Catalog, error) {
	cat := &catalog.Catalog{Version: catalog.Version}
	present, missing := o.split(o.Indexes)
	if len(present) == 0 {
		return cat, nil
	}
	program, err := source.New(source.Options{Root: o.Root, Words: words, Package: sdkPackage})
	if err != nil {
		return nil, err
	}
	r := newReading(ctx, o, program)
	r.cat = cat
	var entries []*entryRead
	var paths []string
	for _, index := range present {
		path := filepath.Join(program.Root(), filepath.FromSlash(index))
		entries = append(entries, &entryRead{index: index, path: path})
		paths = append(paths, path)
	}
	if err := program.Add(ctx, paths...); err != nil {
		return nil, err
	}
	started, err := r.started(entries)
	if err != nil {
		return nil, err
	}
	entries = append(entries, started...)
	// Modules that are loaded by a pattern may use Inngest as well.
	aside := !r.concernsInngest()
	if aside && len(r.sources(present)) == 0 {
		return cat, nil
	}
	if err := r.evaluate(entries); err != nil {
		return nil, err
	}
	if aside && !slices.ContainsFunc(entries, func(e *entryRead) bool { return len(e.sdk.dynamic) > 0 }) {
		return cat, nil
	}
	for _, e := range entries {
		r.finish(e)
	}
	for _, index := range missing {
		cat.Indexes = append(cat.Indexes, catalog.Index{Path: index, Functions: []catalog.Function{}, Incomplete: true})
		r.unresolved(catalog.Unresolved{Index: index, File: index, Line: 1, What: "what " + index + " registers", Why: "the file does not exist"})
	}
	// If an index could not be evaluated, it may register any function.
	if !r.blind {
		if err := r.orphans(present); err != nil {
			return nil, err
		}
	}
	r.sort()
	return cat, nil
}

// split separates the indexes that exist from those that do not.
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

// reading is one call of Read in progress.
type reading struct {
	ctx       context.Context
	options   Options
	program   *source.Program
	cat       *catalog.Catalog
	decodedBy map[*function]*decoded
	// listed contains the functions that some index registers or may register.
	listed map[functionKey]bool
	// walked contains the modules that an index may run, and reached the calls
	// in them that the evaluation reached.
	walked  map[string]bool
	reached map[any]bool
	// loaded contains the calls that are reached by loading an index.
	loaded  map[any]bool
	created []madeBy
	// byItself is what creates steps that no handler names; see ambient.
	byItself *ambient
	// blind means that an index could not be evaluated at all. dynamic is the
	// place where an index loads modules that are chosen at run time.
	blind   bool
	dynamic []dynamicLoad
	// loads means that an index may load any module.
	loads bool
	// lost lists the functions that no index is known to register.
	lost []orphan
}

func newReading(ctx context.Context, o Options, p *source.Program) *reading {
	return &reading{
		ctx: ctx, options: o, program: p, cat: &catalog.Catalog{},
		decodedBy: map[*function]*decoded{},
		listed:    map[functionKey]bool{},
		walked:    map[string]bool{},
		reached:   map[any]bool{},
	}
}

// dynamicLoad is a place where an index loads unknown modules.
type dynamicLoad struct {
	index string
	jseval.Escape
}

// madeBy is a function together with the machine that evaluated it.
type madeBy struct {
	*function
	machine *jseval.Machine
}

// concernsInngest reports whether a walked module mentions Inngest.
func (r *reading) concernsInngest() bool {
	for _, path := range r.program.Files() {
		if r.program.Mentions(path) {
			return true
		}
	}
	return false
}

func (r *reading) machine() (*jseval.Machine, *sdk) {
	s := newSDK(func(file string) int {
		return r.program.Major(filepath.Join(r.program.Root(), filepath.FromSlash(file)), sdkPackage)
	})
	var m *jseval.Machine
	m = jseval.New(jseval.Options{
		Program: r.program, External: s.external, Method: s.method, Env: r.options.Env, Marked: marked,
		Escaped: func(e jseval.Escape) { s.escaped(m, e) },
	})
	return m, s
}

// evaluate loads every index, and then supposes the calls that were not
// reached.
func (r *reading) evaluate(entries []*entryRead) error {
	for _, e := range entries {
		e.m, e.sdk = r.machine()
		e.exports, e.rest, e.err = e.m.Exports(r.ctx, e.path)
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
		e.load = newCollection(e.m, e.index)
		if e.err != nil {
			continue
		}
		e.walk(r)
		e.loaded()
		for _, path := range e.walked {
			r.walked[path] = true
		}
		for node := range e.sdk.reached {
			r.reached[node] = true
		}
	}
	r.loaded = maps.Clone(r.reached)
	for _, e := range entries {
		if e.err == nil {
			e.suppose(r)
		}
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
	}
	return nil
}

// finish adds an index, or a program that an index starts, to the catalog.
func (r *reading) finish(e *entryRead) {
	c := r.collect(e)
	if e.started != nil {
		r.addStarted(e, c)
	} else {
		r.add(e, c)
	}
}

// collect determines what an index registers.
func (r *reading) collect(e *entryRead) *collection {
	c := e.load
	if e.err != nil {
		r.unreadable(c, e.err)
	} else {
		c = e.finish(r)
		r.blind = r.blind || e.m.Failed(e.path) || c.registersUnknown
	}
	for _, f := range slices.Concat(functionsOf(c.found), c.maybe) {
		r.listed[r.key(e.m, f)] = true
	}
	for _, f := range e.sdk.created {
		r.created = append(r.created, madeBy{f, e.m})
	}
	r.loads = r.loads || c.dynamic || len(e.sdk.dynamic) > 0
	for _, d := range e.sdk.dynamic {
		r.dynamic = append(r.dynamic, dynamicLoad{e.index, d})
	}
	return c
}

func functionsOf(entries []entry) []*function {
	var all []*function
	for _, e := range entries {
		all = append(all, e.function)
	}
	return all
}

// add adds an index to the catalog.
func (r *reading) add(e *entryRead, c *collection) {
	out := catalog.Index{Path: e.index, Incomplete: c.incomplete, Functions: []catalog.Function{}, SDK: r.program.Version(e.path, sdkPackage)}
	for _, f := range c.found {
		d := r.decode(e.m, f.function)
		for _, u := range d.open {
			u.Index = e.index
			r.unresolved(u)
		}
		if d.idOpen {
			out.Incomplete = true
			if d.neverRetried() {
				addCandidate(&out, d.Function)
			}
			continue
		}
		listed := d.Function
		listed.Handler = f.handler
		listed.Steps = r.steps(e, f.function)
		if f.app != "" {
			listed.App = f.app
		}
		out.Functions = append(out.Functions, listed)
	}
	for _, f := range c.maybe {
		if d := r.decode(e.m, f); !d.idOpen || d.neverRetried() {
			out.Candidates = append(out.Candidates, d.Function)
		}
	}
	for _, f := range c.written {
		addCandidate(&out, f)
	}
	for _, u := range c.open {
		u.Index = e.index
		r.unresolved(u)
	}
	r.cat.Indexes = append(r.cat.Indexes, out)
}

func (r *reading) unreadable(c *collection, err error) {
	r.blind = true
	u := catalog.Unresolved{File: c.index, Line: 1, What: "what " + c.index + " registers", Why: err.Error()}
	if refused, ok := errors.AsType[*source.Refusal](err); ok {
		u.Line, u.Why = refused.Line, refused.Why
	}
	if errors.Is(err, fs.ErrPermission) {
		u.Why = "it cannot be opened"
	}
	c.incomplete = true
	c.open = append(c.open, u)
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

// sort gives everything whose order has no meaning a stable order. The
// functions of an index keep their order, which is that of the registration.
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
