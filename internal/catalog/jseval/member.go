package jseval

import (
	"slices"
	"strconv"
)

// get reads a property.
func (m *Machine) get(v Value, key string, at Place) Value {
	m.step()
	switch o := v.(type) {
	case *Object:
		return m.getObject(o, key, at)
	case *Namespace:
		return m.exported(o.module, key, at)
	case *Array:
		return m.getArray(o, key, at)
	case *Func:
		if key == "bind" && o.Native() {
			return NewFunc(key, func(*Call) Value { return o })
		}
		u := m.unknown("it is a property of a function, which is not evaluated", at)
		if !o.Native() {
			u.From = o.Code()
		}
		return m.taint(u, o)
	case *Unknown:
		m.unknowns++
		return m.getUnknown(o, key)
	case Undefined, Null:
		text, _ := toString(v)
		return m.unknown("it reads "+quote(key)+" of "+text, at)
	}
	return m.unknown("it is the property "+key+" of a text or a number, which is not evaluated", at)
}

// getUnknown reads a property of each candidate.
func (m *Machine) getUnknown(u *Unknown, key string) Value {
	out := u.with(nil)
	out.Primitive = key == "length"
	for _, may := range u.May {
		if o, ok := may.(*Object); ok {
			if v, ok := o.Own(key); ok {
				out.May = append(out.May, v)
			}
		}
	}
	return out
}

// getAny reads a property whose name is unknown, so the result may be any of
// them.
func (m *Machine) getAny(v Value, u *Unknown) Value {
	out := &Unknown{Why: u.Why, At: u.At, May: slices.Clone(parts(v))}
	if n, ok := v.(*Namespace); ok {
		names, _ := m.exportNames(n.module)
		for _, name := range names {
			out.May = append(out.May, m.exported(n.module, name, u.At))
		}
	}
	return m.taint(out, append(out.May, v)...)
}

func (m *Machine) getObject(o *Object, key string, at Place) Value {
	if v, ok := o.Own(key); ok {
		return v
	}
	if o.Rest != nil {
		return o.Rest
	}
	switch host := o.Host.(type) {
	case environ:
		return m.environment(key, at)
	case *promise:
		return host.method(key)
	}
	return Undefined{}
}

func (m *Machine) getArray(a *Array, key string, at Place) Value {
	if key == "length" {
		if a.Rest != nil {
			return m.primitive(a.Rest)
		}
		return float64(len(a.Elems))
	}
	if i, err := strconv.Atoi(key); err == nil {
		return elementAt(a.Elems, i, a.Rest)
	}
	if n, ok := arrayMethods[key]; ok {
		return NewFunc(key, n)
	}
	u := m.taint(m.unknown("it is made by the method "+key+" of a list, which is not evaluated", at), a)
	m.escape(a.Elems, a.Rest, u, at)
	switch key {
	case "copyWithin", "fill", "pop", "reverse", "shift", "sort", "splice", "unshift":
		m.uncertain(a, u) // these methods change the list
	}
	return u
}

// put writes a property. Its name is unknown if u is set.
func (m *Machine) put(v Value, key string, u *Unknown, val Value, at Place) {
	switch o := v.(type) {
	case *Object:
		m.setProp(o, key, u, val)
		return
	case *Array:
		m.uncertain(o, &Unknown{Why: "its elements are assigned one by one, which is not evaluated", At: at}, val)
		return
	case *Unknown:
		// From here on, everything that may have been overwritten is
		// uncertain.
		m.unknowns++
		for _, may := range o.May {
			if p, ok := may.(*Object); ok {
				old, _ := p.Own(key)
				m.setProp(p, key, u, m.join(o, old, val))
			}
		}
		u = o
	default:
		u = m.unknown("it is assigned to a property of a function, which is not evaluated", at)
	}
	m.escape([]Value{val}, nil, u, at)
}

// forget makes the contents of a list or an object uncertain.
func (m *Machine) forget(v Value, u *Unknown) {
	switch o := v.(type) {
	case *Object:
		m.forgetProps(o, u)
	case *Array:
		m.uncertain(o, u)
	}
}

// uncertain converts a known list into one with unknown positions or length:
// each element, including the additions, may or may not be in it.
func (m *Machine) uncertain(a *Array, why *Unknown, additions ...Value) {
	m.touch(a)
	rest := &Unknown{Why: why.Why, At: why.At, May: append(append([]Value(nil), a.Elems...), additions...)}
	a.Elems, a.Rest = nil, m.mergeRest(m.taint(rest, rest.May...), a.Rest)
}
