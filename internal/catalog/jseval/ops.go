package jseval

import (
	"math"
	"strings"

	"github.com/tdewolff/parse/v2/js"
)

func (m *Machine) unary(e *js.UnaryExpr, s *scope) Value {
	switch e.Op {
	case js.PreIncrToken, js.PreDecrToken, js.PostIncrToken, js.PostDecrToken:
		old := m.eval(e.X, s)
		delta := 1.0
		if e.Op == js.PreDecrToken || e.Op == js.PostDecrToken {
			delta = -1
		}
		n, ok := toNumber(old)
		var before, after Value = n, n + delta
		if !ok {
			u := m.notNumber(old, m.at(e, s))
			before, after = u, u
		}
		m.assign(e.X, after, s)
		if e.Op == js.PostIncrToken || e.Op == js.PostDecrToken {
			return before
		}
		return after
	case js.DeleteToken:
		m.deleteProp(e.X, s)
		return true
	case js.TypeofToken:
		if v, ok := e.X.(*js.Var); ok && s.lookup(v.Name()) == nil {
			if _, known := m.globals[string(v.Name())]; !known {
				return m.unknown("it depends on the global "+quote(string(v.Name())), m.at(e.X, s))
			}
		}
		return m.typeOf(m.eval(e.X, s))
	}
	v := m.eval(e.X, s)
	switch e.Op {
	case js.AwaitToken:
		return m.await(v)
	case js.VoidToken:
		return Undefined{}
	case js.NotToken:
		if is, known := truth(v); known {
			return !is
		}
		return m.primitive(v.(*Unknown))
	}
	n, ok := toNumber(v)
	if !ok {
		return m.notNumber(v, m.at(e, s))
	}
	switch e.Op {
	case js.NegToken, js.SubToken:
		return -n
	case js.PosToken, js.AddToken:
		return n
	}
	return m.unknown("its syntax is not evaluated", m.at(e, s))
}

// primitive is what an operator makes of an unknown operand.
func (m *Machine) primitive(u *Unknown) *Unknown {
	m.unknowns++
	return &Unknown{Why: u.Why, At: u.At, Primitive: true}
}

func (m *Machine) notNumber(v Value, at Place) *Unknown {
	if u, ok := v.(*Unknown); ok {
		return m.primitive(u)
	}
	u := m.unknown("it is an object taken for a number", at)
	u.Primitive = true
	return u
}

func (m *Machine) typeOf(v Value) Value {
	switch v := v.(type) {
	case Undefined:
		return "undefined"
	case bool:
		return "boolean"
	case float64:
		return "number"
	case string:
		return "string"
	case *Func:
		return "function"
	case *Unknown:
		return m.primitive(v)
	}
	return "object"
}

// await unwraps a promise.
func (m *Machine) await(v Value) Value {
	if o, ok := v.(*Object); ok {
		if p, ok := o.Host.(*promise); ok {
			return p.value
		}
	}
	return v
}

var assignOps = map[js.TokenType]js.TokenType{
	js.AddEqToken: js.AddToken, js.SubEqToken: js.SubToken, js.MulEqToken: js.MulToken, js.DivEqToken: js.DivToken,
	js.ModEqToken: js.ModToken, js.ExpEqToken: js.ExpToken, js.BitAndEqToken: js.BitAndToken,
	js.BitOrEqToken: js.BitOrToken, js.BitXorEqToken: js.BitXorToken, js.LtLtEqToken: js.LtLtToken,
	js.GtGtEqToken: js.GtGtToken, js.GtGtGtEqToken: js.GtGtGtToken,
	js.AndEqToken: js.AndToken, js.OrEqToken: js.OrToken, js.NullishEqToken: js.NullishToken,
}

func (m *Machine) binary(e *js.BinaryExpr, s *scope) Value {
	switch e.Op {
	case js.EqToken:
		v := m.eval(e.Y, s)
		if f, ok := v.(*Func); ok && f.Name == "" {
			if name, ok := e.X.(*js.Var); ok {
				f.Name = string(name.Name())
			}
		}
		m.assign(e.X, v, s)
		return v
	case js.AndToken, js.OrToken, js.NullishToken:
		return m.logical(e.Op, m.eval(e.X, s), func() Value { return m.eval(e.Y, s) })
	}
	if op, ok := assignOps[e.Op]; ok {
		old := m.eval(e.X, s)
		switch op {
		case js.AndToken, js.OrToken, js.NullishToken:
			v := m.logical(op, old, func() Value {
				v := m.eval(e.Y, s)
				m.assign(e.X, v, s)
				return v
			})
			return v
		}
		v := m.operate(op, old, m.eval(e.Y, s), m.at(e, s))
		m.assign(e.X, v, s)
		return v
	}
	x := m.eval(e.X, s)
	return m.operate(e.Op, x, m.eval(e.Y, s), m.at(e, s))
}

// logical is &&, || and ??, whose right side may not be evaluated.
func (m *Machine) logical(op js.TokenType, x Value, right func() Value) Value {
	takeRight := false
	if op == js.NullishToken {
		switch v := x.(type) {
		case Undefined, Null:
			takeRight = true
		case *Unknown:
			return m.either(v, func() Value { return v }, right)
		}
	} else {
		is, known := truth(x)
		if !known {
			// What `&&` gives without its right side is falsy, and so no object.
			left := *x.(*Unknown)
			if op == js.AndToken {
				left = Unknown{Why: left.Why, At: left.At, Primitive: true}
			}
			return m.either(x.(*Unknown), func() Value { return &left }, right)
		}
		takeRight = is == (op == js.AndToken)
	}
	if takeRight {
		return right()
	}
	return x
}

