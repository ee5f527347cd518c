package source

import "github.com/tdewolff/parse/v2/js"

// Links are what a module imports and exports.
type Links struct {
	Imports []Import
	Exports []Export
	// Stars lists the specifiers of `export * from`.
	Stars []string
	// Loads lists the modules that its statements load, in their order.
	Loads []Load
}

// Import binds a name of another module; "*" is its namespace.
type Import struct {
	Local, Spec, Name string
	At                Place
}

// Export is an exported name that refers to a binding of the module, or to a
// name of another module if Spec is set.
type Export struct {
	Name, Local string
	Spec, From  string
	At          Place
}

// DefaultLocal is the binding of a default export without a name.
const DefaultLocal = "*default*"

// Load is the specifier of an import or export statement. Bare means that the
// module is loaded only for its effects.
type Load struct {
	Spec string
	Bare bool
}

// Links lists what the module's statements import and export.
func (m *Module) Links() *Links {
	l := &Links{}
	for _, st := range m.Body {
		switch st := st.(type) {
		case *js.ImportStmt:
			l.imports(m, st)
		case *js.ExportStmt:
			if st.Module != nil {
				l.exportsFrom(m, st)
			} else {
				l.exports(st)
			}
		}
	}
	return l
}

func (l *Links) imports(m *Module, st *js.ImportStmt) {
	spec := aliasName(st.Module)
	l.Loads = append(l.Loads, Load{spec, st.Default == nil && st.List == nil})
	bind := func(local []byte, name string) {
		l.Imports = append(l.Imports, Import{string(local), spec, name, Place{Module: m, Token: local}})
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

func (l *Links) exportsFrom(m *Module, st *js.ExportStmt) {
	spec := aliasName(st.Module)
	l.Loads = append(l.Loads, Load{Spec: spec})
	for _, a := range st.List {
		from := a.Name
		if from == nil {
			from = a.Binding
		}
		switch {
		case a.Binding == nil:
		case a.Name == nil && string(a.Binding) == "*":
			l.Stars = append(l.Stars, spec)
		default:
			l.Exports = append(l.Exports, Export{Name: aliasName(a.Binding), Spec: spec, From: aliasName(from), At: Place{Module: m, Token: from}})
		}
	}
}

func (l *Links) exports(st *js.ExportStmt) {
	add := func(name, local string) { l.Exports = append(l.Exports, Export{Name: name, Local: local}) }
	name := func(v *js.Var) string {
		switch {
		case v != nil:
			return string(v.Data)
		case st.Default:
			return DefaultLocal
		}
		return ""
	}
	if st.Decl == nil {
		for _, a := range st.List {
			if a.Binding == nil {
				continue
			}
			local := a.Binding
			if a.Name != nil {
				local = a.Name
			}
			add(aliasName(a.Binding), string(local))
		}
		return
	}
	var local string
	switch d := st.Decl.(type) {
	case *js.VarDecl:
		for _, e := range d.List {
			for _, n := range BoundNames(e.Binding) {
				add(n, n)
			}
		}
		return
	case *js.FuncDecl:
		local = name(d.Name)
	case *js.ClassDecl:
		local = name(d.Name)
	default:
		local = DefaultLocal
	}
	if st.Default {
		add("default", local)
	} else {
		add(local, local)
	}
}

// aliasName returns the text of an export's name, which may be a string.
func aliasName(b []byte) string {
	if len(b) > 0 && (b[0] == '"' || b[0] == '\'') {
		if s, ok := Unquote(b); ok {
			return s
		}
	}
	return string(b)
}

// BoundNames returns the names that a pattern binds.
func BoundNames(b js.IBinding) []string {
	var names []string
	switch b := b.(type) {
	case *js.Var:
		names = append(names, string(b.Data))
	case *js.BindingArray:
		for _, e := range b.List {
			names = append(names, BoundNames(e.Binding)...)
		}
		names = append(names, BoundNames(b.Rest)...)
	case *js.BindingObject:
		for _, i := range b.List {
			names = append(names, BoundNames(i.Value.Binding)...)
		}
		if b.Rest != nil {
			names = append(names, string(b.Rest.Data))
		}
	}
	return names
}

// HoistedVars returns the names of a function's `var`s, at any depth.
func HoistedVars(list []js.IStmt) []string {
	var names []string
	for _, st := range list {
		js.Walk(varFinder(func(d *js.VarDecl) {
			for _, e := range d.List {
				names = append(names, BoundNames(e.Binding)...)
			}
		}), st)
	}
	return names
}

// varFinder visits `var` declarations, but not those of inner functions.
type varFinder func(d *js.VarDecl)

// Enter implements js.IVisitor.
func (f varFinder) Enter(n js.INode) js.IVisitor {
	switch n := n.(type) {
	case *js.FuncDecl, *js.ArrowFunc, *js.MethodDecl, *js.ClassDecl, *js.ExprStmt, *js.ReturnStmt:
		return nil
	case *js.VarDecl:
		if n.TokenType == js.VarToken {
			f(n)
		}
		return nil
	}
	return f
}

// Exit implements js.IVisitor.
func (varFinder) Exit(js.INode) {}

// Breaks reports whether a loop's body may end the loop. The breaks of inner
// loops and switches do not count.
func Breaks(body *js.BlockStmt) bool {
	found := false
	for _, st := range body.List {
		js.Walk(breakFinder(func() { found = true }), st)
	}
	return found
}

// breakFinder calls a function for each break that it finds.
type breakFinder func()

// Enter implements js.IVisitor.
func (f breakFinder) Enter(n js.INode) js.IVisitor {
	switch n := n.(type) {
	case *js.FuncDecl, *js.ArrowFunc, *js.MethodDecl, *js.ClassDecl, *js.ExprStmt,
		*js.ForStmt, *js.ForInStmt, *js.ForOfStmt, *js.WhileStmt, *js.DoWhileStmt, *js.SwitchStmt:
		return nil
	case *js.BranchStmt:
		if n.Type == js.BreakToken {
			f()
		}
	}
	return f
}

// Exit implements js.IVisitor.
func (breakFinder) Exit(js.INode) {}

// Awaits reports whether a statement contains an await outside of inner
// functions.
func Awaits(st js.IStmt) bool {
	found := false
	js.Walk(awaitFinder(func() { found = true }), st)
	return found
}

// awaitFinder calls a function for each await that it finds.
type awaitFinder func()

// Enter implements js.IVisitor.
func (f awaitFinder) Enter(n js.INode) js.IVisitor {
	switch n := n.(type) {
	case *js.FuncDecl, *js.ArrowFunc, *js.MethodDecl, *js.ClassDecl:
		return nil
	case *js.UnaryExpr:
		if n.Op == js.AwaitToken {
			f()
		}
	case *js.ForOfStmt:
		if n.Await {
			f()
		}
	}
	return f
}

// Exit implements js.IVisitor.
func (awaitFinder) Exit(js.INode) {}

// Names visits the names in an expression.
func Names(e js.IExpr, visit func(name []byte)) { js.Walk(nameFinder(visit), e) }

// nameFinder implements js.IVisitor.
type nameFinder func(name []byte)

// Enter implements js.IVisitor.
func (f nameFinder) Enter(n js.INode) js.IVisitor {
	if v, ok := n.(*js.Var); ok {
		f(v.Name())
		return nil
	}
	return f
}

// Exit implements js.IVisitor.
func (nameFinder) Exit(js.INode) {}
