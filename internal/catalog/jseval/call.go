package jseval

import (
	"slices"

	"github.com/tdewolff/parse/v2/js"

	"github.com/joelhooks/gh-sbw/internal/catalog/source"
)

// Unknown returns an unknown value at the call. It is marked if one of the
// arguments is marked.
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

// List returns the elements of an iterable value, for natives.
func (c *Call) List(v Value) ([]Value, *Unknown) { return c.M.iterate(v, c.At) }

// chain evaluates a member or call expression. It returns the receiver for a
// call of the value. short means that an optional chain ended early.
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
		key, u := m.text(m.eval(e.Y, s), m.at(e.Y, s))
		if u != nil {
			return m.getAny(base, u), base, false
		}
		return m.get(base, key, m.at(e, s)), base, false
	case *js.CallExpr:
		return m.evalCall(e, s)
	}
	return m.eval(e, s), Undefined{}, false
}

func (m *Machine) evalCall(e *js.CallExpr, s *scope) (v, this Value, short bool) {
	at := m.at(e, s)
	if lit, ok := e.X.(*js.LiteralExpr); ok && lit.TokenType == js.ImportToken {
		args, rest := m.args(e.Args, s)
		return newPromise(m.load(s.frame.module, elementAt(args, 0, rest), at)), Undefined{}, false
	}
	callee, receiver, short := m.chain(e.X, s)
	if short || e.Optional && isNullish(callee) {
		return Undefined{}, Undefined{}, true
	}
	if d, ok := e.X.(*js.DotExpr); ok {
		if lit, ok := d.Y.(js.LiteralExpr); ok {
			at.Token = lit.Data // the place of a chain is that of its last call
		}
	}
	c := &Call{M: m, This: receiver, At: at, Node: e}
	c.Args, c.Rest = m.args(e.Args, s)
	u, ok := callee.(*Unknown)
	if !ok {
		return m.invoke(c, callee), Undefined{}, false
	}
	name := ""
	if d, ok := e.X.(*js.DotExpr); ok {
		name = source.DotName(d)
	}
	return m.callUnknown(u, name, c), Undefined{}, false
}

