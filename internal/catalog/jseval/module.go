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

// module is a module of the language: its bindings, what it exports, and how
// far its evaluation is.
type module struct {
	path    string
	source  *source.Module
	scope   *scope
	exports map[string]*export
	stars   []string // specifiers of `export * from`
	decls   map[*js.VarDecl][]*declarator
	// common is `module` of CommonJS, where the program names it.
	common *Object
	status status
	// unreadable is why there is no syntax tree.
	unreadable error
	// failed is the value of what evaluation did not get to, and threw says
	// that it is the value of everything.
	failed *Unknown
	threw  bool
}

// export is what a name leads to: a binding here or one elsewhere.
type export struct {
	cell *cell
	spec string // `export … from`
	name string // there; "*" for the namespace
	at   Place
}

// declarator is one `name = value` of a declaration at the top of a module.
type declarator struct {
	elem          js.BindingElement
	lexical       bool
	done, running bool
}

func (mod *module) place() Place {
	if mod.source == nil {
		return Place{}
	}
	return Place{Module: mod.source}
}

// link declares a module's bindings.
func (m *Machine) link(mod *module) {
	f := &frame{module: mod, source: mod.source, this: Undefined{}}
	mod.scope = &scope{frame: f}
	f.scope = mod.scope
	for _, st := range mod.source.Body {
		switch st := st.(type) {
		case *js.ImportStmt:
			m.linkImport(mod, st)
		case *js.ExportStmt:
			m.linkExport(mod, st)
		case *js.VarDecl:
			m.linkVar(mod, st)
		case *js.ClassDecl:
			m.linkClass(mod, st)
		}
	}
	m.hoist(mod.source.Body, mod.scope)
	// What a list exports may be declared after it.
	for _, st := range mod.source.Body {
		if ex, ok := st.(*js.ExportStmt); ok && ex.Module == nil && ex.Decl == nil {
			for _, a := range ex.List {
				if a.Binding == nil {
					continue
				}
				local, name := a.Binding, aliasName(a.Binding)
				if a.Name != nil {
					local = a.Name
				}
				mod.exports[name] = &export{cell: mod.scope.declare(string(local))}
			}
		}
	}
}

// aliasName is the text of an export's name, which may be a string.
func aliasName(b []byte) string {
	if len(b) > 0 && (b[0] == '"' || b[0] == '\'') {
		if s, ok := source.Unquote(b); ok {
			return s
		}
	}
	return string(b)
}

func (m *Machine) linkImport(mod *module, st *js.ImportStmt) {
	spec := aliasName(st.Module)
	bind := func(local []byte, name string) {
		mod.scope.declare(string(local)).from = &importRef{importer: mod, spec: spec, name: name, at: Place{Module: mod.source, Token: local}}
	}
	if st.Default != nil {
		bind(st.Default, "default")
	}
	for _, a := range st.List {
		switch {
		case a.Binding == nil:
		case a.Name == nil:
			bind(a.Binding, string(a.Binding))
		default:
			bind(a.Binding, aliasName(a.Name))
		}
	}
}

func (m *Machine) linkExport(mod *module, st *js.ExportStmt) {
	if st.Module != nil {
		spec := aliasName(st.Module)
		for _, a := range st.List {
			switch {
			case a.Binding == nil:
			case a.Name == nil && string(a.Binding) == "*":
				mod.stars = append(mod.stars, spec)
			case a.Name == nil:
				mod.exports[aliasName(a.Binding)] = &export{spec: spec, name: aliasName(a.Binding), at: Place{Module: mod.source, Token: a.Binding}}
			default:
				mod.exports[aliasName(a.Binding)] = &export{spec: spec, name: aliasName(a.Name), at: Place{Module: mod.source, Token: a.Name}}
			}
		}
		return
	}
	if st.Default {
		c := mod.scope.declare("*default*")
		mod.exports["default"] = &export{cell: c}
		switch d := st.Decl.(type) {
		case *js.FuncDecl:
			if d.Name != nil {
				mod.exports["default"] = &export{cell: mod.scope.declare(string(d.Name.Data))}
			}
		case *js.ClassDecl:
			if d.Name != nil {
				m.linkClass(mod, d)
				mod.exports["default"] = &export{cell: mod.scope.declare(string(d.Name.Data))}
			}
		default:
			c.init = m.once(func() {
				defer m.enterStatement(&js.ExprStmt{Value: d}, mod.source)()
				c.value = m.eval(d, mod.scope)
			})
		}
		return
	}
	switch d := st.Decl.(type) {
	case *js.VarDecl:
		m.linkVar(mod, d)
		for _, e := range d.List {
			for _, name := range boundNames(e.Binding, nil) {
				mod.exports[name] = &export{cell: mod.scope.declare(name)}
			}
		}
	case *js.FuncDecl:
		mod.exports[string(d.Name.Data)] = &export{cell: mod.scope.declare(string(d.Name.Data))}
	case *js.ClassDecl:
		m.linkClass(mod, d)
		mod.exports[string(d.Name.Data)] = &export{cell: mod.scope.declare(string(d.Name.Data))}
	}
}

