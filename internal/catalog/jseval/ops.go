package jseval

import "github.com/tdewolff/parse/v2/js"

func (m *Machine) unary(e *js.UnaryExpr, s *scope) Value {
	switch e.Op {
	case js.PreIncrToken, js.PreDecrToken, js.PostIncrToken, js.PostDecrToken:
		u := m.unknown("it is counted, which is not evaluated", m.at(e, s))
		u.Primitive = true
		m.assign(e.X, u, s)
		return u
	case js.DeleteToken:
		u := m.unknown("it depends on delete, which is not evaluated", m.at(e, s))
		_, of, _ := m.chain(e.X, s)
		m.forget(of, u)
		return u
	case js.TypeofToken:
		return m.typeOf(m.eval(e.X, s))
	}
	v := m.eval(e.X, s)
	switch e.Op {
	case js.AwaitToken:
		m.settle()
		return m.Await(v)
	case js.VoidToken:
		return Undefined{}
	case js.NotToken:
		if is, known := Truth(v); known {
			return !is
		}
		return m.primitive(v.(*Unknown))
	}
	n, ok := toNumber(v)
	switch {
	case !ok:
		return m.notNumber(v, m.at(e, s))
	case e.Op == js.NegToken || e.Op == js.SubToken:
		return -n
	}
	return m.unknown("its operator is not evaluated", m.at(e, s))
}

// primitive returns the result of an operator with an unknown operand.
func (m *Machine) primitive(u *Unknown) *Unknown {
	m.unknowns++
	return &Unknown{Why: u.Why, At: u.At, Primitive: true}
}

func (m *Machine) notNumber(v Value, at Place) *Unknown {
	if u, ok := v.(*Unknown); ok {
		return m.primitive(u)
	}
	return m.primitive(m.unknown("it is taken for a number, which is not evaluated", at))
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

// assignOps maps assignment operators to the operators that compute the value.
var assignOps = map[js.TokenType]js.TokenType{
	js.AddEqToken: js.AddToken, js.SubEqToken: js.SubToken, js.MulEqToken: js.MulToken, js.DivEqToken: js.DivToken,
	js.ModEqToken: js.ModToken, js.ExpEqToken: js.ExpToken, js.BitAndEqToken: js.BitAndToken,
	js.BitOrEqToken: js.BitOrToken, js.BitXorEqToken: js.BitXorToken, js.LtLtEqToken: js.LtLtToken,
	js.GtGtEqToken: js.GtGtToken, js.GtGtGtEqToken: js.GtGtGtToken,
	js.AndEqToken: js.AndToken, js.OrEqToken: js.OrToken, js.NullishEqToken: js.NullishToken,
}

func isLogical(op js.TokenType) bool {
	return op == js.AndToken || op == js.OrToken || op == js.NullishToken
}

func (m *Machine) binary(e *js.BinaryExpr, s *scope) Value {
	right := func() Value { return m.eval(e.Y, s) }
	if e.Op == js.EqToken {
		v := right()
		m.assign(e.X, v, s)
		return v
	}
	x := m.eval(e.X, s)
	op, assigns := assignOps[e.Op]
	switch {
	case assigns && isLogical(op):
		return m.logical(op, x, func() Value {
			v := right()
			m.assign(e.X, v, s)
			return v
		})
	case assigns:
		v := m.operate(op, x, right(), m.at(e, s))
		m.assign(e.X, v, s)
		return v
	case isLogical(e.Op):
		return m.logical(e.Op, x, right)
	}
	return m.operate(e.Op, x, right(), m.at(e, s))
}

// logical evaluates &&, || and ??, whose right side may not be evaluated.
func (m *Machine) logical(op js.TokenType, x Value, right func() Value) Value {
	if u, ok := x.(*Unknown); ok {
		left := u
		if op == js.AndToken {
			// If `&&` does not evaluate its right side, its result is falsy
			// and so not an object.
			left = &Unknown{Why: u.Why, At: u.At, Primitive: true}
		}
		return m.either(u, func() Value { return left }, right)
	}
	is, _ := Truth(x)
	if op == js.NullishToken && isNullish(x) || op == js.AndToken && is || op == js.OrToken && !is {
		return right()
	}
	return x
}

func (m *Machine) operate(op js.TokenType, x, y Value, at Place) Value {
	loose := op == js.EqEqToken || op == js.NotEqToken
	if loose || op == js.EqEqEqToken || op == js.NotEqEqToken {
		equal, u := m.equal(x, y, loose, at)
		if u != nil {
			return u
		}
		return equal == (op == js.EqEqEqToken || op == js.EqEqToken)
	}
	for _, v := range []Value{x, y} {
		if u, ok := v.(*Unknown); ok {
			return m.primitive(u)
		}
	}
	if op == js.AddToken {
		return m.add(x, y, at)
	}
	return m.primitive(m.unknown("its operator is not evaluated", at))
}

// equal evaluates === and ==. It decides == only for values of one type and
// for null and undefined.
func (m *Machine) equal(x, y Value, loose bool, at Place) (bool, *Unknown) {
	for _, v := range []Value{x, y} {
		if u, ok := v.(*Unknown); ok {
			return false, m.primitive(u)
		}
	}
	switch {
	case !loose || m.typeOf(x) == m.typeOf(y) && !isNullish(x):
		return x == y, nil
	case isNullish(x) || isNullish(y):
		return isNullish(x) && isNullish(y), nil
	}
	return false, m.primitive(m.unknown("it compares values of two kinds by ==, which is not evaluated", at))
}

func (m *Machine) add(x, y Value, at Place) Value {
	if a, ok := x.(float64); ok {
		if b, ok := y.(float64); ok {
			return a + b
		}
	}
	_, xIsText := x.(string)
	_, yIsText := y.(string)
	if !xIsText && !yIsText {
		return m.primitive(m.unknown("its operator is not evaluated", at))
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