func (m *Machine) operate(op js.TokenType, x, y Value, at Place) Value {
	for _, v := range []Value{x, y} {
		if u, ok := v.(*Unknown); ok {
			if op == js.EqEqEqToken || op == js.NotEqEqToken || op == js.EqEqToken || op == js.NotEqToken {
				if known, equal := m.distinct(x, y); known {
					return equal == (op == js.EqEqEqToken || op == js.EqEqToken)
				}
			}
			return m.primitive(u)
		}
	}
	switch op {
	case js.EqEqEqToken, js.NotEqEqToken:
		equal := x == y
		return equal == (op == js.EqEqEqToken)
	case js.EqEqToken, js.NotEqToken:
		equal, u := m.looselyEqual(x, y, at)
		if u != nil {
			return u
		}
		return equal == (op == js.EqEqToken)
	case js.InstanceofToken:
		return m.instanceOf(x, y, at)
	case js.InToken:
		return m.has(y, x, at)
	case js.AddToken:
		return m.add(x, y, at)
	case js.LtToken, js.GtToken, js.LtEqToken, js.GtEqToken:
		if a, ok := x.(string); ok {
			if b, ok := y.(string); ok {
				return compare(op, float64(strings.Compare(a, b)), 0)
			}
		}
	}
	a, ok := toNumber(x)
	b, ok2 := toNumber(y)
	if !ok || !ok2 {
		return m.unknown("it computes with an object", at)
	}
	return arithmetic(op, a, b)
}

// distinct decides an equality in which an unknown value takes part: one that
// is surely primitive equals no object.
func (m *Machine) distinct(x, y Value) (known, equal bool) {
	u, ok := x.(*Unknown)
	other := y
	if !ok {
		u, other = y.(*Unknown), x
	}
	if !u.Primitive {
		return false, false
	}
	switch other.(type) {
	case *Array, *Object, *Func, *Namespace:
		return true, false
	}
	return false, false
}

func arithmetic(op js.TokenType, a, b float64) Value {
	switch op {
	case js.SubToken:
		return a - b
	case js.MulToken:
		return a * b
	case js.DivToken:
		return a / b
	case js.ModToken:
		return math.Mod(a, b)
	}
	return compare(op, a, b)
}

func compare(op js.TokenType, a, b float64) Value {
	switch op {
	case js.LtToken:
		return a < b
	case js.GtToken:
		return a > b
	case js.LtEqToken:
		return a <= b
	case js.GtEqToken:
		return a >= b
	}
	return &Unknown{Why: "its syntax is not evaluated"}
}

func (m *Machine) add(x, y Value, at Place) Value {
	_, xIsText := x.(string)
	_, yIsText := y.(string)
	if a, ok := toNumber(x); ok && !xIsText && !yIsText {
		if b, ok := toNumber(y); ok {
			return a + b
		}
	}
	a, u := m.text(x, at)
	if u != nil {
		return u
	}
	b, u := m.text(y, at)
	if u != nil {
		return u
	}
	if len(a)+len(b) > maxText {
		return m.unknown("the text is too long", at)
	}
	return a + b
}

func (m *Machine) looselyEqual(x, y Value, at Place) (bool, *Unknown) {
	nullish := func(v Value) bool {
		switch v.(type) {
		case Undefined, Null:
			return true
		}
		return false
	}
	if nullish(x) || nullish(y) {
		return nullish(x) && nullish(y), nil
	}
	a, xIsPrimitive := toNumber(x)
	b, yIsPrimitive := toNumber(y)
	switch {
	case !xIsPrimitive && !yIsPrimitive:
		return x == y, nil
	case !xIsPrimitive || !yIsPrimitive:
		return false, m.unknown("it compares an object with a primitive", at)
	}
	if s, ok := x.(string); ok {
		if t, ok := y.(string); ok {
			return s == t, nil
		}
	}
	return a == b, nil
}

func (m *Machine) instanceOf(v, class Value, at Place) Value {
	if f, ok := class.(*Func); ok && f.instance != nil {
		return f.instance(&Call{M: m, This: f, Args: []Value{v}, At: at})
	}
	u := m.unknown("it depends on instanceof, which is not evaluated", at)
	u.Primitive = true
	return u
}

// has is the operator `in`.
func (m *Machine) has(v, key Value, at Place) Value {
	k, u := m.text(key, at)
	if u != nil {
		return u
	}
	switch o := v.(type) {
	case *Object:
		if _, ok := o.props[k]; ok {
			return true
		}
		if o.Rest != nil {
			return m.primitive(o.Rest)
		}
		return false
	case *Namespace:
		names, rest := m.exportNames(o.module)
		for _, n := range names {
			if n == k {
				return true
			}
		}
		if rest != nil {
			return m.primitive(rest)
		}
		return false
	}
	u = m.unknown("it asks for a property of something that is not a plain object", at)
	u.Primitive = true
	return u
}
