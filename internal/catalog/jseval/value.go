package jseval

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"github.com/tdewolff/parse/v2/js"

	"github.com/joelhooks/gh-sbw/internal/catalog/source"
)

// Value is a bool, float64 or string, or Undefined, Null, *Array, *Object,
// *Func, *Namespace or *Unknown.
type Value = any

// Undefined and Null are the values of these names in the language.
type (
	Undefined struct{}
	Null      struct{}
)

// Place is a position in a source file.
type Place = source.Place

// Unknown is a value that cannot be determined.
type Unknown struct {
	// Why completes the sentence "it cannot be determined because …".
	Why string
	At  Place
	// May lists values that it may have.
	May []Value
	// Marked means that it depends on a marked value (Options.Marked), and so
	// may contain one.
	Marked bool
	// Primitive means that it is not an object.
	Primitive bool
	// Missing means that it comes from a module that should exist but does
	// not.
	Missing bool
	// From is the part of the program that creates the value and is not
	// evaluated. The value may contain anything that the code can reach.
	From *Code
	// Dynamic means that it comes from modules that are chosen at run time,
	// which may be any modules of the program.
	Dynamic bool
	// exact means that it is one of May, or a primitive.
	exact bool
}

// with returns the same unknown value with other candidates.
func (u *Unknown) with(may []Value) *Unknown {
	return &Unknown{Why: u.Why, At: u.At, May: may, Marked: u.Marked, Missing: u.Missing, From: u.From, Dynamic: u.Dynamic}
}

// Array is an array. Its elements are replaced and never changed in place.
type Array struct {
	Elems []Value
	// Rest, if set, means that there may be more or fewer elements.
	Rest *Unknown
}

// Object is an object that is neither an array nor a function.
type Object struct {
	keys  []string
	props map[string]Value
	// Rest, if set, means that there may be more properties, and that missing
	// properties may have any value.
	Rest *Unknown
	// Host is the native counterpart of the object: the SDK's client, or a
	// function. The properties of such an object are not enumerable.
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
	// Rest, if set, means that there may be more arguments.
	Rest *Unknown
	At   Place
	// Node is the node of the call in the syntax tree, if the program contains
	// it.
	Node any
}

// Arg returns an argument, or Undefined if there are fewer.
func (c *Call) Arg(i int) Value { return elementAt(c.Args, i, c.Rest) }

// Func is a function.
type Func struct {
	Name   string // only for natives
	native Native
	// the other fields are for functions of the program
	Params    *js.Params
	body      *js.BlockStmt
	scope     *scope
	async     bool
	generator bool
}

// NewFunc makes a Func of a Native.
func NewFunc(name string, n Native) *Func { return &Func{Name: name, native: n} }

// Native reports whether the function is not the program's own.
func (f *Func) Native() bool { return f.native != nil }

// NewObject creates an object from alternating keys and values.
func NewObject(pairs ...any) *Object {
	o := &Object{}
	for i := 0; i+1 < len(pairs); i += 2 {
		o.Set(pairs[i].(string), pairs[i+1])
	}
	return o
}

// Set sets a property during the creation of an object.
func (o *Object) Set(key string, v Value) {
	if o.props == nil {
		o.props = map[string]Value{}
	}
	if _, ok := o.props[key]; !ok {
		o.keys = append(o.keys, key)
	}
	o.props[key] = v
}

// Keys returns the enumerable own properties in the language's order: first
// the indexes, then the other keys in the order of insertion.
func (o *Object) Keys() []string {
	if o.Host != nil {
		return nil
	}
	keys := slices.Clone(o.keys)
	slices.SortStableFunc(keys, func(a, b string) int { return cmp.Compare(index(a), index(b)) })
	return keys
}

// index returns the number that a key represents, or a number larger than any
// index.
func index(key string) uint64 {
	n, err := strconv.ParseUint(key, 10, 32)
	if err != nil || strconv.FormatUint(n, 10) != key {
		return math.MaxUint64
	}
	return n
}

// Own returns the value of an own property.
func (o *Object) Own(key string) (Value, bool) {
	v, ok := o.props[key]
	return v, ok
}

// Truth converts a value to a boolean. known is false if that is not possible.
func Truth(v Value) (is, known bool) {
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

func isNullish(v Value) bool {
	switch v.(type) {
	case Undefined, Null:
		return true
	}
	return false
}

// toString is the language's String(v) for values with a fixed text.
func toString(v Value) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case float64:
		return formatNumber(v)
	case bool:
		return strconv.FormatBool(v), true
	case Undefined:
		return "undefined", true
	case Null:
		return "null", true
	}
	return "", false
}

// formatNumber formats a number as the language does, except very large and
// very small numbers.
func formatNumber(f float64) (string, bool) {
	if f == 0 {
		return "0", true
	}
	return strconv.FormatFloat(f, 'f', -1, 64), math.Abs(f) >= 1e-6 && math.Abs(f) < 1e21
}

// toNumber is the language's Number(v) for numbers and strings.
func toNumber(v Value) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case string:
		return source.Number(v), true
	}
	return 0, false
}

// Push appends to a list, for natives.
func (m *Machine) Push(a *Array, v Value) {
	m.touch(a)
	a.Elems = append(slices.Clip(a.Elems), v)
}
