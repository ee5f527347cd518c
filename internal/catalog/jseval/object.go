package jseval

import "github.com/tdewolff/parse/v2/js"

func (m *Machine) objectLiteral(e *js.ObjectExpr, s *scope) Value {
	o := &Object{}
	for _, p := range e.List {
		switch v := p.Value.(type) {
		case *js.MethodDecl:
			m.defineMethod(o, v, s, false)
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
		if text, ok := unquote(n.Literal.Data); ok {
			return text, nil
		}
	case js.IsNumeric(n.Literal.TokenType):
		if f, ok := parseLiteralNumber(n.Literal.Data); ok {
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
		m.forgetProps(o, v)
	}
}

// forgetProps makes every property unknown: any may have been overwritten.
func (m *Machine) forgetProps(o *Object, u *Unknown) {
	m.touchObject(o)
	for _, k := range o.keys {
		p := o.props[k]
		now := &Unknown{Why: u.Why, At: u.At, Marked: u.Marked}
		if p.Val != nil {
			now.May = []Value{p.Val}
		}
		o.props[k] = Prop{Val: now, hidden: p.hidden}
	}
	o.Rest = m.mergeRest(o.Rest, u)
}