func (m *Machine) linkVar(mod *module, d *js.VarDecl) {
	for _, e := range d.List {
		decl := &declarator{elem: e, lexical: d.TokenType != js.VarToken}
		mod.decls[d] = append(mod.decls[d], decl)
		for _, name := range boundNames(e.Binding, nil) {
			c := mod.scope.declare(name)
			if c.init == nil && c.value == nil && decl.lexical {
				c.init = func() { m.runDeclarator(mod, decl) }
			} else if !decl.lexical && c.value == nil {
				c.value = Undefined{}
			}
		}
	}
}

func (m *Machine) linkClass(mod *module, d *js.ClassDecl) {
	if d.Name != nil {
		c := mod.scope.declare(string(d.Name.Data))
		c.init = m.once(func() { c.value = m.makeClass(d, mod.scope) })
	}
}

// once makes an initialiser that runs a single time, also when it is asked
// for again while it runs.
func (m *Machine) once(f func()) func() {
	ran := false
	return func() {
		if !ran {
			ran = true
			f()
		}
	}
}

func (m *Machine) runDeclarator(mod *module, d *declarator) {
	if d.done || d.running {
		return
	}
	d.running = true
	defer m.enterStatement(d.elem, mod.source)()
	m.declare(d.elem, mod.scope, d.lexical)
	d.done, d.running = true, false
}

// boundNames are the names that a pattern binds.
func boundNames(b js.IBinding, names []string) []string {
	switch b := b.(type) {
	case *js.Var:
		names = append(names, string(b.Data))
	case *js.BindingArray:
		for _, e := range b.List {
			names = boundNames(e.Binding, names)
		}
		names = boundNames(b.Rest, names)
	case *js.BindingObject:
		for _, i := range b.List {
			names = boundNames(i.Value.Binding, names)
		}
		if b.Rest != nil {
			names = append(names, string(b.Rest.Data))
		}
	}
	return names
}

// evaluate runs a module after those it imports.
func (m *Machine) evaluate(mod *module) {
	if mod.status != linked {
		return
	}
	mod.status = evaluating
	// What a module does at load time it does once, whichever side of an
	// unknown condition asked for it first.
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
	for _, st := range mod.source.Body {
		var spec string
		bare := false
		switch st := st.(type) {
		case *js.ImportStmt:
			spec = aliasName(st.Module)
			bare = st.Default == nil && st.List == nil
		case *js.ExportStmt:
			if st.Module == nil {
				continue
			}
			spec = aliasName(st.Module)
		default:
			continue
		}
		if t := m.resolve(mod, spec); t.Path != "" && (bare || m.wanted[t.Path]) {
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

// execTop runs a statement at the top of a module.
func (m *Machine) execTop(mod *module, st js.IStmt) {
	switch st := st.(type) {
	case *js.ImportStmt:
	case *js.ExportStmt:
		switch d := st.Decl.(type) {
		case nil, *js.FuncDecl:
			if f, ok := d.(*js.FuncDecl); ok && f.Name == nil {
				mod.scope.declare("*default*").value = m.makeFunc(f, mod.scope)
			}
		case *js.VarDecl:
			m.execVar(mod, d)
		case *js.ClassDecl:
			if d.Name == nil {
				mod.scope.declare("*default*").value = m.makeClass(d, mod.scope)
				return
			}
			mod.scope.declare(string(d.Name.Data)).init()
		default:
			if c := mod.scope.declare("*default*"); c.value == nil {
				c.init()
			}
		}
	case *js.VarDecl:
		m.execVar(mod, st)
	case *js.ClassDecl:
		if c := mod.scope.declare(string(st.Name.Data)); c.init != nil {
			c.init()
		}
	default:
		m.exec(st, mod.scope)
	}
}

func (m *Machine) execVar(mod *module, d *js.VarDecl) {
	for _, decl := range mod.decls[d] {
		m.runDeclarator(mod, decl)
	}
}

// exportNames are all names that a module exports but for default of a star,
// sorted; rest is set where there may be more.
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
		for _, spec := range at.stars {
			t := m.resolve(at, spec)
			if t.Path == "" {
				rest = m.externalValue(spec, "*", t, Place{Module: at.source})
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
