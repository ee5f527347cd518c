package reader

import (
	"strings"

	"github.com/tdewolff/parse/v2/js"

	"github.com/joelhooks/gh-sbw/internal/catalog/jseval"
	"github.com/joelhooks/gh-sbw/internal/catalog/source"
)

// call handles a call in a handler's code.
func (a *activation) call(e *js.CallExpr) js.IVisitor {
	switch callee := a.value(e.X); callee.kind {
	case isTool:
		a.tool(e, callee.name)
		return nil
	case isFunc:
		a.enter(callee.fn, a.arguments(e))
		return nil
	case isContext, isStep, isGroup, isForeign:
		a.s.open(callee.describe()+" is called", a.place(e))
		js.Walk(a, &e.Args)
		return nil
	}
	var passed bool
	for _, arg := range e.Args.List {
		passed = passed || a.value(arg.Value).makes()
	}
	if !passed {
		return a
	}
	js.Walk(a, e.X)
	if f := a.callee(e.X); f != nil {
		a.s.follow(f, a.arguments(e), a.place(e))
		return nil
	}
	a.arguments(e)
	a.s.open("`step` is passed to "+calleeName(e.X)+", which is not followed", a.place(e))
	return nil
}

// tool handles a call of one of step's members.
func (a *activation) tool(e *js.CallExpr, name string) {
	if name == "group.parallel" {
		js.Walk(a, &e.Args)
		return
	}
	rest := e.Args.List
	switch {
	case !makesStep(name):
		a.s.open("it is not known what step."+strings.TrimPrefix(name, "group.")+" makes", a.place(e))
	case len(rest) == 0 || rest[0].Rest:
		a.s.open("a step's id is not given as an argument of its own", a.place(e))
	default:
		if id, ok := a.id(rest[0].Value); ok {
			a.s.add(name, id)
		} else {
			a.s.open("a step's id is computed at run time", a.place(e))
			js.Walk(a, rest[0].Value)
		}
		rest = rest[1:]
	}
	for i := range rest {
		js.Walk(a, rest[i].Value)
	}
}

// id returns a step's id: a text, or the property id of an object (StepOptionsOrId).
func (a *activation) id(e js.IExpr) (string, bool) {
	o, ok := e.(*js.ObjectExpr)
	if !ok {
		return a.text(e)
	}
	id, found := "", false
	for _, p := range o.List {
		switch {
		case p.Spread || p.Name != nil && p.Name.Computed != nil:
			return "", false
		case p.Name == nil && isName(p.Value, "id"), p.Name != nil && literalName(p.Name.Literal) == "id":
			if id, found = a.text(p.Value); !found {
				return "", false
			}
		}
	}
	return id, found
}

// arguments returns the tracked values among the arguments of a call. All other
// arguments are read here, including a list that is spread.
func (a *activation) arguments(e *js.CallExpr) []tracked {
	var all []tracked
	for _, arg := range e.Args.List {
		t := a.value(arg.Value)
		switch {
		case arg.Rest && t.kind == isList:
			all = append(all, t.list...)
			continue
		case arg.Rest:
			// The positions of the arguments after a spread are not known.
			js.Walk(a, arg.Value)
			for _, later := range e.Args.List {
				if a.value(later.Value).makes() {
					a.s.open("`step` is passed on together with a list that is spread", a.place(e))
				}
			}
			return all
		case t.makes():
			if o, ok := arg.Value.(*js.ObjectExpr); ok {
				a.untracked(o)
			}
		case t.kind == isNothing:
			if text, ok := a.text(arg.Value); ok {
				t = tracked{kind: isText, text: text}
			} else if fn := a.funcOf(arg.Value); fn != nil {
				t = tracked{kind: isFunc, fn: fn}
				js.Walk(a, arg.Value)
			} else {
				js.Walk(a, arg.Value)
			}
		}
		all = append(all, t)
	}
	return all
}

// untracked reads the properties of an object that contain no tracked value.
func (a *activation) untracked(o *js.ObjectExpr) {
	for _, p := range o.List {
		t := a.value(p.Value)
		switch inner, ok := p.Value.(*js.ObjectExpr); {
		case ok && t.makes():
			a.untracked(inner)
		case !t.makes():
			js.Walk(a, p.Value)
		case p.Name != nil && p.Name.Computed != nil:
			a.s.open(t.describe()+" is used in a way that is not followed", a.place(p.Value))
		}
	}
}

// callee returns the function of the program that an expression names, or nil.
func (a *activation) callee(e js.IExpr) *jseval.Func {
	if !a.outer(e) {
		return nil
	}
	f, ok := a.s.m.Eval(a.code, e).(*jseval.Func)
	if !ok || f.Native() {
		return nil
	}
	return f
}

// outer reports whether an expression consists only of names from around the
// function, so that evaluating it runs no code.
func (a *activation) outer(e js.IExpr) bool {
	switch e := e.(type) {
	case *js.Var:
		v := root(e)
		_, bound := a.bound[v]
		if v.Decl == js.NoDecl {
			_, free := a.free[string(v.Data)]
			bound = bound || free
		}
		return !bound && !a.local[v] && !a.changes(string(v.Data))
	case *js.DotExpr:
		return a.outer(e.X)
	case *js.IndexExpr:
		_, literal := e.Y.(*js.LiteralExpr)
		return literal && a.outer(e.X)
	case *js.GroupExpr:
		return a.outer(e.X)
	}
	return false
}

// text returns the value of an expression that is certainly a text.
func (a *activation) text(e js.IExpr) (string, bool) {
	switch e := e.(type) {
	case *js.LiteralExpr:
		if e.TokenType == js.StringToken {
			return source.Unquote(e.Data)
		}
	case *js.GroupExpr:
		return a.text(e.X)
	case *js.BinaryExpr:
		if e.Op == js.AddToken {
			x, okX := a.text(e.X)
			y, okY := a.text(e.Y)
			return x + y, okX && okY
		}
	case *js.TemplateExpr:
		return a.template(e)
	case *js.Var, *js.DotExpr, *js.IndexExpr:
		if t := a.value(e); t.kind == isText {
			return t.text, true
		}
		if a.outer(e) {
			text, ok := a.s.m.Eval(a.code, e).(string)
			return text, ok
		}
	}
	return "", false
}

func (a *activation) template(e *js.TemplateExpr) (string, bool) {
	if e.Tag != nil {
		return "", false
	}
	var b strings.Builder
	for _, p := range e.List {
		before, ok := source.Unescape(p.Value[1 : len(p.Value)-len("${")])
		value, known := a.text(p.Expr)
		if !ok || !known {
			return "", false
		}
		b.WriteString(before + value)
	}
	tail, ok := source.Unescape(e.Tail[1 : len(e.Tail)-1])
	return b.String() + tail, ok
}

// calleeName returns the name of the called function as the call writes it.
func calleeName(e js.IExpr) string {
	switch e := e.(type) {
	case *js.Var:
		return string(e.Name())
	case *js.DotExpr:
		return source.DotName(e)
	case *js.GroupExpr:
		return calleeName(e.X)
	}
	return "a function"
}
