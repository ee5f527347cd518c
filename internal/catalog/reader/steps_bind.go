package reader

import (
	"maps"

	"github.com/tdewolff/parse/v2/js"

	"github.com/joelhooks/gh-sbw/internal/catalog/source"
)

// params binds the arguments of a call.
func (a *activation) params(p js.Params, args []tracked) {
	a.bind(&js.BindingArray{List: p.List, Rest: p.Rest}, tracked{kind: isList, list: args})
}

// bind assigns a value to the names of a pattern.
func (a *activation) bind(pattern js.IBinding, t tracked) {
	switch b := pattern.(type) {
	case *js.Var:
		a.bound[root(b)] = t
	case *js.BindingArray:
		for i, e := range b.List {
			var v tracked
			if t.kind == isList && i < len(t.list) {
				v = t.list[i]
			}
			a.bindElement(e, v)
		}
		if b.Rest != nil && t.kind == isList && len(t.list) > len(b.List) {
			a.bind(b.Rest, tracked{kind: isList, list: t.list[len(b.List):]})
		}
	case *js.BindingObject:
		for _, i := range b.List {
			name, ok := bindingName(i)
			if !ok && t.makes() {
				a.s.open("a member of "+t.describe()+" is chosen by an expression", a.place(nil))
			}
			a.bindElement(i.Value, t.member(name))
		}
		if b.Rest != nil {
			a.bind(b.Rest, t)
		}
	}
}

func (a *activation) bindElement(e js.BindingElement, t tracked) {
	if e.Default != nil {
		js.Walk(a, e.Default)
	}
	if e.Binding != nil {
		a.bind(e.Binding, t)
	}
}

func bindingName(i js.BindingObjectItem) (string, bool) {
	switch {
	case i.Key == nil:
		v, ok := i.Value.Binding.(*js.Var)
		if !ok {
			return "", false
		}
		return string(v.Data), true
	case i.Key.Computed != nil:
		return "", false
	}
	return literalName(i.Key.Literal), true
}

// literalName returns the name of a property that is written as a literal.
func literalName(l js.LiteralExpr) string {
	if l.TokenType == js.StringToken {
		text, _ := source.Unquote(l.Data)
		return text
	}
	return string(l.Data)
}

// names returns the values of all names, for text that is parsed separately.
func (a *activation) names() map[string]tracked {
	names := map[string]tracked{anyArguments.name: anyArguments}
	maps.Copy(names, a.free)
	for v := range a.local {
		if _, known := a.bound[v]; !known {
			names[string(v.Data)] = tracked{}
		}
	}
	seen := map[string]tracked{}
	for v, t := range a.bound {
		name := string(v.Data)
		if other, ok := seen[name]; ok && other.key() != t.key() {
			a.s.open("the name "+name+" has different meanings in one function", source.Place{Module: a.source, Token: v.Data})
		}
		seen[name] = t
	}
	maps.Copy(names, seen)
	return names
}

// hoist binds the functions that a block declares, wherever they are used.
func (a *activation) hoist(list []js.IStmt) {
	for _, st := range list {
		switch d := st.(type) {
		case *js.FuncDecl:
			if d.Name != nil {
				a.bound[root(d.Name)] = tracked{kind: isFunc, fn: &localFunc{d.Params, &d.Body, a}}
			}
		case *js.VarDecl:
			if d.TokenType != js.ConstToken {
				continue
			}
			for _, e := range d.List {
				v, named := e.Binding.(*js.Var)
				if fn := a.funcOf(e.Default); named && fn != nil {
					a.bound[root(v)] = tracked{kind: isFunc, fn: fn}
				} else if t := a.value(e.Default); t.makes() {
					a.bind(e.Binding, t)
				}
			}
		}
	}
}

// funcOf returns the function if the expression defines one, or nil.
func (a *activation) funcOf(e js.IExpr) *localFunc {
	switch f := e.(type) {
	case *js.ArrowFunc:
		return &localFunc{f.Params, &f.Body, a}
	case *js.FuncDecl:
		return &localFunc{f.Params, &f.Body, a}
	case *js.GroupExpr:
		return a.funcOf(f.X)
	}
	return nil
}
