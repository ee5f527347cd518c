package jseval

import (
	"math"
	"strconv"
	"strings"
)

// makeGlobals are the globals that are understood; any other is unknown.
func (m *Machine) makeGlobals() map[string]Value {
	fn := func(name string, n Native) *Func { return NewFunc(name, n) }
	with := func(f *Func, statics map[string]Native) *Func {
		f.props = &Object{}
		for name, n := range statics {
			f.props.set(name, fn(name, n))
		}
		return f
	}
	object := func(natives map[string]Native) *Object {
		o := &Object{}
		for name, n := range natives {
			o.set(name, fn(name, n))
		}
		return o
	}
	raw := fn("raw", func(c *Call) Value { return c.Unknown("it is raw text") })
	text := with(fn("String", globalString), nil)
	text.props.set("raw", raw)
	number := with(fn("Number", globalNumber), map[string]Native{
		"isInteger": func(c *Call) Value {
			return isNumber(c, func(f float64) bool { return f == math.Trunc(f) && !math.IsInf(f, 0) })
		},
		"isFinite": func(c *Call) Value {
			return isNumber(c, func(f float64) bool { return !math.IsInf(f, 0) && !math.IsNaN(f) })
		},
		"isNaN":      func(c *Call) Value { return isNumber(c, math.IsNaN) },
		"parseInt":   globalParseInt,
		"parseFloat": globalParseFloat,
	})
	number.props.set("MAX_SAFE_INTEGER", float64(1<<53-1))
	env := &Object{Host: environ{}}
	for k, v := range m.opts.Env {
		env.set(k, v)
	}
	process := NewObject("env", env)
	process.Rest = &Unknown{Why: "it depends on the process it runs in"}
	globals := map[string]Value{
		"undefined": Undefined{}, "NaN": math.NaN(), "Infinity": math.Inf(1),
		"Object": with(fn("Object", func(c *Call) Value {
			if isNullish(c.Arg(0)) {
				return &Object{}
			}
			return c.Arg(0)
		}), objectFunctions()),
		"Array": with(fn("Array", globalArray), map[string]Native{
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
		"String": text, "String.raw": raw, "Number": number,
		"Boolean": fn("Boolean", func(c *Call) Value {
			is, known := truth(c.Arg(0))
			if !known {
				return c.M.primitive(c.Arg(0).(*Unknown))
			}
			return is
		}),
		"parseInt": fn("parseInt", globalParseInt), "parseFloat": fn("parseFloat", globalParseFloat),
		"isNaN":   fn("isNaN", func(c *Call) Value { return isNumber(c, math.IsNaN) }),
		"Math":    mathObject(object),
		"JSON":    object(map[string]Native{"stringify": jsonStringify, "parse": jsonParse}),
		"Set":     fn("Set", func(c *Call) Value { return newCollection(c, false) }),
		"Map":     fn("Map", func(c *Call) Value { return newCollection(c, true) }),
		"RegExp":  fn("RegExp", globalRegExp),
		"Promise": promiseGlobal(with, fn),
		"console": object(map[string]Native{"log": nothing, "warn": nothing, "error": nothing, "info": nothing, "debug": nothing}),
		"structuredClone": fn("structuredClone", func(c *Call) Value {
			return c.M.clone(c.Arg(0), 0)
		}),
		"process": process,
		"Bun":     &Object{keys: []string{"env"}, props: map[string]Prop{"env": {Val: env}}, Rest: &Unknown{Why: "it depends on the process it runs in"}},
	}
	for _, name := range []string{"Error", "TypeError", "RangeError", "SyntaxError"} {
		globals[name] = fn(name, func(c *Call) Value { return NewObject("message", c.Arg(0), "name", name) })
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

func (m *Machine) importMeta(s *scope) Value {
	o := NewObject("env", &Object{Host: environ{}})
	o.Rest = m.unknown("it depends on import.meta", Place{module: s.frame.source})
	return o
}

func nothing(*Call) Value { return Undefined{} }

func isNumber(c *Call, f func(float64) bool) Value {
	if u, ok := c.Arg(0).(*Unknown); ok {
		return c.M.primitive(u)
	}
	n, ok := c.Arg(0).(float64)
	return ok && f(n)
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

func globalParseInt(c *Call) Value {
	s, u := c.M.text(c.Arg(0), c.At)
	if u != nil {
		return u
	}
	base := 10
	if b, ok := c.Arg(1).(float64); ok && b >= 2 && b <= 36 {
		base = int(b)
	}
	s = strings.ToLower(strings.TrimSpace(s))
	sign := 1.0
	if rest, ok := strings.CutPrefix(s, "-"); ok {
		sign, s = -1, rest
	}
	if rest, ok := strings.CutPrefix(s, "0x"); ok && (base == 16 || len(c.Args) < 2) {
		base, s = 16, rest
	}
	end := 0
	for end < len(s) && end < 15 {
		if _, err := strconv.ParseInt(s[end:end+1], base, 64); err != nil {
			break
		}
		end++
	}
	n, err := strconv.ParseInt(s[:end], base, 64)
	if err != nil {
		return math.NaN()
	}
	return sign * float64(n)
}

func globalParseFloat(c *Call) Value {
	s, u := c.M.text(c.Arg(0), c.At)
	if u != nil {
		return u
	}
	s = strings.TrimSpace(s)
	for end := min(len(s), 64); end > 0; end-- {
		if f := parseNumber(s[:end]); !math.IsNaN(f) {
			return f
		}
	}
	return math.NaN()
}

func globalArray(c *Call) Value {
	if n, ok := c.Arg(0).(float64); ok && len(c.Args) == 1 {
		if n < 0 || n > 1024 || n != math.Trunc(n) {
			return c.Unknown("the list is too long")
		}
		a := &Array{}
		for range int(n) {
			a.Elems = append(a.Elems, Undefined{})
		}
		return a
	}
	return &Array{Elems: c.Args, Rest: c.Rest}
}

func arrayFrom(c *Call) Value {
	var a *Array
	if o, ok := c.Arg(0).(*Object); ok && o.Host == nil {
		n, _ := c.M.get(o, "length", c.At).(float64)
		a, ok = globalArray(&Call{M: c.M, Args: []Value{n}, At: c.At}).(*Array)
		if !ok {
			return c.Unknown("the list is too long")
		}
	} else {
		elems, rest := c.M.iterate(c.Arg(0), c.At)
		a = &Array{Elems: elems, Rest: rest}
	}
	if f, ok := c.Arg(1).(*Func); ok {
		return c.M.callRest(arrayMethods.method("map"), a, []Value{f}, nil, c.At)
	}
	return a
}

func globalRegExp(c *Call) Value {
	source, ok := c.Arg(0).(string)
	flags, _ := c.Arg(1).(string)
	if !ok || len(source) > 4096 {
		return c.Unknown("the pattern is made of what is unknown")
	}
	return newRegExp(source, flags)
}

func mathObject(object func(map[string]Native) *Object) *Object {
	one := func(f func(float64) float64) Native {
		return func(c *Call) Value {
			n, ok := toNumber(c.Arg(0))
			if !ok {
				return c.M.notNumber(c.Arg(0), c.At)
			}
			return f(n)
		}
	}
	fold := func(start float64, f func(a, b float64) float64) Native {
		return func(c *Call) Value {
			acc := start
			if c.Rest != nil {
				return c.M.primitive(c.Rest)
			}
			for _, v := range c.Args {
				n, ok := toNumber(v)
				if !ok {
					return c.M.notNumber(v, c.At)
				}
				acc = f(acc, n)
			}
			return acc
		}
	}
	return object(map[string]Native{
		"floor": one(math.Floor), "ceil": one(math.Ceil), "trunc": one(math.Trunc), "abs": one(math.Abs), "sqrt": one(math.Sqrt),
		"round": one(func(f float64) float64 { return math.Floor(f + 0.5) }),
		"sign":  one(func(f float64) float64 { return compareTo(f, 0) }),
		"max":   fold(math.Inf(-1), math.Max), "min": fold(math.Inf(1), math.Min),
		"pow": func(c *Call) Value {
			a, ok := toNumber(c.Arg(0))
			b, ok2 := toNumber(c.Arg(1))
			if !ok || !ok2 {
				return c.Unknown("it computes with what is no number")
			}
			return math.Pow(a, b)
		},
		"random": func(c *Call) Value {
			u := c.Unknown("it depends on Math.random")
			u.Primitive = true
			return u
		},
	})
}

func compareTo(a, b float64) float64 {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func promiseGlobal(with func(*Func, map[string]Native) *Func, fn func(string, Native) *Func) *Func {
	all := func(c *Call) Value {
		elems, rest := c.M.iterate(c.Arg(0), c.At)
		out := &Array{Rest: rest}
		for _, v := range elems {
			out.Elems = append(out.Elems, c.M.await(v))
		}
		return newPromise(out)
	}
	return with(fn("Promise", func(c *Call) Value { return c.Unknown("it is a promise's result") }), map[string]Native{
		"resolve": func(c *Call) Value { return newPromise(c.M.await(c.Arg(0))) },
		"all":     all,
	})
}

// clone copies plain data.
func (m *Machine) clone(v Value, depth int) Value {
	m.step()
	if depth > 64 {
		return m.unknown("its values nest too deeply", Place{})
	}
	switch v := v.(type) {
	case *Array:
		out := &Array{Rest: v.Rest}
		for _, e := range v.Elems {
			out.Elems = append(out.Elems, m.clone(e, depth+1))
		}
		return out
	case *Object:
		if v.Host != nil {
			return v
		}
		out := &Object{Rest: v.Rest}
		for _, k := range v.Keys() {
			out.set(k, m.clone(m.get(v, k, Place{}), depth+1))
		}
		return out
	}
	return v
}
