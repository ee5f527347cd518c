package jseval

import "github.com/tdewolff/parse/v2/js"

// class is what makes a Func constructible.
type class struct {
	decl  *js.ClassDecl
	scope *scope
	super Value // nil without `extends`
	proto *Object
	ctor  *Func
}

func (m *Machine) makeClass(d *js.ClassDecl, s *scope) Value {
	inner := s.inner()
	c := &class{decl: d, scope: inner, proto: &Object{}}
	f := &Func{class: c, scope: inner, props: &Object{}}
	c.proto.setProp("constructor", Prop{Val: f, hidden: true})
	if d.Name != nil {
		f.Name = string(d.Name.Data)
		inner.declare(f.Name).value = f
	}
	if d.Extends != nil {
		c.super = m.eval(d.Extends, s)
		switch up := c.super.(type) {
		case *Func:
			if up.class != nil {
				c.proto.proto = up.class.proto
			}
		case *Unknown:
			c.proto.proto = &Object{Rest: up}
		}
	}
	own := &scope{parent: inner, frame: &frame{module: s.frame.module, source: s.frame.source, this: f, fn: f, home: f.props}}
	own.frame.scope = own
	for _, el := range d.List {
		if el.Method == nil {
			continue
		}
		switch {
		case el.Method.Static:
			m.defineMethod(f.props, el.Method, own, true)
		case !el.Method.Get && !el.Method.Set && elementName(el.Method.Name) == "constructor":
			c.ctor = methodFunc(el.Method, own, c.proto)
		default:
			m.defineMethod(c.proto, el.Method, own, true)
		}
	}
	for _, el := range d.List {
		switch {
		case el.StaticBlock != nil:
			m.execList(el.StaticBlock.List, own.inner())
		case el.Method == nil && el.Static:
			m.initField(f, &el.Field, own)
		}
	}
	return f
}

func elementName(n js.ClassElementName) string {
	if n.Private != nil {
		return string(n.Private.Name())
	}
	if n.Computed != nil {
		return ""
	}
	if n.Literal.TokenType == js.StringToken {
		if s, ok := unquote(n.Literal.Data); ok {
			return s
		}
	}
	return string(n.Literal.Data)
}

func methodFunc(d *js.MethodDecl, s *scope, home *Object) *Func {
	return &Func{Name: elementName(d.Name), params: &d.Params, body: &d.Body, scope: s, async: d.Async, generator: d.Generator, home: home}
}

// defineMethod adds a method or an accessor to an object.
func (m *Machine) defineMethod(o *Object, d *js.MethodDecl, s *scope, hidden bool) {
	name := elementName(d.Name)
	if d.Name.Computed != nil {
		text, u := m.text(m.eval(d.Name.Computed, s), m.at(d.Name.Computed, s))
		if u != nil {
			m.forgetProps(o, u)
			return
		}
		name = text
	}
	f := methodFunc(d, s, o)
	f.Name = name
	switch {
	case d.Get:
		o.setProp(name, Prop{Get: f, hidden: hidden})
	case d.Set:
		o.setProp(setter(name), Prop{Val: f, hidden: true})
	default:
		o.setProp(name, Prop{Val: f, hidden: hidden})
	}
}

func (m *Machine) initField(this Value, d *js.Field, s *scope) {
	var v Value = Undefined{}
	name := elementName(d.Name)
	if d.Name.Computed != nil {
		text, u := m.text(m.eval(d.Name.Computed, s), m.at(d.Name.Computed, s))
		if u != nil {
			m.putUnknown(this, u, v)
			return
		}
		name = text
	}
	if d.Init != nil {
		v = m.eval(d.Init, s)
	}
	switch o := this.(type) {
	case *Object:
		m.touchObject(o)
		o.set(name, v)
	default:
		m.put(this, name, v, Place{})
	}
}

func (m *Machine) evalNew(e *js.NewExpr, s *scope) Value {
	callee := m.eval(e.X, s)
	var args []Value
	var rest *Unknown
	if e.Args != nil {
		args, rest = m.args(*e.Args, s)
	}
	at := m.at(e, s)
	f, ok := callee.(*Func)
	if !ok {
		why := "it is an instance of what is no class"
		if u, ok := callee.(*Unknown); ok {
			why = u.Why
		}
		return m.taint(m.taint(m.unknown(why, at), callee), args...)
	}
	if f.native == nil && f.class == nil {
		return m.newOldStyle(f, args, rest, at)
	}
	return m.construct(f, f, args, rest, at)
}

