package jseval

import (
	"github.com/tdewolff/parse/v2/js"
)

// Unknown makes an unknown value at the call, marked if what went in is.
func (c *Call) Unknown(why string) *Unknown {
	u := c.M.unknown(why, c.At)
	u = c.M.taint(u, c.This)
	u = c.M.taint(u, c.Args...)
	if c.Rest != nil {
		u = c.M.taint(u, c.Rest)
	}
	return u
}

// Get reads a property, for natives.
func (c *Call) Get(v Value, key string) Value { return c.M.get(v, key, c.At) }

// List is what iterating over a value gives, for natives.
func (c *Call) List(v Value) ([]Value, *Unknown) { return c.M.iterate(v, c.At) }

// chain evaluates a member or call expression. It returns the receiver that a
// call of the value has; short says that an optional chain ended early.
func (m *Machine) chain(e js.IExpr, s *scope) (v, this Value, short bool) {
	m.step()
	m.depth++
	defer func() { m.depth-- }()
	if m.depth > maxDepth {
		return m.unknown("its expressions nest too deeply", m.at(e, s)), Undefined{}, false
	}
	switch e := e.(type) {
	case *js.DotExpr:
		if lit, ok := e.X.(*js.LiteralExpr); ok && lit.TokenType == js.SuperToken {
			name, _ := dotName(e)
			return m.getSuper(s, name, m.at(e, s)), s.frame.this, false
		}
		base, _, short := m.chain(e.X, s)
		if short || e.Optional && isNullish(base) {
			return Undefined{}, Undefined{}, true
		}
		name, _ := dotName(e)
		at := m.at(e, s)
		if lit, ok := e.Y.(js.LiteralExpr); ok {
			at.token = lit.Data
		}
		return m.get(base, name, at), base, false
	case *js.IndexExpr:
		base, _, short := m.chain(e.X, s)
		if short || e.Optional && isNullish(base) {
			return Undefined{}, Undefined{}, true
		}
		key, u := m.key(e, s)
		if u != nil {
			return m.getAny(base, u), base, false
		}
		return m.get(base, key, m.at(e, s)), base, false
	case *js.CallExpr:
		return m.evalCall(e, s)
	}
	return m.eval(e, s), Undefined{}, false
}

func isNullish(v Value) bool {
	switch v.(type) {
	case Undefined, Null:
		return true
	}
	return false
}

// getAny reads a property whose name is unknown: it may be any.
func (m *Machine) getAny(v Value, u *Unknown) Value {
	out := &Unknown{Why: u.Why, At: u.At}
	switch o := v.(type) {
	case *Object:
		for _, k := range o.keys {
			if p := o.props[k]; p.Val != nil {
				out.May = append(out.May, p.Val)
			}
		}
	case *Array:
		out.May = append(out.May, o.Elems...)
	}
	for _, v := range out.May {
		out.Marked = out.Marked || m.marked(v)
	}
	return out
}

func (m *Machine) evalCall(e *js.CallExpr, s *scope) (v, this Value, short bool) {
	at := m.at(e, s)
	if lit, ok := e.X.(*js.LiteralExpr); ok {
		switch lit.TokenType {
		case js.ImportToken:
			args, _ := m.args(e.Args, s)
			return m.dynamicImport(args, s, at), Undefined{}, false
		case js.SuperToken:
			args, rest := m.args(e.Args, s)
			m.callSuper(s, args, rest, at)
			return Undefined{}, Undefined{}, false
		}
	}
	callee, receiver, short := m.chain(e.X, s)
	if short || e.Optional && isNullish(callee) {
		return Undefined{}, Undefined{}, true
	}
	if d, ok := e.X.(*js.DotExpr); ok {
		if lit, ok := d.Y.(js.LiteralExpr); ok {
			at.token = lit.Data // a chain is placed where its last call is
		}
	}
	if u, ok := callee.(*Unknown); ok {
		return m.callUnknown(u, receiver, e, s, at), Undefined{}, false
	}
	args, rest := m.args(e.Args, s)
	return m.callRest(callee, receiver, args, rest, at), Undefined{}, false
}

// callUnknown is a call of what is not known. An unknown value's method called
// on literals is still given to the hook, which may know it by its shape.
func (m *Machine) callUnknown(u *Unknown, receiver Value, e *js.CallExpr, s *scope, at Place) Value {
	args, rest := m.args(e.Args, s)
	m.unknowns++
	if m.opts.Method != nil {
		if name, ok := e.X.(*js.DotExpr); ok {
			key, _ := dotName(name)
			c := &Call{M: m, This: receiver, Args: args, Rest: rest, At: at}
			if v, ok := m.opts.Method(key, c); ok {
				return v
			}
		}
	}
	// A method of an unknown list calls back with unknown elements.
	if r, ok := receiver.(*Unknown); ok && len(args) > 0 {
		if f, ok := args[0].(*Func); ok && f.native == nil && len(r.May) > 0 {
			if v, ok := m.callbackOverUnknown(r, f, e, at); ok {
				return v
			}
		}
	}
	out := &Unknown{Why: u.Why, At: at, Marked: u.Marked, Missing: u.Missing}
	out = m.taint(out, receiver)
	out = m.taint(out, args...)
	for _, may := range u.May {
		if f, ok := may.(*Func); ok {
			v := m.either(u, func() Value { return m.callRest(f, receiver, args, rest, at) }, func() Value { return out })
			if joined, ok := v.(*Unknown); ok {
				out = joined
			}
		}
	}
	return out
}

