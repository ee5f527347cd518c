package jseval

import (
	"slices"

	"github.com/tdewolff/parse/v2/js"

	"github.com/joelhooks/gh-sbw/internal/catalog/source"
)

func (m *Machine) objectLiteral(e *js.ObjectExpr, s *scope) Value {
	o := &Object{}
	for _, p := range e.List {
		switch v := p.Value.(type) {
		case *js.MethodDecl:
			m.defineMethod(o, v, s)
			continue
		default:
			if p.Spread {
				m.copyProps(o, m.eval(v, s), m.at(v, s), nil)
				continue
			}
		}
		var key string
		var u *Unknown
		if p.Name == nil {
			v, ok := p.Value.(*js.Var)
			if !ok {
				continue
			}
			key = string(v.Name())
		} else if key, u = m.propertyName(*p.Name, s); u != nil {
			m.forgetProps(o, m.taint(u, m.eval(p.Value, s)))
			continue
		}
		v := m.eval(p.Value, s)
		if f, ok := v.(*Func); ok && f.Name == "" {
			f.Name = key
		}
		o.set(key, v)
	}
	return o
}

func (m *Machine) propertyName(n js.PropertyName, s *scope) (string, *Unknown) {
	if n.Computed != nil {
		return m.text(m.eval(n.Computed, s), m.at(n.Computed, s))
	}
	switch {
	case n.Literal.TokenType == js.StringToken:
		if text, ok := source.Unquote(n.Literal.Data); ok {
			return text, nil
		}
	case js.IsNumeric(n.Literal.TokenType):
		if f, ok := source.LiteralNumber(n.Literal.Data); ok {
			return formatNumber(f), nil
		}
	}
	return string(n.Literal.Data), nil
}

// copyProps is `{...v}` and Object.assign; except are left out.
func (m *Machine) copyProps(o *Object, v Value, at Place, except map[string]bool) {
	m.touchObject(o)
	switch v := v.(type) {
	case *Object:
		if _, ok := v.Host.(environ); ok {
			m.forgetProps(o, m.unknown("it depends on the environment", at))
		}
		if v.Rest != nil {
			m.forgetProps(o, v.Rest)
		}
		for _, k := range v.Keys() {
			if !except[k] {
				o.set(k, m.get(v, k, at))
			}
		}
	case *Namespace:
		names, rest := m.exportNames(v.module)
		if rest != nil {
			m.forgetProps(o, rest)
		}
		for _, k := range names {
			if !except[k] {
				o.set(k, m.get(v, k, at))
			}
		}
	case *Array:
		for i, el := range v.Elems {
			o.set(formatNumber(float64(i)), el)
		}
		if v.Rest != nil {
			m.forgetProps(o, v.Rest)
		}
	case *Unknown:
		m.unknowns++
		if !m.copyEither(o, v, except) {
			m.forgetProps(o, v)
		}
	}
}

// copyEither copies the properties of one of several known objects: a
// property that none of them has keeps its value.
func (m *Machine) copyEither(o *Object, u *Unknown, except map[string]bool) bool {
	if !u.exact {
		return false
	}
	var keys []string
	for _, may := range u.May {
		switch c := may.(type) {
		case *Object:
			if c.Rest != nil || c.Host != nil {
				return false
			}
			for _, k := range c.Keys() {
				if !slices.Contains(keys, k) && !except[k] {
					keys = append(keys, k)
				}
			}
		case *Array, *Func, *Namespace:
			return false
		}
	}
	for _, k := range keys {
		before := m.get(o, k, u.At)
		var values []Value
		for _, may := range u.May {
			v := before
			if c, ok := may.(*Object); ok {
				if p, ok := c.Own(k); ok && !p.hidden {
					v = p.Val
				}
			}
			values = append(values, v)
		}
		if n := len(u.May); n == 1 {
			values = append(values, before)
		}
		o.set(k, m.join(u, values...))
	}
	return true
}

// defineMethod adds a method to an object; an accessor is not evaluated.
func (m *Machine) defineMethod(o *Object, d *js.MethodDecl, s *scope) {
	f := &Func{params: &d.Params, body: &d.Body, scope: s, async: d.Async, generator: d.Generator}
	m.closures[f.body] = f
	var u *Unknown
	switch {
	case d.Name.Private != nil:
		return
	case d.Name.Computed != nil:
		f.Name, u = m.text(m.eval(d.Name.Computed, s), m.at(d.Name.Computed, s))
	default:
		f.Name, u = m.propertyName(d.Name.PropertyName, s)
	}
	switch {
	case u != nil:
		m.forgetProps(o, u)
	case d.Get || d.Set:
		u = m.unknown("it is the value of an accessor, which is not evaluated", m.at(nil, s))
		u.From = f.code()
		o.set(f.Name, u)
	default:
		o.set(f.Name, f)
	}
}

// forgetProps makes every property unknown: any may have been overwritten.
func (m *Machine) forgetProps(o *Object, u *Unknown) {
	m.touchObject(o)
	for _, k := range o.keys {
		p := o.props[k]
		now := u.with([]Value{p.Val})
		now.Missing = false
		o.props[k] = Prop{Val: now, hidden: p.hidden}
	}
	o.Rest = m.mergeRest(o.Rest, u)
}
