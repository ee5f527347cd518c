package jseval

import (
	"slices"

	"github.com/tdewolff/parse/v2/js"

	"github.com/joelhooks/gh-sbw/internal/catalog/source"
)

// Code is a part of the program that makes a value without being evaluated: a
// function's body, a class, an expression.
type Code struct {
	scope  *scope
	source *source.Module
	node   js.INode
}

func (f *Func) code() *Code {
	return &Code{scope: f.scope, source: f.scope.frame.source, node: f.body}
}

// Site is a call that is written in a module, whether it is evaluated or not.
type Site struct {
	// Node is the call's node, as in Call.Node; of a class that extends
	// something, the class.
	Node any
	// Name is what is called: the last part of a.b.name().
	Name string
	// Member says that it is a member of something.
	Member bool
	// Extends says that it is not a call but a class that extends Name.
	Extends bool
	// Callee is what the name stands for at the top of the module, or nil.
	Callee Value
	// Passed are the values of the arguments that are names.
	Passed []Value
	Args   js.Args
	At     Place

	bodies []*js.BlockStmt // of the functions around it, the outermost first
}

// Walk visits every call in a module, and in the functions and classes of it,
// but for the functions whose text is passed over.
func (m *Machine) Walk(path string, passOver func(text []byte) bool, visit func(Site)) {
	mod := m.module(path)
	if mod.source == nil {
		return
	}
	w := &walker{m: m, scope: mod.scope, source: mod.source, call: visit, passOver: passOver}
	for _, st := range mod.source.Body {
		js.Walk(w, st)
	}
}

// Imported are the names that a module imports and whose values pass.
func (m *Machine) Imported(path string, pass func(Value) bool) []string {
	mod := m.module(path)
	if mod.source == nil {
		return nil
	}
	w := &walker{m: m, scope: mod.scope, source: mod.source}
	var names []string
	for name, c := range mod.scope.vars {
		if c.from != nil && pass(w.lookup([]byte(name))) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// maxReach bounds how many functions of the program are followed.
const maxReach = 500

// Reach visits each call in a piece of code and each value that a name in it
// holds, and goes on in the program's functions that are among them.
func (m *Machine) Reach(c *Code, call func(Site), value func(Value)) {
	seen := map[js.INode]bool{}
	var follow func(c *Code)
	follow = func(c *Code) {
		if c == nil || seen[c.node] || len(seen) >= maxReach {
			return
		}
		seen[c.node] = true
		w := &walker{m: m, scope: c.scope, source: c.source, call: call}
		w.name = func(v Value) {
			value(v)
			switch v := v.(type) {
			case *Func:
				if v.native == nil {
					follow(v.code())
				}
			case *Unknown:
				follow(v.From)
			case *Namespace:
				for _, e := range m.valuesOf(v) {
					if f, ok := e.(*Func); ok && f.native == nil {
						follow(f.code())
					}
				}
			}
		}
		js.Walk(w, c.node)
	}
	follow(c)
}

// walker is a js.IVisitor.
type walker struct {
	m      *Machine
	scope  *scope
	source *source.Module
	call   func(Site)
	name   func(Value) // for each name that holds a value, may be nil
	// passOver may be nil.
	passOver func(text []byte) bool
	around   []js.INode
	bodies   []*js.BlockStmt
}

// Enter implements js.IVisitor.
func (w *walker) Enter(n js.INode) js.IVisitor {
	switch n := n.(type) {
	case *js.BlockStmt:
		// The body of a function may have been left out of the module.
		if text := w.source.Unparsed(n.List); text != nil && w.passOver != nil && w.passOver(text) {
			return nil
		}
		src, list, err := w.source.Function(n.List)
		if err != nil || src != w.source {
			if err == nil {
				inner := *w
				inner.source, inner.around, inner.bodies = src, nil, append(w.bodies[:len(w.bodies):len(w.bodies)], n)
				for _, st := range list {
					js.Walk(&inner, st)
				}
			}
			return nil
		}
		w.bodies = append(w.bodies, n)
	case *js.CallExpr:
		w.callee(n, n.X, n.Args, false)
	case *js.NewExpr:
		args := js.Args{}
		if n.Args != nil {
			args = *n.Args
		}
		w.callee(n, n.X, args, false)
	case *js.ClassDecl:
		if n.Extends != nil {
			w.callee(n, n.Extends, js.Args{}, true)
		}
	case *js.Var:
		if w.name != nil {
			if v := w.lookup(n.Name()); v != nil {
				w.name(v)
			}
		}
		return nil
	}
	w.around = append(w.around, n)
	return w
}

// Exit implements js.IVisitor.
func (w *walker) Exit(n js.INode) {
	w.around = w.around[:len(w.around)-1]
	if _, ok := n.(*js.BlockStmt); ok {
		w.bodies = w.bodies[:len(w.bodies)-1]
	}
}

func (w *walker) callee(node js.INode, x js.IExpr, args js.Args, extends bool) {
	site := Site{Node: node, Args: args, Extends: extends, bodies: w.bodies[:len(w.bodies):len(w.bodies)]}
	for {
		group, ok := x.(*js.GroupExpr)
		if !ok {
			break
		}
		x = group.X
	}
	switch x := x.(type) {
	case *js.Var:
		site.Name, site.Callee = string(x.Name()), w.lookup(x.Name())
	case *js.DotExpr:
		site.Name, site.Member = dotName(x), true
		site.Callee = w.member(x.X, site.Name)
	case *js.IndexExpr:
		site.Member = true
		if lit, ok := x.Y.(*js.LiteralExpr); ok && lit.TokenType == js.StringToken {
			site.Name, _ = unquote(lit.Data)
		}
	case *js.LiteralExpr:
		if x.TokenType != js.ImportToken {
			return
		}
		site.Name = "import"
	default:
		return
	}
	for _, a := range args.List {
		if v, ok := a.Value.(*js.Var); ok {
			site.Passed = append(site.Passed, w.lookup(v.Name()))
		}
	}
	if d, ok := node.(*js.ClassDecl); ok {
		site.At = classPlace(d, w.source)
	} else {
		site.At = w.place(node, site.Name)
	}
	w.call(site)
}

// member is what a name's property stands for.
func (w *walker) member(x js.IExpr, key string) Value {
	v, ok := x.(*js.Var)
	if !ok {
		return nil
	}
	switch base := w.lookup(v.Name()).(type) {
	case *Object, *Namespace, *Func:
		var got Value
		w.m.ask(func() { got = w.m.get(base, key, Place{}) })
		return got
	}
	return nil
}

// lookup is what a name holds, nil where it is not set.
func (w *walker) lookup(name []byte) Value {
	c := w.scope.lookup(name)
	if c == nil {
		return nil
	}
	if c.value != nil {
		return c.value
	}
	if c.from == nil {
		return nil
	}
	var v Value
	w.m.ask(func() { v = w.m.readCell(c, string(name), Place{}, w.scope.frame.module) })
	return v
}

// place finds a call's line. The parser keeps no positions: where the call has
// no token of its own, its name is looked for in the text after what stands
// before it.
func (w *walker) place(n js.INode, name string) Place {
	if t := exactToken(n, 0); t != nil {
		return Place{module: w.source, token: t}
	}
	var from []byte
	for i := len(w.around) - 1; i >= 0 && from == nil; i-- {
		from = exactToken(w.around[i], 0)
	}
	return Place{module: w.source, token: w.source.Find(from, name+"(")}
}
