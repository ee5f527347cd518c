package jseval

import (
	"strconv"

	"github.com/tdewolff/parse/v2/js"

	"github.com/joelhooks/gh-sbw/internal/catalog/source"
)

func (m *Machine) objectLiteral(e *js.ObjectExpr, s *scope) Value {
	o := &Object{}
	m.born(o)
	for _, p := range e.List {
		if d, ok := p.Value.(*js.MethodDecl); ok {
			m.defineMethod(o, d, s)
			continue
		}
		v := m.eval(p.Value, s)
		if p.Spread {
			m.copyProps(o, v, m.at(p.Value, s), nil)
			continue
		}
		var key string
		var u *Unknown
		if p.Name != nil {
			key, u = m.propertyName(*p.Name, s)
		} else if name, ok := p.Value.(*js.Var); ok {
			key = string(name.Name())
		}
		m.setProp(o, key, u, v)
	}
	return o
}

// setProp sets a property of an object. Its name is unknown if u is set.
func (m *Machine) setProp(o *Object, key string, u *Unknown, v Value) {
	if u != nil {
		m.forgetProps(o, &Unknown{Why: u.Why, At: u.At, May: []Value{v}, Marked: m.marked(v)})
		return
	}
	m.touch(o)
	o.Set(key, v)
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
		f, isNumber := source.LiteralNumber(n.Literal.Data)
		if text, ok := formatNumber(f); ok && isNumber {
			return text, nil
		}
	}
	return string(n.Literal.Data), nil
}

// copyProps implements `{...v}` and Object.assign without the properties in
// except.
func (m *Machine) copyProps(o *Object, v Value, at Place, except map[string]bool) {
	m.touch(o)
	switch v := v.(type) {
	case *Unknown:
		m.unknowns++
		if !m.copyEither(o, v, at, except) {
			m.forgetProps(o, v)
		}
		return
	case *Object:
		if v.Host != nil {
			m.forgetProps(o, m.unknown("it is copied from an object whose properties are not known", at))
		}
	}
	keys, rest := m.keysOf(v)
	if rest != nil {
		m.forgetProps(o, rest)
	}
	for _, k := range keys {
		if !except[k] {
			o.Set(k, m.get(v, k, at))
		}
	}
}

// copyEither copies the properties of one of several known values, or of none.
// A property that none of them has keeps its value.
func (m *Machine) copyEither(o *Object, u *Unknown, at Place, except map[string]bool) bool {
	copies := []func() completion{func() completion { return completion{} }}
	for _, may := range u.May {
		c, isObject := may.(*Object)
		if _, rest := m.keysOf(may); !u.exact || rest != nil || isObject && c.Host != nil {
			return false
		}
		copies = append(copies, func() completion {
			m.copyProps(o, may, at, except)
			return completion{}
		})
	}
	m.fork(u, copies...)
	return u.exact
}

// defineMethod adds a method to an object. Accessors are not evaluated.
func (m *Machine) defineMethod(o *Object, d *js.MethodDecl, s *scope) {
	if d.Name.Private != nil {
		return
	}
	f := m.newFunc(&Func{Params: &d.Params, body: &d.Body, scope: s, async: d.Async, generator: d.Generator})
	key, u := m.propertyName(d.Name.PropertyName, s)
	if d.Get || d.Set {
		accessor := m.unknown("it is the value of an accessor, which is not evaluated", m.at(nil, s))
		accessor.From = f.Code()
		m.setProp(o, key, u, accessor)
		return
	}
	m.setProp(o, key, u, f)
}

// forgetProps makes every property unknown, because any of them may have been
// overwritten.
func (m *Machine) forgetProps(o *Object, u *Unknown) {
	m.touch(o)
	for _, k := range o.keys {
		now := u.with([]Value{o.props[k]})
		now.Missing = false
		o.props[k] = now
	}
	o.Rest = m.mergeRest(o.Rest, u)
}

// keysOf returns the names of a value's own properties.
func (m *Machine) keysOf(v Value) ([]string, *Unknown) {
	switch o := v.(type) {
	case *Object:
		return o.Keys(), o.Rest
	case *Namespace:
		m.evaluate(o.module)
		return m.exportNames(o.module)
	case *Array:
		var all []string
		for i := range o.Elems {
			all = append(all, strconv.Itoa(i))
		}
		return all, o.Rest
	case *Unknown:
		m.unknowns++
		return nil, o.with(nil)
	}
	return nil, nil
}
