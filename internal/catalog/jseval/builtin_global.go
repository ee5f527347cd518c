package jseval

import (
	"maps"
	"math"
	"slices"
)

// makeGlobals are the globals that are evaluated; any other is unknown.
func (m *Machine) makeGlobals() map[string]Value {
	with := func(f *Func, statics map[string]Native) *Func {
		f.props = &Object{}
		for _, name := range slices.Sorted(maps.Keys(statics)) {
			f.props.set(name, NewFunc(name, statics[name]))
		}
		f.props.Rest = &Unknown{Why: "it uses a function of " + f.Name + " that is not evaluated"}
		return f
	}
	env := &Object{Host: environ{}}
	for k, v := range m.opts.Env {
		env.set(k, v)
	}
	process := NewObject("env", env)
	process.Rest = &Unknown{Why: "it depends on the process it runs in"}
	console := &Object{}
	for _, name := range []string{"log", "warn", "error", "info", "debug"} {
		console.set(name, NewFunc(name, func(*Call) Value { return Undefined{} }))
	}
	globals := map[string]Value{
		"undefined": Undefined{},
		"NaN":       math.NaN(),
		"Infinity":  math.Inf(1),
		"Object": with(
			NewFunc("Object", func(c *Call) Value { return c.notEvaluated("it is made by Object(), which is not evaluated") }),
			objectFunctions(),
		),
		"Array": with(NewFunc("Array", globalArray), map[string]Native{
			"isArray": func(c *Call) Value {
				if u, ok := c.Arg(0).(*Unknown); ok {
					return c.M.primitive(u)
				}
				_, ok := c.Arg(0).(*Array)
				return ok
			},
			"from": arrayFrom,
			"of":   func(c *Call) Value { return &Array{Elems: c.Args, Rest: c.Rest} },
		}),
		"String": with(NewFunc("String", globalString), nil),
		"Number": with(NewFunc("Number", globalNumber), nil),
		"Boolean": NewFunc("Boolean", func(c *Call) Value {
			is, known := truth(c.Arg(0))
			if !known {
				return c.M.primitive(c.Arg(0).(*Unknown))
			}
			return is
		}),
		"Promise": with(NewFunc("Promise", func(c *Call) Value { return c.notEvaluated("it is a promise's result") }), map[string]Native{
			"resolve": func(c *Call) Value { return newPromise(c.M.await(c.Arg(0))) },
			"all": func(c *Call) Value {
				elems, rest := c.M.iterate(c.Arg(0), c.At)
				out := &Array{Rest: rest}
				for _, v := range elems {
					out.Elems = append(out.Elems, c.M.await(v))
				}
				return newPromise(out)
			},
		}),
		"console": console,
		"process": process,
		"Bun":     &Object{keys: []string{"env"}, props: map[string]Prop{"env": {Val: env}}, Rest: process.Rest},
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
	if name == "globalThis" {
		return &Object{Rest: m.unknown("it depends on a property of globalThis", at)}
	}
	return m.unknown("it depends on the global "+quote(name), at)
}

// environ is the host of process.env and its like.
type environ struct{}

// environment is a variable of process.env, import.meta.env or Bun.env.
func (m *Machine) environment(name string, at Place) Value {
	if v, ok := m.opts.Env[name]; ok {
		return v
	}
	m.unknowns++
	return &Unknown{Why: "it depends on the environment variable " + name, At: at, Primitive: true}
}

// importMeta is import.meta. A bundler's glob loads modules by a pattern.
func (m *Machine) importMeta(s *scope) Value {
	o := NewObject("env", &Object{Host: environ{}})
	o.Rest = m.unknown("it depends on import.meta", Place{Module: s.frame.source})
	for _, name := range []string{"glob", "globEager"} {
		o.set(name, NewFunc(name, func(c *Call) Value {
			u := c.Unknown("it loads modules by a pattern (import.meta." + name + ")")
			u.Marked, u.Dynamic = true, true
			c.M.escape(nil, nil, u, c.At)
			return u
		}))
	}
	return o
}

func globalString(c *Call) Value {
	if len(c.Args) == 0 && c.Rest == nil {
		return ""
	}
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

func globalArray(c *Call) Value {
	if len(c.Args) > 1 || c.Rest != nil {
		return &Array{Elems: c.Args, Rest: c.Rest}
	}
	if len(c.Args) == 0 {
		return &Array{}
	}
	return c.notEvaluated("it is made by Array(n), which is not evaluated")
}

func arrayFrom(c *Call) Value {
	list, ok := c.Arg(0).(*Array)
	if !ok {
		return c.notEvaluated("it is made by Array.from, which is evaluated for lists alone")
	}
	a := &Array{Elems: slices.Clone(list.Elems), Rest: list.Rest}
	if f, ok := c.Arg(1).(*Func); ok {
		return arrayMap(&Call{M: c.M, Args: []Value{f}, At: c.At, Node: c.Node}, a)
	}
	return a
}
