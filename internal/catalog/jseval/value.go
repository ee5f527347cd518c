package jseval

import (
	"math"
	"strconv"

	"github.com/tdewolff/parse/v2/js"

	"github.com/joelhooks/gh-sbw/internal/catalog/source"
)

// Value is a bool, float64 or string, or one of Undefined, Null, *Array,
// *Object, *Func, *Namespace, *Unknown.
type Value any

// Undefined and Null are what they are in the language.
type (
	Undefined struct{}
	Null      struct{}
)

// Place is where something is written.
type Place = source.Place

// Unknown is a value that cannot be decided.
type Unknown struct {
	// Why completes the sentence "it cannot be decided because …".
	Why string
	At  Place
	// May are values that it may have.
	May []Value
	// Marked says that a marked value (Options.Marked) went into it, so that
	// it may hold one.
	Marked bool
	// Primitive says that it is not an object.
	Primitive bool
	// Missing says that it comes from a module that should be there.
	Missing bool
	// From is the part of the program that makes the value and is not
	// evaluated; the value may hold whatever that code can reach.
	From *Code
	// Dynamic says that it comes from modules that are chosen when the program
	// runs, so that any module of the program may be among them.
	Dynamic bool
	// exact says that it is one of May or a primitive.
	exact bool
}

// with is the same unknown with other candidates.
func (u *Unknown) with(may []Value) *Unknown {
	return &Unknown{Why: u.Why, At: u.At, May: may, Marked: u.Marked, Missing: u.Missing, From: u.From, Dynamic: u.Dynamic}
}

// Array is an array.
type Array struct {
	Elems []Value
	// Rest, if set, says that there may be further elements, or fewer.
	Rest *Unknown
}

// Prop is a property.
type Prop struct {
	Val    Value
	hidden bool // not enumerable
}

// Object is an object of any kind but array and function.
type Object struct {
	keys  []string
	props map[string]Prop
	// Rest, if set, says that there may be further properties, and that those
	// that are not here may have any value.
	Rest *Unknown
	// Host is what a native made of it: the SDK's client, a function.
	Host any
}

// Namespace is what `import * as` binds.
type Namespace struct{ module *module }

// Native is a function that is not written in the program.
type Native func(c *Call) Value

// Call is one call of a Native.
type Call struct {
	M    *Machine
	This Value
	Args []Value
	// Rest, if set, says that there may be further arguments.
	Rest *Unknown
	At   Place
	// Node is the call's own node in the syntax tree, if the program wrote it.
	Node any
}

// Arg returns an argument, Undefined beyond the end.
func (c *Call) Arg(i int) Value {
	if i < len(c.Args) {
		return c.Args[i]
	}
	if c.Rest != nil {
		return c.Rest
	}
	return Undefined{}
}

// Func is a function.
type Func struct {
	Name   string
	native Native
	// the rest is for functions of the program
	params    *js.Params
	body      *js.BlockStmt
	scope     *scope
	this      Value // of arrow functions and bound ones
	lexical   bool  // this is taken from above
	async     bool
	generator bool
	props     *Object
	instance  Native // decides instanceof
}

// NewFunc makes a Func of a Native.
func NewFunc(name string, n Native) *Func { return &Func{Name: name, native: n} }

// NewObject makes an object of keys and values, in turn.
func NewObject(pairs ...any) *Object {
	o := &Object{}
	for i := 0; i+1 < len(pairs); i += 2 {
		o.set(pairs[i].(string), pairs[i+1])
	}
	return o
}

func (o *Object) set(key string, v Value) { o.setProp(key, Prop{Val: v}) }

func (o *Object) setProp(key string, p Prop) {
	if o.props == nil {
		o.props = map[string]Prop{}
	}
	if old, ok := o.props[key]; !ok {
		o.keys = append(o.keys, key)
	} else {
		p.hidden = p.hidden || old.hidden
	}
	o.props[key] = p
}

func (o *Object) remove(key string) {
	if _, ok := o.props[key]; !ok {
		return
	}
	delete(o.props, key)
	for i, k := range o.keys {
		if k == key {
			o.keys = append(o.keys[:i:i], o.keys[i+1:]...)
			return
		}
	}
}

// Keys are the enumerable own properties in the language's order: integers
// first, then as they were added.
func (o *Object) Keys() []string {
	var ints, names []string
	for _, k := range o.keys {
		if o.props[k].hidden {
			continue
		}
		if n, err := strconv.ParseUint(k, 10, 32); err == nil && strconv.FormatUint(n, 10) == k {
			at := len(ints)
			for at > 0 {
				if m, err := strconv.ParseUint(ints[at-1], 10, 32); err != nil || m <= n {
					break
				}
				at--
			}
			ints = append(ints[:at], append([]string{k}, ints[at:]...)...)
			continue
		}
		names = append(names, k)
	}
	return append(ints, names...)
}

// Own returns an own property's value as it is stored.
func (o *Object) Own(key string) (Prop, bool) {
	p, ok := o.props[key]
	return p, ok
}

// truth is a value's truth; known is false where it cannot be decided.
func truth(v Value) (is, known bool) {
	switch v := v.(type) {
	case bool:
		return v, true
	case float64:
		return v != 0 && !math.IsNaN(v), true
	case string:
		return v != "", true
	case Undefined, Null:
		return false, true
	case *Unknown:
		return false, false
	}
	return true, true
}

// toString is the language's String(v) for what has a fixed text.
func toString(v Value) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case float64:
		return formatNumber(v), true
	case bool:
		return strconv.FormatBool(v), true
	case Undefined:
		return "undefined", true
	case Null:
		return "null", true
	}
	return "", false
}

func formatNumber(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case f == 0:
		return "0"
	case math.Abs(f) >= 1e21 || math.Abs(f) < 1e-6:
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

// toNumber is the language's Number(v) for primitives.
func toNumber(v Value) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case Null:
		return 0, true
	case Undefined:
		return math.NaN(), true
	case string:
		return source.Number(v), true
	}
	return 0, false
}

// same reports whether two values are the same one (===, NaN equal to itself).
func same(a, b Value) bool {
	if x, ok := a.(float64); ok {
		y, ok := b.(float64)
		return ok && (x == y || math.IsNaN(x) && math.IsNaN(y))
	}
	return a == b
}

// Push appends to a list, for natives.
func (m *Machine) Push(a *Array, v Value) {
	m.touchArray(a)
	a.Elems = append(a.Elems[:len(a.Elems):len(a.Elems)], v)
}

// Truth is a value's truth; known is false where it cannot be decided.
func Truth(v Value) (is, known bool) { return truth(v) }
