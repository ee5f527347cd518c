package jseval

import (
	"strconv"

	"github.com/tdewolff/parse/v2/js"
)

// get reads a property.
func (m *Machine) get(v Value, key string, at Place) Value {
	m.step()
	switch o := v.(type) {
	case *Object:
		return m.getObject(o, o, key, at)
	case *Namespace:
		return m.exported(o.module, key, at)
	case *Array:
		return m.getArray(o, key, at)
	case string:
		return m.getText(o, key)
	case *Func:
		return m.getFunc(o, key, at)
	case *Unknown:
		m.unknowns++
		return m.getUnknown(o, key)
	case Undefined, Null:
		text, _ := toString(v)
		return m.unknown("it reads "+quote(key)+" of "+text, at)
	case float64:
		return numberMethods.method(key)
	}
	return Undefined{}
}

// getUnknown reads a property of each value that there may be.
func (m *Machine) getUnknown(u *Unknown, key string) Value {
	out := &Unknown{Why: u.Why, At: u.At, Marked: u.Marked, Missing: u.Missing}
	if key == "length" {
		out.Primitive = true
	}
	for _, may := range u.May {
		if o, ok := may.(*Object); ok {
			if p, ok := o.Own(key); ok && p.Val != nil {
				out.May = append(out.May, p.Val)
			}
		}
	}
	return out
}

func (m *Machine) getObject(o, this *Object, key string, at Place) Value {
	p, ok := o.find(key)
	if ok && p.Get != nil {
		return m.call(p.Get, this, nil, at)
	}
	if ok && p.Val != nil {
		return p.Val
	}
	switch h := o.Host.(type) {
	case environ:
		return m.environment(key, at)
	case *collection:
		if key == "size" {
			if h.rest != nil {
				return m.primitive(h.rest)
			}
			return float64(len(h.keys))
		}
		if f := collectionMethods.method(key); f != (Undefined{}) {
			return f
		}
	case *promise:
		return promiseMethods.method(key)
	case *regExp:
		switch key {
		case "source":
			return h.source
		case "flags":
			return h.flags
		}
		return regExpMethods.method(key)
	}
	return objectMethods.method(key)
}

func (m *Machine) getArray(a *Array, key string, at Place) Value {
	if key == "length" {
		if a.Rest != nil {
			return m.primitive(a.Rest)
		}
		return float64(len(a.Elems))
	}
	if i, err := strconv.Atoi(key); err == nil {
		switch {
		case i >= 0 && i < len(a.Elems):
			return a.Elems[i]
		case a.Rest != nil:
			return a.Rest
		}
		return Undefined{}
	}
	return arrayMethods.method(key)
}

func (m *Machine) getText(s, key string) Value {
	if key == "length" {
		return float64(utf16Len(s))
	}
	if i, err := strconv.Atoi(key); err == nil {
		if c, ok := charAt(s, i); ok {
			return c
		}
		return Undefined{}
	}
	return stringMethods.method(key)
}

func (m *Machine) getFunc(f *Func, key string, at Place) Value {
	for class := f; class != nil; {
		if class.props != nil {
			if p, ok := class.props.Own(key); ok {
				if p.Get != nil {
					return m.call(p.Get, f, nil, at)
				}
				return p.Val
			}
			if class.props.Rest != nil {
				return class.props.Rest
			}
		}
		if class.class == nil {
			break
		}
		switch up := class.class.super.(type) {
		case *Func:
			class = up
			continue
		case *Unknown:
			return m.getUnknown(up, key)
		}
		break
	}
	switch key {
	case "name":
		return f.Name
	case "length":
		if f.params != nil {
			return float64(len(f.params.List))
		}
	case "prototype":
		if f.class != nil && f.class.proto != nil {
			return f.class.proto
		}
	}
	return funcMethods.method(key)
}

// own reads a property of a native function.
func (f *Func) own(key string) (Value, bool) {
	if f.props == nil {
		return nil, false
	}
	p, ok := f.props.Own(key)
	return p.Val, ok
}

// put writes a property.
func (m *Machine) put(v Value, key string, val Value, at Place) {
	switch o := v.(type) {
	case *Object:
		if set, ok := o.findSetter(key); ok {
			m.call(set, o, []Value{val}, at)
			return
		}
		if p, ok := o.find(key); ok && p.Get != nil {
			return // without a setter it stays as it is
		}
		m.touchObject(o)
		o.set(key, val)
	case *Array:
		m.putArray(o, key, val, at)
	case *Func:
		if o.props == nil {
			o.props = &Object{}
		}
		m.touchObject(o.props)
		o.props.set(key, val)
	case *Unknown:
		// What may have been written to is no longer certain.
		m.unknowns++
		for _, may := range o.May {
			if p, ok := may.(*Object); ok {
				m.touchObject(p)
				old, _ := p.Own(key)
				p.set(key, m.join(o, old.Val, val))
			}
		}
	}
}

func (m *Machine) putArray(a *Array, key string, val Value, at Place) {
	m.touchArray(a)
	if key == "length" {
		if n, ok := val.(float64); ok && n >= 0 && int(n) <= len(a.Elems) {
			a.Elems, a.Rest = a.Elems[:int(n):int(n)], nil
		}
		return
	}
	i, err := strconv.Atoi(key)
	switch {
	case err != nil || i < 0:
	case i < len(a.Elems):
		a.Elems[i] = val
	case i < len(a.Elems)+1024 && a.Rest == nil:
		for len(a.Elems) < i {
			a.Elems = append(a.Elems, Undefined{})
		}
		a.Elems = append(a.Elems, val)
		m.clip(a, at)
	default:
		a.Rest = m.mergeRest(a.Rest, &Unknown{Why: "elements are set at places far apart", At: at, May: []Value{val}, Marked: m.marked(val)})
	}
}

// putUnknown writes to a property whose name is unknown.
func (m *Machine) putUnknown(v Value, u *Unknown, val Value) {
	may := &Unknown{Why: u.Why, At: u.At, May: []Value{val}, Marked: m.marked(val)}
	switch o := v.(type) {
	case *Object:
		m.forgetProps(o, may)
	case *Array:
		m.touchArray(o)
		o.Rest = m.mergeRest(o.Rest, may)
	}
}

// key evaluates the name of a property in brackets.
func (m *Machine) key(e *js.IndexExpr, s *scope) (string, *Unknown) {
	return m.text(m.eval(e.Y, s), m.at(e.Y, s))
}

func dotName(e *js.DotExpr) (name string, private bool) {
	switch y := e.Y.(type) {
	case js.LiteralExpr:
		return string(y.Data), false
	case *js.LiteralExpr:
		return string(y.Data), false
	case *js.Var:
		return string(y.Name()), true
	}
	return "", false
}

func (m *Machine) deleteProp(target js.IExpr, s *scope) {
	var o Value
	var key string
	var u *Unknown
	switch e := target.(type) {
	case *js.DotExpr:
		o = m.eval(e.X, s)
		key, _ = dotName(e)
	case *js.IndexExpr:
		o = m.eval(e.X, s)
		key, u = m.key(e, s)
	default:
		return
	}
	obj, ok := o.(*Object)
	if !ok {
		return
	}
	if u != nil {
		m.forgetProps(obj, u)
		return
	}
	m.touchObject(obj)
	obj.remove(key)
	if obj.Rest != nil {
		obj.set(key, Undefined{})
	}
}