// callUnknown is a call of an unknown value. If the value has a name, the hook
// may recognise the call by its form. A method of an unknown list calls back
// with the unknown elements of that list.
func (m *Machine) callUnknown(u *Unknown, name string, c *Call) Value {
	m.node = c.Node
	m.unknowns++
	if m.opts.Method != nil {
		if v, ok := m.opts.Method(name, c); ok {
			return v
		}
	}
	list, ok := c.This.(*Unknown)
	if n := arrayMethods[name]; ok && n != nil && len(list.May) > 0 && len(FunctionsIn(c.Args...)) > 0 {
		return n(&Call{M: m, This: &Array{Rest: m.restOf(list)}, Args: c.Args, At: c.At, Node: c.Node})
	}
	out := m.taint(m.resultOf(u, c.Args, c.Rest, c.At), c.This)
	for _, may := range u.May {
		if f, ok := may.(*Func); ok {
			v := m.either(u, func() Value { return m.invoke(c, f) }, func() Value { return out })
			if joined, ok := v.(*Unknown); ok {
				out = joined
			}
		}
	}
	return out
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
func (m *Machine) call(f Value, args []Value, at Place) Value {
	return m.invoke(&Call{M: m, This: Undefined{}, Args: args, At: at}, f)
}

// invoke executes a call.
func (m *Machine) invoke(c *Call, callee Value) Value {
	m.step()
	m.node = c.Node
	switch f := callee.(type) {
	case *Func:
		if f.Native() {
			return f.native(c)
		}
		return m.enter(f, c.Args, c.Rest, c.At)
	case *Unknown:
		return m.resultOf(f, c.Args, c.Rest, c.At)
	}
	return m.resultOf(m.unknown("it is made by a call that is not evaluated", c.At), c.Args, c.Rest, c.At)
}

// resultOf returns the result of a call of an unknown value, which may use its
// arguments in any way.
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

// escape reports values that are passed to code that is not evaluated.
func (m *Machine) escape(values []Value, rest *Unknown, into *Unknown, at Place) {
	if m.opts.Escaped == nil {
		return
	}
	if rest != nil {
		values = append(append([]Value(nil), values...), rest)
	}
	m.opts.Escaped(Escape{Values: values, From: into.From, Why: into.Why, At: at, Dynamic: into.Dynamic, Node: m.node})
}

// Escape is a call that is not evaluated: the values that are passed to it,
// and the code that it runs if it belongs to the program.
type Escape struct {
	Values []Value
	From   *Code
	Why    string
	At     Place
	// Dynamic means that it loads modules that are chosen at run time.
	Dynamic bool
	// Node is the node of the call, as in Call.
	Node any
}

// enter runs a function of the program.
func (m *Machine) enter(f *Func, args []Value, rest *Unknown, at Place) Value {
	// A recursion whose end depends on an unknown value would never end.
	if f.generator || len(m.calls) >= maxCalls || m.forked > 0 && len(m.calls) >= maxForked+m.forked {
		u := m.unknown("it is computed by calls that nest too deeply", at)
		if f.generator {
			u.Why = "it comes from a generator, which is not evaluated"
		}
		u.From = f.Code()
		return m.resultOf(u, args, rest, at)
	}
	m.calls = append(m.calls, at)
	fr := &frame{module: f.scope.frame.module, source: f.scope.frame.source}
	inner := &scope{parent: f.scope, frame: fr}
	fr.scope = inner
	m.bind(&js.BindingArray{List: f.Params.List, Rest: f.Params.Rest}, &Array{Elems: args, Rest: rest}, inner, true)
	out := m.execBody(f, inner)
	m.calls = m.calls[:len(m.calls)-1]
	return out
}

// execBody runs a function's body. In an asynchronous function, everything
// after the first await is postponed.
func (m *Machine) execBody(f *Func, s *scope) Value {
	src, list, err := s.frame.source.Function(f.body.List)
	if err != nil {
		return m.unknown("a function's body cannot be read: "+err.Error(), m.at(nil, s))
	}
	s.frame.source = src
	m.hoistVars(list, s)
	m.hoist(list, s)
	if !f.async {
		return m.returned(m.execFrom(list, s))
	}
	now := len(list)
	if i := slices.IndexFunc(list, source.Awaits); i >= 0 && m.txn == nil {
		now = i
	}
	c := m.execFrom(list[:now], s)
	rest := func() completion { return m.execFrom(list[now:], s) }
	switch {
	case c.maybe != nil:
		c = m.continueAfter(c, rest)
	case c.kind == normal && now < len(list):
		return m.later(nil, func() Value { return m.returned(rest()) })
	}
	return newPromise(m.Await(m.returned(c)))
}

// returned converts the completion of a function's body into its result.
func (m *Machine) returned(c completion) Value {
	switch {
	case c.kind != returns:
		return Undefined{}
	case c.maybe != nil:
		return m.join(c.maybe, c.value, Undefined{})
	}
	return c.value
}

// makeClass returns the value of a class, which is not evaluated.
func (m *Machine) makeClass(d *js.ClassDecl, s *scope) Value {
	why := "it comes from a class, which is not evaluated"
	if d.Name != nil {
		why = "it comes from the class " + string(d.Name.Data) + ", which is not evaluated"
	}
	u := m.unknown(why, source.ClassPlace(d, s.frame.source))
	u.From = &Code{scope: s, Source: s.frame.source, Node: d}
	if d.Extends != nil {
		u = m.taint(u, m.eval(d.Extends, s))
	}
	// The effects of its definition and of its constructor are unknown.
	m.escape(nil, nil, u, u.At)
	return u
}

// evalNew evaluates `new` for natives only.
func (m *Machine) evalNew(e *js.NewExpr, s *scope) Value {
	callee := m.eval(e.X, s)
	c := &Call{M: m, This: Undefined{}, At: m.at(e, s), Node: e}
	if e.Args != nil {
		c.Args, c.Rest = m.args(*e.Args, s)
	}
	if f, ok := callee.(*Func); ok && !f.Native() {
		u := m.unknown("it is made by new, which is not evaluated", c.At)
		u.From = f.Code()
		callee = u
	}
	return m.invoke(c, callee)
}

// makeFunc returns the value of a function declaration or expression.
func (m *Machine) makeFunc(d *js.FuncDecl, s *scope) *Func {
	return m.newFunc(&Func{Params: &d.Params, body: &d.Body, scope: s, async: d.Async, generator: d.Generator})
}

// newFunc records a function of the program under its body.
func (m *Machine) newFunc(f *Func) *Func {
	m.closures[f.body] = append(m.closures[f.body], f)
	return f
}
