package jseval

import (
	"github.com/tdewolff/parse/v2/js"

	"github.com/joelhooks/gh-sbw/internal/catalog/source"
)

// assign writes to what stands left of an `=`.
func (m *Machine) assign(target js.IExpr, v Value, s *scope) {
	m.step()
	switch e := target.(type) {
	case *js.Var:
		if c := s.lookup(e.Name()); c != nil {
			m.setCell(c, v)
		} else if e.Data != nil && string(e.Name()) == "exports" {
			m.commonJS(s.frame.module, "exports")
		}
	case *js.GroupExpr:
		m.assign(e.X, v, s)
	case *js.DotExpr:
		m.put(m.eval(e.X, s), source.DotName(e), v, m.at(e, s))
	case *js.IndexExpr:
		o := m.eval(e.X, s)
		if key, u := m.key(e, s); u != nil {
			m.putUnknown(o, u, v)
		} else {
			m.put(o, key, v, m.at(e, s))
		}
	case *js.ArrayExpr:
		elems, rest := m.iterate(v, m.at(e, s))
		for i, el := range e.List {
			if el.Value == nil {
				continue
			}
			if el.Spread {
				m.assign(el.Value, tail(elems, i, rest), s)
				break
			}
			m.assignDefault(el.Value, elementAt(elems, i, rest), s)
		}
	case *js.ObjectExpr:
		seen := map[string]bool{}
		for _, p := range e.List {
			if p.Spread {
				o := &Object{}
				m.copyProps(o, v, m.at(e, s), seen)
				m.assign(p.Value, o, s)
				continue
			}
			var key string
			var u *Unknown
			if p.Name != nil {
				key, u = m.propertyName(*p.Name, s)
			} else if name, ok := p.Value.(*js.Var); ok {
				key = string(name.Name())
			}
			var got Value = u
			if u == nil {
				seen[key] = true
				got = m.get(v, key, m.at(e, s))
			}
			if p.Init != nil {
				got = m.withDefault(got, p.Init, s)
			}
			m.assignDefault(p.Value, got, s)
		}
	case *js.BinaryExpr:
		m.assignDefault(e, v, s)
	}
}

// assignDefault handles `target = default` within a pattern.
func (m *Machine) assignDefault(target js.IExpr, v Value, s *scope) {
	if b, ok := target.(*js.BinaryExpr); ok && b.Op == js.EqToken {
		m.assign(b.X, m.withDefault(v, b.Y, s), s)
		return
	}
	m.assign(target, v, s)
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
	var v Value = Undefined{}
	if e.Default == nil && !lexical {
		return // `var x;` leaves x as it is
	}
	if e.Default != nil {
		v = m.eval(e.Default, s)
		if f, ok := v.(*Func); ok && f.Name == "" {
			if name, ok := e.Binding.(*js.Var); ok {
				f.Name = string(name.Data)
			}
		}
	}
	m.bind(e.Binding, v, s, lexical)
}

// bind takes a value apart into the names of a pattern.
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
				bindElement(i.Value, u)
				continue
			}
			seen[key] = true
			bindElement(i.Value, m.get(v, key, m.at(nil, s)))
		}
		if b.Rest != nil {
			o := &Object{}
			m.copyProps(o, v, m.at(nil, s), seen)
			m.setCell(to.declare(string(b.Rest.Data)), o)
		}
	}
}
