package jseval

import (
	"strconv"

	"github.com/tdewolff/parse/v2/js"

	"github.com/joelhooks/gh-sbw/internal/catalog/source"
)

// loopEnd says how a loop goes on after a turn.
type loopEnd struct {
	stop   bool
	result completion
	// maybe, if set, says that it may have stopped.
	maybe *Unknown
}

func afterTurn(c completion) loopEnd {
	loop := c.kind == breaks || c.kind == continues
	switch {
	case c.kind == normal, c.kind == continues:
		return loopEnd{}
	case loop && c.maybe == nil:
		return loopEnd{stop: true}
	case loop:
		return loopEnd{maybe: c.maybe}
	case c.maybe == nil:
		return loopEnd{stop: true, result: c}
	}
	return loopEnd{result: c, maybe: c.maybe}
}

// execLoop runs `for of` and `for in` over what is known. How often any other
// loop turns is not evaluated.
func (m *Machine) execLoop(st js.IStmt, s *scope) completion {
	var body js.IStmt
	inner := s.inner()
	switch st := st.(type) {
	case *js.ForOfStmt:
		v := m.eval(st.Value, s)
		if st.Await {
			v = m.await(v)
		}
		elems, rest := m.iterate(v, m.at(st.Value, s))
		for i := range elems {
			if st.Await {
				elems[i] = m.await(elems[i])
			}
		}
		return m.forEach(st.Init, st.Body, s, elems, rest)
	case *js.ForInStmt:
		names, rest := m.keysOf(m.eval(st.Value, s), m.at(st.Value, s))
		return m.forEach(st.Init, st.Body, s, names, rest)
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
	default:
		return completion{}
	}
	return m.turnUnknown(
		m.unknown("how often a loop turns is not evaluated", m.at(firstOf(statements(body)), s)),
		func() completion { return m.exec(body, inner) },
	)
}

func statements(st js.IStmt) []js.IStmt {
	if b, ok := st.(*js.BlockStmt); ok {
		return b.List
	}
	return []js.IStmt{st}
}

// continueLoop runs the turns that follow one which may have been the last.
func (m *Machine) continueLoop(end loopEnd, rest func() completion) completion {
	c := end.result
	if c.kind == normal {
		// The loop's own end, as a break out of nothing.
		c = completion{kind: breaks, maybe: end.maybe}
	}
	c = m.continueAfter(c, rest)
	if c.kind == breaks {
		return completion{}
	}
	return c
}

// turnUnknown is a loop that may turn any number of times: what one turn
// changes is unknown.
func (m *Machine) turnUnknown(u *Unknown, body func() completion) completion {
	return afterTurn(m.fork(u, body, func() completion { return completion{} })).result
}

func (m *Machine) forEach(init js.IExpr, block *js.BlockStmt, s *scope, elems []Value, rest *Unknown) completion {
	turn := func(v Value) completion {
		inner := s.inner()
		if d, ok := init.(*js.VarDecl); ok && len(d.List) > 0 {
			m.bind(d.List[0].Binding, v, inner, d.TokenType != js.VarToken)
		} else {
			m.assign(init, v, s)
		}
		return m.execList(block.List, inner)
	}
	for i, v := range elems {
		m.step()
		end := afterTurn(turn(v))
		if end.stop {
			return end.result
		}
		if end.maybe != nil {
			return m.continueLoop(end, func() completion { return m.forEach(init, block, s, elems[i+1:], rest) })
		}
	}
	if rest == nil {
		return completion{}
	}
	// The further elements: those that there may be, and one more of which
	// nothing is known.
	for _, v := range append(append([]Value(nil), rest.May...), rest.with(nil)) {
		if c := m.turnUnknown(rest, func() completion { return turn(v) }); c.kind != normal {
			return c
		}
	}
	return completion{}
}

// keysOf are the names of a value's own properties.
func (m *Machine) keysOf(v Value, at Place) ([]Value, *Unknown) {
	var all []Value
	switch o := v.(type) {
	case *Object:
		for _, k := range o.Keys() {
			all = append(all, k)
		}
		return all, o.Rest
	case *Namespace:
		m.evaluate(o.module)
		names, rest := m.exportNames(o.module)
		for _, k := range names {
			all = append(all, k)
		}
		return all, rest
	case *Array:
		for i := range o.Elems {
			all = append(all, strconv.Itoa(i))
		}
		return all, o.Rest
	case *Func:
		if o.props != nil {
			for _, k := range o.props.Keys() {
				all = append(all, k)
			}
		}
		return all, nil
	case *Unknown:
		m.unknowns++
		return nil, o.with(nil)
	}
	return nil, nil
}
