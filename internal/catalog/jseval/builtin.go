package jseval

// makeGlobals returns the globals that are evaluated. All others are unknown.
func (m *Machine) makeGlobals() map[string]Value {
	native := func(name string, n Native) *Object { return NewObject(name, NewFunc(name, n)) }
	// All other properties of a global are unknown.
	open := func(name string, o *Object) *Object {
		o.Rest = &Unknown{Why: "it uses a function of " + name + " that is not evaluated"}
		return o
	}
	env := &Object{Host: environ{}}
	process := NewObject("env", env)
	process.Rest = &Unknown{Why: "it depends on the process it runs in"}
	promises := native("resolve", func(c *Call) Value { return newPromise(c.M.Await(c.Arg(0))) })
	promises.Set("all", NewFunc("all", promiseAll))
	globals := map[string]Value{
		"undefined": Undefined{},
		"Object":    open("Object", objectFunctions()),
		"Array":     open("Array", native("isArray", isArray)),
		"Promise":   open("Promise", promises),
		"String":    NewFunc("String", globalString),
		"Number":    NewFunc("Number", globalNumber),
		"Boolean":   NewFunc("Boolean", globalBoolean),
		"process":   process,
		"Bun":       process,
	}
	for _, name := range []string{"Error", "TypeError", "RangeError", "SyntaxError"} {
		globals[name] = NewFunc(name, func(c *Call) Value { return NewObject("message", c.Arg(0), "name", name) })
	}
	return globals
}

func (m *Machine) global(name string, at Place) Value {
	if v, ok := m.globals[name]; ok {
		return v
	}
	return m.unknown("it depends on the global "+quote(name), at)
}

// environ is the host object of process.env and similar objects.
type environ struct{}

// environment returns a variable of process.env, import.meta.env or Bun.env.
func (m *Machine) environment(name string, at Place) Value {
	if v, ok := m.opts.Env[name]; ok {
		return v
	}
	m.unknowns++
	return &Unknown{Why: "it depends on the environment variable " + name, At: at, Primitive: true}
}

// importMeta returns import.meta. A bundler's glob loads modules by a pattern.
func (m *Machine) importMeta(s *scope) Value {
	o := NewObject("env", &Object{Host: environ{}})
	o.Rest = m.unknown("it depends on import.meta", Place{Module: s.frame.source})
	for _, name := range []string{"glob", "globEager"} {
		o.Set(name, NewFunc(name, func(c *Call) Value {
			u := c.Unknown("it loads modules by a pattern (import.meta." + name + ")")
			u.Marked, u.Dynamic = true, true
			c.M.escape(nil, nil, u, c.At)
			return u
		}))
	}
	return o
}

func globalString(c *Call) Value {
	s, u := c.M.text(c.Arg(0), c.At)
	if u != nil {
		return u
	}
	return s
}

func globalNumber(c *Call) Value {
	n, ok := toNumber(c.Arg(0))
	if !ok {
		return c.M.notNumber(c.Arg(0), c.At)
	}
	return n
}

func globalBoolean(c *Call) Value {
	is, known := Truth(c.Arg(0))
	if !known {
		return c.M.primitive(c.Arg(0).(*Unknown))
	}
	return is
}

func isArray(c *Call) Value {
	if u, ok := c.Arg(0).(*Unknown); ok {
		return c.M.primitive(u)
	}
	_, ok := c.Arg(0).(*Array)
	return ok
}

// objectFunctions contains Object.keys and similar functions.
func objectFunctions() *Object {
	o := &Object{}
	for name, pick := range map[string]func(k string, v Value) Value{
		"keys":    func(k string, _ Value) Value { return k },
		"values":  func(_ string, v Value) Value { return v },
		"entries": func(k string, v Value) Value { return &Array{Elems: []Value{k, v}} },
	} {
		o.Set(name, NewFunc(name, func(c *Call) Value { return c.entries(pick) }))
	}
	o.Set("fromEntries", NewFunc("fromEntries", objectFromEntries))
	o.Set("freeze", NewFunc("freeze", func(c *Call) Value { return c.Arg(0) }))
	for _, name := range []string{"assign", "defineProperty", "defineProperties", "setPrototypeOf"} {
		o.Set(name, NewFunc(name, func(c *Call) Value {
			c.M.forget(c.Arg(0), c.notEvaluated("it depends on Object."+name+", which is not evaluated"))
			return c.Arg(0)
		}))
	}
	return o
}

func objectFromEntries(c *Call) Value {
	o := &Object{}
	c.M.born(o)
	elems, rest := c.M.iterate(c.Arg(0), c.At)
	for _, e := range elems {
		pair, more := c.M.iterate(e, c.At)
		key, u := c.M.text(elementAt(pair, 0, more), c.At)
		c.M.setProp(o, key, u, elementAt(pair, 1, more))
	}
	if rest != nil {
		c.M.forgetProps(o, rest)
	}
	return o
}

// entries lists the result of pick for each property of the first argument.
func (c *Call) entries(pick func(k string, v Value) Value) Value {
	out := &Array{}
	from := c.Arg(0)
	keys, rest := c.M.keysOf(from)
	for _, k := range keys {
		out.Elems = append(out.Elems, pick(k, c.M.get(from, k, c.At)))
	}
	if rest == nil {
		return out
	}
	out.Rest = c.M.taint(rest.with(nil), from)
	// If it may be one of several objects, the values of all of them are
	// returned.
	if u, ok := from.(*Unknown); ok {
		for _, may := range u.May {
			if o, ok := may.(*Object); ok {
				for _, k := range o.Keys() {
					out.Rest.May = append(out.Rest.May, pick(k, c.M.get(o, k, c.At)))
				}
			}
		}
	}
	return out
}

// notEvaluated returns the result of a call that is not evaluated. It may
// contain any of the arguments, and anything that a callback can reach.
func (c *Call) notEvaluated(why string) *Unknown {
	u := c.Unknown(why)
	u.From = codeIn(c.Args)
	c.M.escape(c.Args, c.Rest, u, c.At)
	return u
}

// codeIn returns the code of the first function of the program among values.
func codeIn(values []Value) *Code {
	for _, f := range FunctionsIn(values...) {
		return f.Code()
	}
	return nil
}

// decorateClass is esbuild's helper for decorators. The effect of decorators
// is unknown.
var decorateClass = NewFunc("__decorateClass", func(c *Call) Value {
	c.M.escape(c.Args, c.Rest, &Unknown{Why: "it has a decorator, which is not evaluated"}, c.At)
	return c.Arg(1)
})
