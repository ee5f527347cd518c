package jseval

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/tdewolff/parse/v2/js"

	"github.com/joelhooks/gh-sbw/internal/catalog/source"
)

// Options describe what is known in addition to the program's text.
type Options struct {
	Program *source.Program
	// External returns what an external package exports under a name, if
	// known. "default" and the path of the specifier are passed as written.
	External func(specifier, name string) (Value, bool)
	// Method may recognise a method that is called on an unknown value by its
	// name and arguments.
	Method func(name string, c *Call) (Value, bool)
	// Env contains the environment variables with known values.
	Env map[string]string
	// Marked reports whether the caller looks for a value. Unknown values that
	// are derived from it are marked as well.
	Marked func(Value) bool
	// Escaped is called for each call that is not evaluated.
	Escaped func(Escape)
}

// These are the limits of one evaluation. A worker with 150 functions needs
// 10^5 steps.
const (
	maxSteps  = 3_000_000
	maxDepth  = 4_000   // nested expressions and statements over all calls
	maxCalls  = 200     // nested calls
	maxForked = 12      // nested calls under an unknown condition
	maxElems  = 100_000 // length of an array
	maxText   = 1 << 20 // length of a string in bytes
)

// Machine evaluates modules. The changes that one module makes to the values
// of another are kept, so each entry module needs a separate Machine. It is
// not safe for concurrent use.
type Machine struct {
	ctx     context.Context
	opts    Options
	modules map[string]*module
	wanted  map[string]bool // modules that lead to a wanted word
	globals map[string]Value
	// closures maps each body to the functions that were created from it.
	closures map[*js.BlockStmt][]*Func

	steps, depth, forked int
	calls                []Place
	txn                  txn
	tasks                []func() // see later
	places               source.Placer
	node                 any // the call that is being executed
	unknowns             int // the number of operations so far with an unknown result
}

// New makes a Machine.
func New(o Options) *Machine {
	m := &Machine{opts: o, modules: map[string]*module{}, closures: map[*js.BlockStmt][]*Func{}}
	m.wanted = wantedModules(o.Program)
	m.globals = m.makeGlobals()
	return m
}

// wantedModules returns the modules that lead to a wanted word.
func wantedModules(p *source.Program) map[string]bool {
	importers := map[string][]string{}
	var queue []string
	for _, path := range p.Files() {
		for _, to := range p.LeadsTo(path) {
			importers[to] = append(importers[to], path)
		}
		if p.Mentions(path) {
			queue = append(queue, path)
		}
	}
	wanted := map[string]bool{}
	for len(queue) > 0 {
		path := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if !wanted[path] {
			wanted[path] = true
			queue = append(queue, importers[path]...)
		}
	}
	return wanted
}

// stopped unwinds an evaluation that has used up its steps or whose context
// has ended.
type stopped struct{ why string }

// stop ends the evaluation for good.
func (m *Machine) stop(why string) {
	m.steps = maxSteps + 1
	panic(stopped{why})
}

// thrown unwinds to a catch in the program.
type thrown struct {
	value Value
	at    Place
}

// at returns the place of a node.
func (m *Machine) at(n any, s *scope) Place { return m.places.At(n, s.frame.source) }

// step counts one step.
func (m *Machine) step() {
	m.steps++
	if m.steps > maxSteps || m.steps&0x3ff == 0 && m.ctx.Err() != nil {
		m.stop(fmt.Sprintf("evaluating it takes more than %d steps", maxSteps))
	}
}

// Export is one export of a module.
type Export struct {
	Name  string
	Value Value
}

// Exports evaluates a module and returns its exports in the order that the
// language defines (by name). The error means that the module cannot be read
// at all, or that the context has ended.
func (m *Machine) Exports(ctx context.Context, path string) ([]Export, *Unknown, error) {
	m.ctx = ctx
	mod := m.module(path)
	if mod.unreadable != nil {
		return nil, nil, mod.unreadable
	}
	var exports []Export
	var rest *Unknown
	if why, _ := m.bounded(func() {
		m.evaluate(mod)
		m.settle()
		if mod.threw {
			return
		}
		names, more := m.exportNames(mod)
		rest = more
		for _, name := range names {
			exports = append(exports, Export{name, m.exported(mod, name, Place{})})
		}
	}); why != "" {
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		rest = &Unknown{Why: why, At: mod.place()}
	}
	if mod.failed != nil && rest == nil {
		rest = mod.failed
	}
	return exports, rest, nil
}

// bounded runs f and returns the reason if it was stopped.
func (m *Machine) bounded(f func()) (why string, threw bool) {
	txn, depth, forked, calls := m.txn, m.depth, m.forked, len(m.calls)
	defer func() {
		switch r := recover().(type) {
		case nil:
			return
		case stopped:
			why = r.why
		case thrown:
			why, threw = "it throws when it is loaded"+describeThrown(r.value), true
		default:
			panic(r)
		}
		m.txn, m.depth, m.forked, m.calls = txn, depth, forked, m.calls[:calls]
	}()
	f()
	return "", false
}

func describeThrown(v Value) string {
	if o, ok := v.(*Object); ok {
		v, _ = o.Own("message")
	}
	if s, ok := v.(string); ok {
		return ": " + s
	}
	return ""
}

// Calls returns the places of the active calls, the outermost first.
func (m *Machine) Calls() []Place { return append([]Place(nil), m.calls...) }

// module returns the record of a file, which is linked but not evaluated.
func (m *Machine) module(path string) *module {
	if mod, ok := m.modules[path]; ok {
		return mod
	}
	mod := &module{path: path, exports: map[string]*export{}}
	m.modules[path] = mod
	src, err := m.opts.Program.Module(path)
	if err != nil {
		mod.unreadable = err
		mod.failed = &Unknown{Why: m.describeUnreadable(path, err)}
		mod.status = evaluated
		return mod
	}
	mod.source = src
	m.link(mod)
	return mod
}

func (m *Machine) describeUnreadable(path string, err error) string {
	rel := m.opts.Program.Rel(path)
	if r, ok := errors.AsType[*source.Refusal](err); ok {
		return fmt.Sprintf("%s:%d cannot be read: %s", rel, r.Line, r.Why)
	}
	if errors.Is(err, source.ErrNoModule) {
		return fmt.Sprintf("%s (%s) %v", rel, filepath.Ext(path), err)
	}
	return fmt.Sprintf("%s cannot be read: %v", rel, err)
}
