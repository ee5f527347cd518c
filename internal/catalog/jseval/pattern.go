package jseval

import (
	"github.com/tdewolff/parse/v2/js"

	"github.com/joelhooks/gh-sbw/internal/catalog/source"
)

// assign writes to the left side of an `=`.
func (m *Machine) assign(target js.IExpr, v Value, s *scope) {
	m.step()
	switch e := target.(type) {
	case *js.Var:
		if c := s.lookup(e.Name()); c != nil {
			m.setCell(c, v)
		} else {
			m.escape([]Value{v}, nil, m.unknown("it is assigned to the global "+quote(string(e.Name())), m.at(e, s)), m.at(e, s))
		}
	case *js.GroupExpr:
		m.assign(e.X, v, s)
	case *js.DotExpr:
		m.put(m.eval(e.X, s), source.DotName(e), nil, v, m.at(e, s))
	case *js.IndexExpr:
		o := m.eval(e.X, s)
		key, u := m.text(m.eval(e.Y, s), m.at(e.Y, s))
		m.put(o, key, u, v, m.at(e, s))
	case *js.ArrayExpr, *js.ObjectExpr:
		m.assignPattern(target, v, s)
	}
}

// assignPattern makes all targets of a pattern unknown: destructuring is
// evaluated only in declarations.
func (m *Machine) assignPattern(pattern js.IExpr, v Value, s *scope) {
	at := m.at(pattern, s)
	u := m.taint(m.unknown("it is assigned by destructuring, which is not evaluated", at), v)
	m.escape([]Value{v}, nil, u, at)
	source.Names(pattern, func(name []byte) {
		c := s.lookup(name)
		if c == nil || c.value == nil {
			return
		}
		if o, ok := c.value.(*Object); ok { // [o.a] = v
			m.forgetProps(o, u)
			return
		}
		m.setCell(c, u)
	})
}

func (m *Machine) withDefault(v Value, def js.IExpr, s *scope) Value {
	switch u := v.(type) {
	case Undefined:
		return m.eval(def, s)
	case *Unknown:
		return m.either(u, func() Value { return u }, func() Value { return m.eval(def, s) })
	}
	return v
}

func elementAt(elems []Value, i int, rest *Unknown) Value {
	switch {
	case i < len(elems):
		return elems[i]
	case rest != nil:
		return rest
	}
	return Undefined{}
}

func tail(elems []Value, i int, rest *Unknown) *Array {
	a := &Array{Rest: rest}
	if i < len(elems) {
		a.Elems = append(a.Elems, elems[i:]...)
	}
	return a
}

// declare binds a pattern; lexical is false for `var`.
func (m *Machine) declare(e js.BindingElement, s *scope, lexical bool) {
	if e.Default == nil && !lexical {
		return // `var x;` does not change x
	}
	m.bind(e.Binding, m.eval(e.Default, s), s, lexical)
}

// bind destructures a value into the names of a pattern.
func (m *Machine) bind(b js.IBinding, v Value, s *scope, lexical bool) {
	m.step()
	to := s
	if !lexical {
		to = s.frame.scope
	}
	bindElement := func(e js.BindingElement, v Value) {
		if e.Default != nil {
			v = m.withDefault(v, e.Default, s)
		}
		m.bind(e.Binding, v, s, lexical)
	}
	switch b := b.(type) {
	case *js.Var:
		m.setCell(to.declare(string(b.Data)), v)
	case *js.BindingArray:
		elems, rest := m.iterate(v, m.at(nil, s))
		for i, e := range b.List {
			if e.Binding != nil {
				bindElement(e, elementAt(elems, i, rest))
			}
		}
		if b.Rest != nil {
			m.bind(b.Rest, tail(elems, len(b.List), rest), s, lexical)
		}
	case *js.BindingObject:
		seen := map[string]bool{}
		for _, i := range b.List {
			var key string
			var u *Unknown
			if i.Key != nil {
				key, u = m.propertyName(*i.Key, s)
			} else if name, ok := i.Value.Binding.(*js.Var); ok {
				key = string(name.Data)
			}
			if u != nil {
				bindElement(i.Value, m.getAny(v, u))
				continue
			}
			seen[key] = true
			bindElement(i.Value, m.get(v, key, m.at(nil, s)))
		}
		if b.Rest != nil {
			o := &Object{}
			m.born(o)
			m.copyProps(o, v, m.at(nil, s), seen)
			m.setCell(to.declare(string(b.Rest.Data)), o)
		}
	}
}
