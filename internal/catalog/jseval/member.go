package jseval

import (
	"strconv"
	"unicode/utf16"

	"github.com/tdewolff/parse/v2/js"

	"github.com/joelhooks/gh-sbw/internal/catalog/source"
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
	case string:
		return m.getText(o, key)
	case *Func:
		return m.getFunc(o, key)
	case *Unknown:
		m.unknowns++
		return m.getUnknown(o, key)
	case Undefined, Null:
		text, _ := toString(v)
		return m.unknown("it reads "+quote(key)+" of "+text, at)
	case float64:
		return methods(nil).of(v, kindNumber, key)
	}
	return Undefined{}
}

// getUnknown reads a property of each value that there may be.
func (m *Machine) getUnknown(u *Unknown, key string) Value {
	out := u.with(nil)
	out.Primitive = key == "length"
	for _, may := range u.May {
		if o, ok := may.(*Object); ok {
			if p, ok := o.Own(key); ok {
				out.May = append(out.May, p.Val)
			}
		}
	}
	return out
}

func (m *Machine) getObject(o *Object, key string, at Place) Value {
	if p, ok := o.Own(key); ok {
		return p.Val
	}
	if o.Rest != nil {
		return o.Rest
	}
	switch o.Host.(type) {
	case environ:
		return m.environment(key, at)
	case *promise:
		return promiseMethods.of(o, kindObject, key)
	}
	return objectMethods.of(o, kindObject, key)
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
	method := arrayMethods.of(a, kindArray, key)
	if f, ok := method.(*Func); ok && changesList(key) {
		return NewFunc(key, func(c *Call) Value {
			v := f.native(c)
			m.uncertain(a, v.(*Unknown))
			return v
		})
	}
	return method
}

func (m *Machine) getText(s, key string) Value {
	if key == "length" {
		return float64(len(utf16.Encode([]rune(s))))
	}
	if _, err := strconv.Atoi(key); err == nil {
		return &Unknown{Why: "it is a part of a text, which is not evaluated", Primitive: true}
	}
	return methods(nil).of(s, kindText, key)
}

func (m *Machine) getFunc(f *Func, key string) Value {
	if f.props != nil {
		if p, ok := f.props.Own(key); ok {
			return p.Val
		}
	}
	switch key {
	case "name":
		return f.Name
	case "length":
		if f.params != nil {
			return float64(len(f.params.List))
		}
	}
	if n, ok := funcMethods[key]; ok {
		return &Func{Name: key, native: n}
	}
	if f.props != nil && f.props.Rest != nil {
		return f.props.Rest
	}
	return funcMethods.of(f, kindFunc, key)
}

// statics are the properties of a function.
func (f *Func) statics() *Object {
	if f.props == nil {
		f.props = &Object{}
	}
	return f.props
}

// put writes a property.
func (m *Machine) put(v Value, key string, val Value, at Place) {
	switch o := v.(type) {
	case *Object:
		m.touchObject(o)
		o.set(key, val)
	case *Array:
		m.putArray(o, key, val, at)
	case *Func:
		m.touchObject(o.statics())
		o.props.set(key, val)
	case *Unknown:
		// What may have been overwritten is uncertain from here on.
		m.unknowns++
		for _, may := range o.May {
			if p, ok := may.(*Object); ok {
				m.touchObject(p)
				old, _ := p.Own(key)
				p.set(key, m.join(o, old.Val, val))
			}
		}
		m.escape([]Value{val}, nil, o, at)
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
		a.Rest = m.mergeRest(
			a.Rest,
			&Unknown{Why: "elements are set at places that are far apart", At: at, May: []Value{val}, Marked: m.marked(val)},
		)
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

func (m *Machine) deleteProp(target js.IExpr, s *scope) {
	var o Value
	var key string
	var u *Unknown
	switch e := target.(type) {
	case *js.DotExpr:
		o = m.eval(e.X, s)
		key = source.DotName(e)
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
