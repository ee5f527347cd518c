package jseval

import (
	"fmt"
	"slices"
)

// methods are the methods of a kind of value.
type methods map[string]Native

// The methods that are evaluated. They refer to each other through the
// Machine, so that they cannot be initialised where they are declared; nothing
// changes them afterwards.
var arrayMethods, objectMethods, funcMethods, promiseMethods methods

func init() {
	arrayMethods = makeArrayMethods()
	objectMethods = methods{
		"hasOwnProperty": func(c *Call) Value { return c.M.has(c.This, c.Arg(0), c.At) },
	}
	funcMethods = makeFuncMethods()
	promiseMethods = methods{
		"then": func(c *Call) Value {
			v := c.M.await(c.This)
			if _, ok := c.Arg(0).(*Func); !ok {
				return newPromise(v)
			}
			return newPromise(c.M.await(c.M.call(c.Arg(0), Undefined{}, []Value{v}, c.At)))
		},
		"catch": func(c *Call) Value { return c.This },
		"finally": func(c *Call) Value {
			c.M.call(c.Arg(0), Undefined{}, nil, c.At)
			return c.This
		},
	}
}

// of gives a method. One that the language has and that is not evaluated
// gives an unknown value when it is called.
func (t methods) of(v Value, kind, key string) Value {
	if n, ok := t[key]; ok {
		return &Func{Name: key, native: n}
	}
	if !isBuiltinMethod(kind, key) {
		return Undefined{}
	}
	return &Func{Name: key, native: func(c *Call) Value {
		return c.notEvaluated(fmt.Sprintf("it is made by the method %s of %s, which is not evaluated", key, kind))
	}}
}

// builtinMethods are the methods of the language's own kinds, as far as they
// are called in practice: any other name is a property that is not there.
var builtinMethods = map[string][]string{
	kindArray: {
		"at", "copyWithin", "entries", "every", "fill", "find", "findIndex", "findLast", "findLastIndex", "includes",
		"indexOf", "join", "keys", "lastIndexOf", "pop", "reduce", "reduceRight", "reverse", "shift", "slice", "some",
		"sort", "splice", "toLocaleString", "toReversed", "toSorted", "toSpliced", "toString", "unshift", "values", "with",
	},
	kindText: {
		"at", "charAt", "charCodeAt", "codePointAt", "concat", "endsWith", "includes", "indexOf", "lastIndexOf",
		"localeCompare", "match", "matchAll", "normalize", "padEnd", "padStart", "repeat", "replace", "replaceAll",
		"search", "slice", "split", "startsWith", "substr", "substring", "toLocaleLowerCase", "toLocaleUpperCase",
		"toLowerCase", "toString", "toUpperCase", "trim", "trimEnd", "trimStart", "valueOf",
	},
	kindNumber: {"toExponential", "toFixed", "toLocaleString", "toPrecision", "toString", "valueOf"},
	kindObject: {"isPrototypeOf", "propertyIsEnumerable", "toLocaleString", "toString", "valueOf"},
	kindFunc:   {"toString"},
}

const (
	kindArray  = "a list"
	kindText   = "a text"
	kindNumber = "a number"
	kindObject = "an object"
	kindFunc   = "a function"
)

func isBuiltinMethod(kind, key string) bool { return slices.Contains(builtinMethods[kind], key) }

// changesList reports whether a method that is not evaluated changes the list
// that it is called on.
func changesList(key string) bool {
	switch key {
	case "copyWithin", "fill", "pop", "reverse", "shift", "sort", "splice", "unshift":
		return true
	}
	return false
}

// notEvaluated is the result of a call that the program makes and that is not
// evaluated: it may hold whatever went in, and what a callback can reach.
func (c *Call) notEvaluated(why string) *Unknown {
	u := c.Unknown(why)
	u.From = codeIn(c.Args)
	c.M.escape(c.Args, c.Rest, u, c.At)
	return u
}

// codeIn is the code of the first of the program's functions among values.
func codeIn(values []Value) *Code {
	for _, v := range values {
		switch v := v.(type) {
		case *Func:
			if v.native == nil {
				return v.code()
			}
		case *Object:
			for _, k := range v.keys {
				if f, ok := v.props[k].Val.(*Func); ok && f.native == nil {
					return f.code()
				}
			}
		}
	}
	return nil
}

// decorateClass is esbuild's helper for decorators; what they do is unknown.
var decorateClass = NewFunc("__decorateClass", func(c *Call) Value {
	c.M.escape(c.Args, c.Rest, &Unknown{Why: "it has a decorator, which is not evaluated"}, c.At)
	return c.Arg(1)
})

// promise is a value that `await` unwraps.
type promise struct{ value Value }

func newPromise(v Value) *Object { return &Object{Host: &promise{v}} }

func makeFuncMethods() methods {
	return methods{
		"call": func(c *Call) Value {
			return c.M.invoke(&Call{M: c.M, This: c.Arg(0), Args: c.Args[min(1, len(c.Args)):], Rest: c.Rest, At: c.At, Node: c.Node}, c.This)
		},
		"apply": func(c *Call) Value {
			inner := &Call{M: c.M, This: c.Arg(0), At: c.At, Node: c.Node}
			if !isNullish(c.Arg(1)) {
				inner.Args, inner.Rest = c.M.iterate(c.Arg(1), c.At)
			}
			return c.M.invoke(inner, c.This)
		},
		"bind": func(c *Call) Value {
			f, this, bound := c.This, c.Arg(0), c.Args[min(1, len(c.Args)):]
			return NewFunc("bound", func(inner *Call) Value {
				args := slices.Concat(bound, inner.Args)
				return inner.M.invoke(&Call{M: inner.M, This: this, Args: args, Rest: inner.Rest, At: inner.At, Node: inner.Node}, f)
			})
		},
	}
}