// newOldStyle is `new` of a plain function.
func (m *Machine) newOldStyle(f *Func, args []Value, rest *Unknown, at Place) Value {
	o := &Object{}
	if p, ok := f.own("prototype"); ok {
		o.proto, _ = p.(*Object)
	}
	if v, ok := m.enter(f, o, args, rest, at).(*Object); ok {
		return v
	}
	return o
}

// construct makes an instance of target, which is f or a class below it.
func (m *Machine) construct(f, target *Func, args []Value, rest *Unknown, at Place) Value {
	if f.native != nil {
		v := f.native(&Call{M: m, This: Undefined{}, Args: args, Rest: rest, At: at, New: true})
		if o, ok := v.(*Object); ok && target != f && target.class != nil {
			o.proto = target.class.proto
		}
		return v
	}
	if len(m.calls) >= maxCalls {
		return m.unknown("it is worked out by calls that nest too deeply", at)
	}
	m.calls = append(m.calls, at)
	defer func() { m.calls = m.calls[:len(m.calls)-1] }()

	c := f.class
	fr := &frame{module: c.scope.frame.module, source: c.scope.frame.source, fn: f, home: c.proto}
	s := &scope{parent: c.scope, frame: fr}
	fr.scope = s
	this := &instance{target: target}
	fr.this = nil
	if c.super == nil {
		o := &Object{}
		if target.class != nil {
			o.proto = target.class.proto
		}
		fr.this = o
		m.initFields(c, s)
	} else {
		fr.fn = &Func{class: c, home: c.proto, props: &Object{Host: this}}
	}
	if c.ctor == nil {
		if c.super != nil {
			m.callSuper(s, args, rest, at)
		}
		return orUndefined(fr.this)
	}
	m.bindParams(&Func{params: c.ctor.params}, s, args, rest)
	m.hoistVars(c.ctor.body.List, s)
	out := m.execList(c.ctor.body.List, s)
	if o, ok := out.value.(*Object); ok && out.kind == returns && out.maybe == nil {
		return o
	}
	return orUndefined(fr.this)
}

func orUndefined(v Value) Value {
	if v == nil {
		return Undefined{}
	}
	return v
}

// instance remembers, between a constructor's start and its super(), which
// class is to be made.
type instance struct{ target *Func }

func (m *Machine) initFields(c *class, s *scope) {
	for _, el := range c.decl.List {
		if el.Method == nil && el.StaticBlock == nil && !el.Static {
			m.initField(s.frame.this, &el.Field, s)
		}
	}
}

// callSuper is super(…) in a constructor.
func (m *Machine) callSuper(s *scope, args []Value, rest *Unknown, at Place) {
	fr := s.frame
	if fr.fn == nil || fr.fn.class == nil || fr.fn.props == nil {
		return
	}
	made, ok := fr.fn.props.Host.(*instance)
	if !ok {
		return
	}
	c := fr.fn.class
	switch up := c.super.(type) {
	case *Func:
		if up.native == nil && up.class == nil {
			fr.this = m.newOldStyle(up, args, rest, at)
			break
		}
		fr.this = m.construct(up, made.target, args, rest, at)
	case *Unknown:
		u := m.taint(m.taint(up, up), args...)
		fr.this = &Object{proto: &Object{props: made.target.class.proto.props, keys: made.target.class.proto.keys, Rest: u}}
	default:
		fr.this = &Object{proto: made.target.class.proto}
	}
	if u, ok := fr.this.(*Unknown); ok {
		fr.this = &Object{Rest: u, proto: made.target.class.proto}
	}
	m.initFields(c, s)
}

// getSuper is super.name.
func (m *Machine) getSuper(s *scope, name string, at Place) Value {
	home := s.frame.home
	if home == nil || home.proto == nil {
		if s.frame.fn != nil && s.frame.fn.class != nil {
			switch up := s.frame.fn.class.super.(type) {
			case *Func:
				return m.getFunc(up, name, at)
			case *Unknown:
				return m.getUnknown(up, name)
			}
		}
		return Undefined{}
	}
	p, ok := home.proto.find(name)
	switch {
	case !ok:
		return objectMethods.method(name)
	case p.Get != nil:
		return m.call(p.Get, s.frame.this, nil, at)
	}
	return p.Val
}
