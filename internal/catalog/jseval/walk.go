package jseval

import (
	"github.com/tdewolff/parse/v2/js"

	"github.com/joelhooks/gh-sbw/internal/catalog/source"
)

// Code is a part of the program that creates a value but is not evaluated: the
// body of a function, a class or an expression.
type Code struct {
	Node   js.INode
	Source *source.Module // by which it is placed
	scope  *scope
}

// Eval is the value of an expression in the scope around a piece of code.
func (m *Machine) Eval(c *Code, e js.IExpr) (v Value) {
	m.ask(func() { v = m.eval(e, c.scope) })
	return v
}

// Site is a call in the text of a module, with the values of its names.
type Site struct {
	source.CallSite
	// Callee is the called value, as far as it is known at the top level of
	// the module, or nil.
	Callee Value
	// Passed are the values of those arguments that are names.
	Passed []Value
}

// site looks up the names of a call.
func (s *scope) site(m *Machine, c source.CallSite) Site {
	site := Site{CallSite: c}
	switch x := c.Called.(type) {
	case *js.Var:
		site.Callee = m.lookup(s, x.Name())
	case *js.DotExpr:
		if v, ok := x.X.(*js.Var); ok {
			switch base := m.lookup(s, v.Name()).(type) {
			case *Func:
				site.Callee = base // through call, apply or bind
			case *Object, *Namespace:
				m.ask(func() { site.Callee = m.get(base, c.Name, Place{}) })
			}
		}
	}
	for _, a := range c.Args.List {
		if v, ok := a.Value.(*js.Var); ok {
			site.Passed = append(site.Passed, m.lookup(s, v.Name()))
		}
	}
	return site
}

// lookup returns the value of a name, or nil if it is not set.
func (m *Machine) lookup(s *scope, name []byte) (v Value) {
	c := s.lookup(name)
	switch {
	case c == nil:
		return nil
	case c.value != nil:
		return c.value
	case c.from != nil:
		m.ask(func() { v = m.readCell(c, string(name), Place{}, s.frame.module) })
	}
	return v
}

// Walk visits every call in a module and in its functions and classes, except
// in functions whose bodies were left out and match passOver.
func (m *Machine) Walk(path string, passOver func(text []byte) bool, visit func(Site)) {
	mod := m.module(path)
	if mod.source == nil {
		return
	}
	for _, st := range mod.source.Body {
		mod.source.Calls(st, passOver, func(c source.CallSite) { visit(mod.scope.site(m, c)) }, nil)
	}
}

// Imported returns the names that a module imports and whose values pass the
// filter.
func (m *Machine) Imported(path string, pass func(Value) bool) []string {
	mod := m.module(path)
	if mod.source == nil {
		return nil
	}
	var names []string
	for _, i := range mod.links.Imports {
		if pass(m.lookup(mod.scope, []byte(i.Local))) {
			names = append(names, i.Local)
		}
	}
	return names
}

// maxReach limits how many functions of the program are followed.
const maxReach = 500

// Reach visits each call in a piece of code and each value of a name in it,
// and continues with the program's functions among these values.
func (m *Machine) Reach(c *Code, call func(Site), value func(Value)) {
	seen := map[js.INode]bool{}
	var follow func(c *Code)
	follow = func(c *Code) {
		if c == nil || seen[c.Node] || len(seen) >= maxReach {
			return
		}
		seen[c.Node] = true
		c.Source.Calls(c.Node, nil, func(s source.CallSite) { call(c.scope.site(m, s)) }, func(name []byte) {
			v := m.lookup(c.scope, name)
			if v == nil {
				return
			}
			value(v)
			values := []Value{v}
			switch v := v.(type) {
			case *Unknown:
				follow(v.From)
			case *Namespace:
				values, _ = m.Values(v)
			}
			for _, f := range FunctionsIn(values...) {
				follow(f.Code())
			}
		})
	}
	follow(c)
}
