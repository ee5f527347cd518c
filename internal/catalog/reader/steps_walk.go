package reader

import (
	"bytes"
	"maps"

	"github.com/tdewolff/parse/v2/js"

	"github.com/joelhooks/gh-sbw/internal/catalog/jseval"
	"github.com/joelhooks/gh-sbw/internal/catalog/source"
)

// activation is one function's body while it is being read. It is a js.IVisitor:
// if a node uses a tracked value in a known way, Enter processes the node as a
// whole. A tracked name that is visited on its own has gone out of sight.
type activation struct {
	s      *stepReader
	code   *jseval.Code // for names from around the function
	source *source.Module
	// bound contains the values of the names that the function binds. In the
	// syntax tree, all uses of a name share one variable.
	bound map[*js.Var]tracked
	// free contains the values of names that come from text which was parsed
	// separately: the parameters, for a body that was left out.
	free map[string]tracked
	// local contains the variables that the body declares.
	local map[*js.Var]bool
}

// localFunc is a function that is defined in a body. It is read when it is used.
type localFunc struct {
	params js.Params
	body   *js.BlockStmt
	env    *activation
}

func root(v *js.Var) *js.Var {
	for v.Link != nil {
		v = v.Link
	}
	return v
}

// anyArguments stands for `arguments`, which may contain the context.
var anyArguments = tracked{kind: isForeign, name: "arguments"}

// lookup returns the value of a name.
func (a *activation) lookup(v *js.Var) tracked {
	v = root(v)
	if t, ok := a.bound[v]; ok {
		return t
	}
	if v.Decl == js.NoDecl && !a.local[v] {
		if name := string(v.Data); name != anyArguments.name {
			return a.free[name]
		}
		return anyArguments
	}
	return tracked{}
}

// enterBody reads a function's body with the values that are bound.
func (a *activation) enterBody(body *js.BlockStmt) {
	text := a.source.Unparsed(body.List)
	if text == nil {
		js.Walk(a, body)
		return
	}
	names := a.names()
	if found, all := stepsInText(text, names); all {
		for _, step := range found {
			a.s.add(step.Kind, step.ID)
		}
		return
	}
	src, list, err := a.source.Function(body.List)
	if err != nil {
		a.s.open("a function's body cannot be read: "+err.Error(), source.Place{Module: a.source})
		return
	}
	inner := &activation{s: a.s, code: a.code, source: src, bound: map[*js.Var]tracked{}, free: names, local: map[*js.Var]bool{}}
	inner.hoist(list)
	for _, st := range list {
		js.Walk(inner, st)
	}
}

// declare records the variables that a scope declares.
func (a *activation) declare(s *js.Scope) {
	for _, v := range s.Declared {
		a.local[root(v)] = true
	}
}

// Enter implements js.IVisitor.
func (a *activation) Enter(n js.INode) js.IVisitor {
	if a.s.steps.Open && len(a.s.steps.IDs) > maxOpenSteps {
		return nil
	}
	switch n := n.(type) {
	case *js.BlockStmt:
		a.declare(&n.Scope)
		if a.source.Unparsed(n.List) != nil {
			a.enterBody(n)
			return nil
		}
		a.hoist(n.List)
	case *js.SwitchStmt:
		a.declare(&n.Scope)
		for i := range n.List {
			a.hoist(n.List[i].List)
		}
	case *js.FuncDecl:
		if n.Name != nil && a.bound[root(n.Name)].kind == isFunc {
			return nil // read when it is used
		}
		a.declare(&n.Body.Scope)
	case *js.ArrowFunc:
		a.declare(&n.Body.Scope)
	case *js.MethodDecl:
		a.declare(&n.Body.Scope)
	case *js.VarDecl:
		a.varDecl(n)
		return nil
	case *js.Var:
		a.used(n)
		return nil
	case *js.DotExpr, *js.IndexExpr:
		return a.memberExpr(n.(js.IExpr))
	case *js.CallExpr:
		return a.call(n)
	}
	return a
}

// Exit implements js.IVisitor.
func (*activation) Exit(js.INode) {}

// maxOpenSteps is how many steps are listed if the list is open.
const maxOpenSteps = 500

func (a *activation) varDecl(d *js.VarDecl) {
	for _, e := range d.List {
		if e.Default == nil {
			continue
		}
		v, named := e.Binding.(*js.Var)
		if named && a.bound[root(v)].kind == isFunc && a.funcOf(e.Default) != nil {
			continue // read when it is used
		}
		t := a.value(e.Default)
		switch {
		case t.makes() && d.TokenType == js.ConstToken:
			a.bind(e.Binding, t)
			if o, ok := e.Default.(*js.ObjectExpr); ok {
				a.untracked(o)
			}
			continue
		case named && d.TokenType == js.ConstToken:
			if text, ok := a.text(e.Default); ok {
				a.bound[root(v)] = tracked{kind: isText, text: text}
				continue
			}
		}
		js.Walk(a, e.Binding)
		js.Walk(a, e.Default)
	}
}

