package jseval

import (
	"slices"

	"github.com/tdewolff/parse/v2/js"

	"github.com/joelhooks/gh-sbw/internal/catalog/source"
)

// execLoop runs `for of` over known values. For other loops, the number of
// iterations is not evaluated.
func (m *Machine) execLoop(st js.IStmt, s *scope) completion {
	var body js.IStmt
	inner := s.inner()
	switch st := st.(type) {
	case *js.ForOfStmt:
		elems, rest := m.iterate(m.eval(st.Value, s), m.at(st.Value, s))
		if st.Await {
			for i := range elems {
				elems[i] = m.Await(elems[i])
			}
		}
		return m.forEach(st.Init, st.Body, s, elems, rest)
	case *js.ForInStmt:
		m.eval(st.Value, s)
		u := m.unknown("it is the variable of a for-in loop, which is not evaluated", m.at(st.Value, s))
		return m.forEach(st.Init, st.Body, s, nil, u)
	case *js.WhileStmt:
		body = st.Body
	case *js.DoWhileStmt:
		body = st.Body
	case *js.ForStmt:
		body = st.Body
		if d, ok := st.Init.(*js.VarDecl); ok {
			u := m.unknown("it is counted by a loop, which is not evaluated", m.at(nil, s))
			for _, e := range d.List {
				for _, name := range source.BoundNames(e.Binding) {
					inner.declare(name).value = u
				}
			}
		}
	}
	u := m.unknown("the number of iterations of a loop is not evaluated", m.at(firstOf([]js.IStmt{body}), s))
	return m.perhaps(u, func() completion { return m.exec(body, inner) })
}

// forEach runs the body once for each element, and perhaps for possible
// further elements. If the loop may break, every iteration is uncertain.
func (m *Machine) forEach(init js.IExpr, block *js.BlockStmt, s *scope, elems []Value, rest *Unknown) completion {
	sure := len(elems)
	if rest != nil {
		// These are the possible further elements, and one about which nothing
		// is known.
		elems = append(slices.Concat(elems, rest.May), rest.with(nil))
	}
	if source.Breaks(block) {
		sure = 0
		rest = m.unknown("it depends on when a loop breaks, which is not evaluated", m.at(firstOf(block.List), s))
	}
	return m.turns(elems, sure, rest, func(v Value) completion {
		inner := s.inner()
		if d, ok := init.(*js.VarDecl); ok && len(d.List) > 0 {
			m.bind(d.List[0].Binding, v, inner, d.TokenType != js.VarToken)
		} else {
			m.assign(init, v, s)
		}
		return m.execList(block.List, inner)
	})
}

// turns runs a loop's body. The first elements are certain.
func (m *Machine) turns(elems []Value, sure int, why *Unknown, turn func(v Value) completion) completion {
	for i, v := range elems {
		m.step()
		var c completion
		if i < sure {
			c = turn(v)
		} else {
			c = m.perhaps(why, func() completion { return turn(v) })
		}
		switch {
		case c.kind != returns:
			continue
		case c.maybe == nil:
			return c
		}
		return m.continueAfter(c, func() completion { return m.turns(elems[i+1:], sure-i-1, why, turn) })
	}
	return completion{}
}