// callbackOverUnknown is list.map(f) and the like where the list is one of
// several: it is mapped as the unknown rest of a list.
func (m *Machine) callbackOverUnknown(r *Unknown, f *Func, e *js.CallExpr, at Place) (Value, bool) {
	name, ok := e.X.(*js.DotExpr)
	if !ok {
		return nil, false
	}
	key, _ := dotName(name)
	switch key {
	case "map", "filter", "flatMap", "forEach", "flat":
		list := &Array{Rest: m.restOf(r)}
		return m.callRest(arrayMethods.method(key), list, []Value{f}, nil, at), true
	}
	return nil, false
}

func (m *Machine) args(list js.Args, s *scope) (args []Value, rest *Unknown) {
	for _, a := range list.List {
		v := m.eval(a.Value, s)
		if !a.Rest {
			if rest != nil {
				rest = m.mergeRest(rest, &Unknown{Why: rest.Why, At: rest.At, May: []Value{v}, Marked: m.marked(v)})
				continue
			}
			args = append(args, v)
			continue
		}
		elems, more := m.iterate(v, m.at(a.Value, s))
		if rest == nil {
			args = append(args, elems...)
		}
		rest = m.mergeRest(rest, more)
	}
	return args, rest
}

// call calls a function.
func (m *Machine) call(f, this Value, args []Value, at Place) Value {
	return m.callRest(f, this, args, nil, at)
}

func (m *Machine) callRest(v, this Value, args []Value, rest *Unknown, at Place) Value {
	m.step()
	f, ok := v.(*Func)
	if !ok {
		if u, ok := v.(*Unknown); ok {
			out := &Unknown{Why: u.Why, At: at, Marked: u.Marked, Missing: u.Missing}
			return m.taint(out, args...)
		}
		return m.taint(m.unknown("it calls what is no function", at), args...)
	}
	if f.native != nil {
		return f.native(&Call{M: m, This: this, Args: args, Rest: rest, At: at})
	}
	if f.class != nil {
		return m.unknown("it calls a class without new", at)
	}
	return m.enter(f, this, args, rest, at)
}

// enter runs a function of the program.
func (m *Machine) enter(f *Func, this Value, args []Value, rest *Unknown, at Place) Value {
	// Recursion whose end depends on the unknown would go on forever.
	if f.generator || len(m.calls) >= maxCalls || m.forked > 0 && len(m.calls) >= maxForked+m.forked {
		why := "it is worked out by calls that nest too deeply"
		if f.generator {
			why = "it comes from a generator"
		}
		return m.taint(m.unknown(why, at), args...)
	}
	m.calls = append(m.calls, at)
	fr := &frame{module: f.scope.frame.module, source: f.scope.frame.source, this: this, fn: f, home: f.home}
	if f.lexical {
		fr.this, fr.fn = f.this, f.scope.frame.fn
	}
	inner := &scope{parent: f.scope, frame: fr}
	fr.scope = inner
	m.bindParams(f, inner, args, rest)
	out := m.execBody(f, inner)
	m.calls = m.calls[:len(m.calls)-1]
	if f.async {
		return newPromise(m.await(out))
	}
	return out
}

func (m *Machine) bindParams(f *Func, s *scope, args []Value, rest *Unknown) {
	if !f.lexical {
		s.declare("arguments").value = &Array{Elems: args, Rest: rest}
	}
	for i, p := range f.params.List {
		v := elementAt(args, i, rest)
		if p.Default != nil {
			v = m.withDefault(v, p.Default, s)
		}
		m.bind(p.Binding, v, s, true)
	}
	if f.params.Rest != nil {
		m.bind(f.params.Rest, tail(args, len(f.params.List), rest), s, true)
	}
}

func (m *Machine) execBody(f *Func, s *scope) Value {
	src, list, err := s.frame.source.Function(f.body.List)
	if err != nil {
		return m.unknown("a function's body cannot be read: "+err.Error(), m.at(nil, s))
	}
	s.frame.source = src
	m.hoistVars(list, s)
	c := m.execList(list, s)
	switch {
	case c.kind != returns:
		return Undefined{}
	case c.maybe != nil:
		return m.join(c.maybe, c.value, Undefined{})
	}
	return c.value
}

// makeFunc is a function declaration's or expression's value.
func (m *Machine) makeFunc(d *js.FuncDecl, s *scope) *Func {
	f := &Func{params: &d.Params, body: &d.Body, scope: s, async: d.Async, generator: d.Generator}
	if d.Name != nil {
		f.Name = string(d.Name.Data)
	}
	return f
}

func (m *Machine) dynamicImport(args []Value, s *scope, at Place) Value {
	if len(args) == 0 {
		return m.unknown("it imports nothing", at)
	}
	spec, u := m.text(args[0], at)
	if u != nil {
		return u
	}
	v, ok := m.imported(s.frame.module, spec, "*", at, map[exportKey]bool{})
	if !ok {
		return m.unknown("the module "+quote(spec)+" cannot be found", at)
	}
	return newPromise(v)
}