// used handles a name that is used on its own.
func (a *activation) used(v *js.Var) {
	t := a.lookup(v)
	switch {
	case t.kind == isFunc:
		a.enter(t.fn, nil) // it may be called with anything
	case t.makes():
		a.s.open(t.describe()+" is used in a way that is not followed", a.place(v))
	}
}

// memberExpr handles a member that is not called.
func (a *activation) memberExpr(e js.IExpr) js.IVisitor {
	base, name, ok := a.memberOf(e)
	switch {
	case !base.makes():
		return a
	case !ok:
		a.s.open("a member of "+base.describe()+" is chosen by an expression", a.place(e))
	default:
		if t := base.member(name); t.makes() {
			a.s.open(t.describe()+" is used in a way that is not followed", a.place(e))
		}
	}
	return nil
}

// memberOf splits a member expression. ok is false if the name is not a literal.
func (a *activation) memberOf(e js.IExpr) (base tracked, name string, ok bool) {
	switch e := e.(type) {
	case *js.DotExpr:
		return a.value(e.X), source.DotName(e), true
	case *js.IndexExpr:
		lit, ok := e.Y.(*js.LiteralExpr)
		if !ok || lit.TokenType != js.StringToken {
			return a.value(e.X), "", false
		}
		return a.value(e.X), literalName(*lit), true
	}
	return tracked{}, "", false
}

// value returns the tracked value of an expression.
func (a *activation) value(e js.IExpr) tracked {
	switch e := e.(type) {
	case *js.Var:
		return a.lookup(e)
	case *js.GroupExpr:
		return a.value(e.X)
	case *js.DotExpr, *js.IndexExpr:
		if base, name, ok := a.memberOf(e); ok {
			return base.member(name)
		}
	case *js.ObjectExpr:
		return a.object(e)
	}
	return tracked{}
}

// object returns an object literal that contains tracked values.
func (a *activation) object(e *js.ObjectExpr) tracked {
	t := tracked{kind: isObject, props: map[string]tracked{}}
	for _, p := range e.List {
		v := a.value(p.Value)
		switch {
		case !v.makes():
		case p.Spread:
			t.props[""] = v
		case p.Name == nil || p.Name.Computed != nil:
			if name, ok := p.Value.(*js.Var); ok && p.Name == nil {
				t.props[string(name.Name())] = v
			}
		default:
			t.props[literalName(p.Name.Literal)] = v
		}
	}
	if !t.makes() {
		return tracked{}
	}
	return t
}

func (a *activation) place(n any) jseval.Place {
	p, _ := source.PlaceOf(n, nil, a.source, nil)
	return p
}

// enter reads a function that is defined in the same body.
func (a *activation) enter(f *localFunc, args []tracked) {
	key := "local " + tracked{kind: isList, list: args, fn: f}.key()
	if a.s.done[key] {
		return
	}
	a.s.done[key] = true
	if len(a.s.done) > maxFollowed || a.s.depth >= maxFollowDepth {
		a.s.open("`step` is passed on through too many functions", a.place(nil))
		return
	}
	a.s.depth++
	defer func() { a.s.depth-- }()
	inner := *f.env
	inner.bound, inner.local = maps.Clone(f.env.bound), maps.Clone(f.env.local)
	inner.declare(&f.body.Scope)
	inner.params(f.params, args)
	js.Walk(&inner, f.body)
}

// changes reports whether a name from around the function is declared with let, so
// that its value may change while the worker runs.
func (a *activation) changes(name string) bool {
	for _, st := range a.code.Source.Body {
		if ex, ok := st.(*js.ExportStmt); ok {
			if d, ok := ex.Decl.(*js.VarDecl); ok {
				st = d
			}
		}
		d, ok := st.(*js.VarDecl)
		if !ok || d.TokenType != js.LetToken {
			continue
		}
		for _, e := range d.List {
			if v, ok := e.Binding.(*js.Var); ok && string(v.Data) == name {
				return true
			}
		}
	}
	return false
}

// isName reports whether an expression is nothing but a name.
func isName(e js.IExpr, name string) bool {
	v, ok := e.(*js.Var)
	return ok && bytes.Equal(v.Name(), []byte(name))
}
