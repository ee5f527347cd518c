package jseval

import (
	"slices"

	"github.com/tdewolff/parse/v2/js"

	"github.com/joelhooks/gh-sbw/internal/catalog/source"
)

type status byte

const (
	linked status = iota
	evaluating
	evaluated
)

// module is an ECMAScript module: its bindings, its exports, and the state of
// its evaluation.
type module struct {
	path    string
	source  *source.Module
	scope   *scope
	exports map[string]*export
	links   *source.Links
	// common is the CommonJS `module` object, if the program uses it.
	common *Object
	status status
	// unreadable is the reason why there is no syntax tree.
	unreadable error
	// failed is the value of everything that was not evaluated. threw means
	// that it is the value of all exports.
	failed *Unknown
	threw  bool
}

// export is the target of an exported name: a binding in this module or in
// another one.
type export struct {
	cell *cell
	spec string // `export … from`
	name string // the name in that module; "*" for the namespace
	at   Place
}

func (mod *module) place() Place {
	if mod.source == nil {
		return Place{}
	}
	return Place{Module: mod.source}
}

// link declares the bindings of a module.
func (m *Machine) link(mod *module) {
	f := &frame{module: mod, source: mod.source}
	mod.scope = &scope{frame: f}
	f.scope = mod.scope
	mod.links = mod.source.Links()
	for _, i := range mod.links.Imports {
		mod.scope.declare(i.Local).from = &importRef{importer: mod, spec: i.Spec, name: i.Name, at: i.At}
	}
	m.hoistVars(mod.source.Body, mod.scope)
	m.hoist(mod.source.Body, mod.scope)
	for _, ex := range mod.links.Exports {
		to := &export{spec: ex.Spec, name: ex.From, at: ex.At}
		if ex.Spec == "" {
			to.cell = mod.scope.declare(ex.Local)
		}
		mod.exports[ex.Name] = to
	}
}

// evaluate runs a module after the modules that it imports.
func (m *Machine) evaluate(mod *module) {
	if mod.status != linked {
		return
	}
	mod.status = evaluating
	// The effects of loading a module happen once, whichever side of an
	// unknown condition loads it first.
	outer := m.txn
	m.txn = nil
	defer func() { m.txn = outer }()
	why, threw := m.bounded(func() {
		m.evaluateImports(mod)
		for _, st := range mod.source.Body {
			m.execTop(mod, st)
		}
	})
	mod.status = evaluated
	mod.threw = threw
	if why != "" {
		mod.failed = &Unknown{Why: mod.source.Rel + " cannot be evaluated: " + why, At: mod.place()}
		if m.ctx.Err() != nil || m.steps > maxSteps {
			panic(stopped{why})
		}
	}
}

func (m *Machine) evaluateImports(mod *module) {
	for _, l := range mod.links.Loads {
		if t := m.resolve(mod, l.Spec); t.Path != "" && (l.Bare || m.wanted[t.Path]) {
			m.evaluate(m.module(t.Path))
		}
	}
}

func (m *Machine) resolve(mod *module, spec string) source.Target {
	t, err := m.opts.Program.Resolve(m.ctx, mod.path, spec)
	if err != nil {
		if m.ctx.Err() != nil {
			m.stop("it was interrupted")
		}
		return source.Target{Missing: err.Error()}
	}
	return t
}

// execTop runs a top-level statement of a module.
func (m *Machine) execTop(mod *module, st js.IStmt) {
	ex, ok := st.(*js.ExportStmt)
	if !ok {
		m.exec(st, mod.scope)
		return
	}
	switch d := ex.Decl.(type) {
	case nil, *js.FuncDecl:
	case *js.VarDecl:
		m.exec(d, mod.scope)
	case *js.ClassDecl:
		m.exec(d, mod.scope)
	default:
		m.exec(&js.VarDecl{TokenType: js.ConstToken, List: []js.BindingElement{{
			Binding: &js.Var{Data: []byte(source.DefaultLocal)}, Default: d,
		}}}, mod.scope)
	}
}

// exportNames returns the sorted names of all exports except the defaults of
// star exports. rest is set if there may be more.
func (m *Machine) exportNames(mod *module) (names []string, rest *Unknown) {
	seen := map[string]bool{}
	visited := map[*module]bool{}
	var visit func(at *module, top bool)
	visit = func(at *module, top bool) {
		if visited[at] {
			return
		}
		visited[at] = true
		if at.source == nil {
			rest = at.failed
			return
		}
		for name := range at.exports {
			if top || name != "default" {
				seen[name] = true
			}
		}
		if at.common != nil {
			if o, ok := m.commonExports(at).(*Object); ok {
				for _, k := range o.Keys() {
					seen[k] = true
				}
			}
			if top {
				seen["default"] = true
			}
		}
		for _, spec := range at.links.Stars {
			t := m.resolve(at, spec)
			if t.Path == "" {
				rest = m.externalValue(t, Place{Module: at.source})
				continue
			}
			visit(m.module(t.Path), false)
		}
	}
	visit(mod, true)
	for name := range seen {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, rest
}
