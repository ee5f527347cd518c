package jseval

import (
	"github.com/tdewolff/parse/v2/js"

	"github.com/joelhooks/gh-sbw/internal/catalog/source"
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
		base, _, short := m.chain(e.X, s)
		if short || e.Optional && isNullish(base) {
			return Undefined{}, Undefined{}, true
		}
		name := source.DotName(e)
		at := m.at(e, s)
		if lit, ok := e.Y.(js.LiteralExpr); ok {
			at.Token = lit.Data
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
			return m.unknown("its syntax is not evaluated", at), Undefined{}, false
		}
	}
	callee, receiver, short := m.chain(e.X, s)
	if short || e.Optional && isNullish(callee) {
		return Undefined{}, Undefined{}, true
	}
	if d, ok := e.X.(*js.DotExpr); ok {
		if lit, ok := d.Y.(js.LiteralExpr); ok {
			at.Token = lit.Data // a chain is placed where its last call is
		}
	}
	if u, ok := callee.(*Unknown); ok {
		return m.callUnknown(u, receiver, e, s, at), Undefined{}, false
	}
	args, rest := m.args(e.Args, s)
	return m.invoke(&Call{M: m, This: receiver, Args: args, Rest: rest, At: at, Node: e}, callee), Undefined{}, false
}

// callUnknown is a call of what is not known. An unknown value's method called
// on literals is still given to the hook, which may know it by its shape.
func (m *Machine) callUnknown(u *Unknown, receiver Value, e *js.CallExpr, s *scope, at Place) Value {
	args, rest := m.args(e.Args, s)
	m.node = e
	m.unknowns++
	if m.opts.Method != nil {
		if name, ok := e.X.(*js.DotExpr); ok {
			c := &Call{M: m, This: receiver, Args: args, Rest: rest, At: at, Node: e}
			if v, ok := m.opts.Method(source.DotName(name), c); ok {
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
	out := m.resultOf(u, args, rest, at)
	out = m.taint(out, receiver)
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
	key := source.DotName(name)
	switch key {
	case "map", "filter", "flatMap", "forEach", "flat":
		list := &Array{Rest: m.restOf(r)}
		return m.callRest(arrayMethods.of(list, kindArray, key), list, []Value{f}, nil, at), true
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

func (m *Machine) callRest(f, this Value, args []Value, rest *Unknown, at Place) Value {
	return m.invoke(&Call{M: m, This: this, Args: args, Rest: rest, At: at}, f)
}

// invoke makes a call.
func (m *Machine) invoke(c *Call, callee Value) Value {
	m.step()
	m.node = c.Node
	switch f := callee.(type) {
	case *Func:
		if f.native != nil {
			return f.native(c)
		}
		return m.enter(f, c.This, c.Args, c.Rest, c.At)
	case *Unknown:
		return m.resultOf(f, c.Args, c.Rest, c.At)
	}
	return m.resultOf(m.unknown("it calls something that is not a function", c.At), c.Args, c.Rest, c.At)
}

// resultOf is what calling an unknown value gives. What is passed to it may be
// used there in any way.
func (m *Machine) resultOf(callee *Unknown, args []Value, rest *Unknown, at Place) *Unknown {
	out := callee.with(nil)
	out.At = at
	if out.From == nil {
		out.From = codeIn(args)
	}
	out = m.taint(out, args...)
	if rest != nil {
		out = m.taint(out, rest)
	}
	m.escape(args, rest, out, at)
	return out
}

// escape reports values that go where evaluation does not follow.
func (m *Machine) escape(values []Value, rest *Unknown, into *Unknown, at Place) {
	if m.opts.Escaped == nil {
		return
	}
	if rest != nil {
		values = append(append([]Value(nil), values...), rest)
	}
	m.opts.Escaped(Escape{Values: values, From: into.From, Why: into.Why, At: at, Dynamic: into.Dynamic, Node: m.node})
}

// Escape is a call that is not evaluated: the values that are passed to it, and
// the program's code that it runs, if it is the program's own.
type Escape struct {
	Values []Value
	From   *Code
	Why    string
	At     Place
	// Dynamic says that it loads modules that are chosen at run time.
	Dynamic bool
	// Node is the call's own, as in Call.
	Node any
}

// enter runs a function of the program.
func (m *Machine) enter(f *Func, this Value, args []Value, rest *Unknown, at Place) Value {
	// Recursion whose end depends on the unknown would go on forever.
	if f.generator || len(m.calls) >= maxCalls || m.forked > 0 && len(m.calls) >= maxForked+m.forked {
		u := m.unknown("it is worked out by calls that nest too deeply", at)
		if f.generator {
			u.Why = "it comes from a generator, which is not evaluated"
		}
		u.From = f.code()
		return m.resultOf(u, args, rest, at)
	}
	m.calls = append(m.calls, at)
	fr := &frame{module: f.scope.frame.module, source: f.scope.frame.source, this: this}
	if f.lexical {
		fr.this = f.this
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

// makeClass stands for a class, which is not evaluated.
func (m *Machine) makeClass(d *js.ClassDecl, s *scope) Value {
	why := "it comes from a class, which is not evaluated"
	if d.Name != nil {
		why = "it comes from the class " + string(d.Name.Data) + ", which is not evaluated"
	}
	u := m.unknown(why, source.ClassPlace(d, s.frame.source))
	u.From = &Code{scope: s, source: s.frame.source, node: d}
	if d.Extends != nil {
		u = m.taint(u, m.eval(d.Extends, s))
	}
	// What it does when it is made, and when an instance is, is not known.
	m.escape(nil, nil, u, u.At)
	return u
}

// evalNew is `new`; of the program's own, only functions can be evaluated.
func (m *Machine) evalNew(e *js.NewExpr, s *scope) Value {
	callee := m.eval(e.X, s)
	c := &Call{M: m, This: Undefined{}, At: m.at(e, s), Node: e}
	if e.Args != nil {
		c.Args, c.Rest = m.args(*e.Args, s)
	}
	f, ok := callee.(*Func)
	switch {
	case ok && f.native != nil:
		return f.native(c)
	case ok:
		u := m.unknown("it is made by new and a plain function, which is not evaluated", c.At)
		u.From = f.code()
		return m.resultOf(u, c.Args, c.Rest, c.At)
	}
	if u, ok := callee.(*Unknown); ok {
		return m.resultOf(u, c.Args, c.Rest, c.At)
	}
	return m.resultOf(m.unknown("it is an instance of something that is not a class", c.At), c.Args, c.Rest, c.At)
}

// makeFunc is a function declaration's or expression's value.
func (m *Machine) makeFunc(d *js.FuncDecl, s *scope) *Func {
	f := &Func{params: &d.Params, body: &d.Body, scope: s, async: d.Async, generator: d.Generator}
	if d.Name != nil {
		f.Name = string(d.Name.Data)
	}
	m.closures[f.body] = f
	return f
}

func (m *Machine) dynamicImport(args []Value, s *scope, at Place) Value {
	if len(args) == 0 {
		return m.unknown("it imports nothing", at)
	}
	spec, u := m.text(args[0], at)
	if u != nil {
		u = &Unknown{Why: "it is imported from a module whose name is not known: " + u.Why, At: at, Marked: true, Dynamic: true}
		m.escape(nil, nil, u, at)
		return newPromise(u)
	}
	v, ok := m.imported(s.frame.module, spec, "*", at, map[exportKey]bool{})
	if !ok {
		return m.unknown("the module "+quote(spec)+" cannot be found", at)
	}
	return newPromise(v)
}
