package jseval

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"github.com/tdewolff/parse/v2/js"

	"github.com/joelhooks/gh-sbw/internal/catalog/source"
)

// Value is a bool, float64 or string, or one of Undefined, Null, *Array,
// *Object, *Func, *Namespace, *Unknown.
type Value = any

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

// Array is an array. Its elements are replaced, never changed in place.
type Array struct {
	Elems []Value
	// Rest, if set, says that there may be further elements, or fewer.
	Rest *Unknown
}

// Object is an object of any kind but array and function.
type Object struct {
	keys  []string
	props map[string]Value
	// Rest, if set, says that there may be further properties, and that those
	// that are not here may have any value.
	Rest *Unknown
	// Host is what a native made of it: the SDK's client, a function. The
	// properties of such an object are not enumerable.
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
func (c *Call) Arg(i int) Value { return elementAt(c.Args, i, c.Rest) }

// Func is a function.
type Func struct {
	Name   string // of a native
	native Native
	// the rest is for functions of the program
	params    *js.Params
	body      *js.BlockStmt
	scope     *scope
	async     bool
	generator bool
}

// NewFunc makes a Func of a Native.
func NewFunc(name string, n Native) *Func { return &Func{Name: name, native: n} }

// Native reports whether the function is not the program's own.
func (f *Func) Native() bool { return f.native != nil }

// NewObject makes an object of keys and values, in turn.
func NewObject(pairs ...any) *Object {
	o := &Object{}
	for i := 0; i+1 < len(pairs); i += 2 {
		o.Set(pairs[i].(string), pairs[i+1])
	}
	return o
}

// Set sets a property while an object is made.
func (o *Object) Set(key string, v Value) {
	if o.props == nil {
		o.props = map[string]Value{}
	}
	if _, ok := o.props[key]; !ok {
		o.keys = append(o.keys, key)
	}
	o.props[key] = v
}

// Keys are the enumerable own properties in the language's order: indexes
// first, then as they were added.
func (o *Object) Keys() []string {
	if o.Host != nil {
		return nil
	}
	keys := slices.Clone(o.keys)
	slices.SortStableFunc(keys, func(a, b string) int { return cmp.Compare(index(a), index(b)) })
	return keys
}

// index is the number that a key is, or one beyond any.
func index(key string) uint64 {
	n, err := strconv.ParseUint(key, 10, 32)
	if err != nil || strconv.FormatUint(n, 10) != key {
		return math.MaxUint64
	}
	return n
}

// Own returns an own property's value.
func (o *Object) Own(key string) (Value, bool) {
	v, ok := o.props[key]
	return v, ok
}

// Truth is a value's truth; known is false where it cannot be decided.
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

// toString is the language's String(v) for what has a fixed text.
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

// formatNumber writes a number as the language does, but for the very large and
// the very small.
func formatNumber(f float64) (string, bool) {
	if f == 0 {
		return "0", true
	}
	return strconv.FormatFloat(f, 'f', -1, 64), math.Abs(f) >= 1e-6 && math.Abs(f) < 1e21
}

// toNumber is the language's Number(v) for numbers and texts.
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
