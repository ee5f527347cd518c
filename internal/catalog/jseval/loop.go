package jseval

import (
	"strconv"

	"github.com/tdewolff/parse/v2/js"
)

// loopEnd says how a loop goes on after a turn.
type loopEnd struct {
	stop   bool
	result completion
	// maybe, if set, says that it may have stopped.
	maybe *Unknown
}

func afterTurn(c completion, label string) loopEnd {
	mine := c.label == "" || c.label == label
	switch {
	case c.kind == normal, c.kind == continues && mine:
		return loopEnd{}
	case c.kind == breaks && mine && c.maybe == nil:
		return loopEnd{stop: true}
	case c.kind == breaks && mine:
		return loopEnd{maybe: c.maybe}
	case c.maybe == nil:
		return loopEnd{stop: true, result: c}
	}
	return loopEnd{result: c, maybe: c.maybe}
}

func (m *Machine) execLoop(st js.IStmt, s *scope, label string) completion {
	switch st := st.(type) {
	case *js.ForOfStmt:
		v := m.eval(st.Value, s)
		if st.Await {
			v = m.await(v)
		}
		elems, rest := m.iterate(v, m.at(st.Value, s))
		if st.Await {
			for i := range elems {
				elems[i] = m.await(elems[i])
			}
		}
		return m.forEach(st.Init, st.Body, s, label, elems, rest)
	case *js.ForInStmt:
		names, rest := m.keysOf(m.eval(st.Value, s), m.at(st.Value, s))
		return m.forEach(st.Init, st.Body, s, label, names, rest)
	case *js.WhileStmt:
		return m.repeat(s, label, false, st.Cond, nil, func() completion { return m.exec(st.Body, s) })
	case *js.DoWhileStmt:
		return m.repeat(s, label, true, st.Cond, nil, func() completion { return m.exec(st.Body, s) })
	case *js.ForStmt:
		return m.execFor(st, s, label)
	}
	return completion{}
}

func (m *Machine) execFor(st *js.ForStmt, s *scope, label string) completion {
	head := s.inner()
	var names []string
	if d, ok := st.Init.(*js.VarDecl); ok {
		for _, e := range d.List {
			m.declare(e, head, d.TokenType != js.VarToken)
			if d.TokenType != js.VarToken {
				names = boundNames(e.Binding, names)
			}
		}
	} else if st.Init != nil {
		m.eval(st.Init, head)
	}
	// Each turn has bindings of its own, which closures keep.
	turn := head
	body := func() completion {
		c := m.execList(st.Body.List, turn.inner())
		next := s.inner()
		for _, n := range names {
			next.declare(n).value = turn.declare(n).value
		}
		turn = next
		return c
	}
	return m.repeatIn(func() *scope { return turn }, label, false, st.Cond, st.Post, body)
}

func (m *Machine) repeat(s *scope, label string, first bool, cond, post js.IExpr, body func() completion) completion {
	return m.repeatIn(func() *scope { return s }, label, first, cond, post, body)
}

// repeatIn is a loop over a condition; first says that the body comes first.
func (m *Machine) repeatIn(s func() *scope, label string, first bool, cond, post js.IExpr, body func() completion) completion {
	for {
		m.step()
		if !first && cond != nil {
			c := m.eval(cond, s())
			if u, ok := c.(*Unknown); ok {
				return m.turnUnknown(u, label, body)
			}
			if is, _ := truth(c); !is {
				return completion{}
			}
		}
		first = false
		end := afterTurn(body(), label)
		if end.stop {
			return end.result
		}
		if end.maybe != nil {
			return m.continueLoop(end, func() completion { return m.turnUnknown(end.maybe, label, body) })
		}
		if post != nil {
			m.eval(post, s())
		}
	}
}

// continueLoop runs the turns that follow one which may have been the last.
func (m *Machine) continueLoop(end loopEnd, rest func() completion) completion {
	c := end.result
	if c.kind == normal {
		// The loop's own end, as a break out of nothing.
		c = completion{kind: breaks, label: "\x00", maybe: end.maybe}
	}
	c = m.continueAfter(c, rest)
	if c.label == "\x00" {
		return completion{}
	}
	return c
}

// turnUnknown is a loop that may turn any number of times: what one turn
// changes is unknown.
func (m *Machine) turnUnknown(u *Unknown, label string, body func() completion) completion {
	c := m.fork(u, body, func() completion { return completion{} })
	end := afterTurn(c, label)
	return end.result
}

func (m *Machine) forEach(init js.IExpr, block *js.BlockStmt, s *scope, label string, elems []Value, rest *Unknown) completion {
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
		end := afterTurn(turn(v), label)
		if end.stop {
			return end.result
		}
		if end.maybe != nil {
			return m.continueLoop(end, func() completion { return m.forEach(init, block, s, label, elems[i+1:], rest) })
		}
	}
	if rest == nil {
		return completion{}
	}
	// The further elements: those that there may be, and one more of which
	// nothing is known.
	may := append([]Value(nil), rest.May...)
	for _, v := range may {
		c := m.turnUnknown(rest, label, func() completion { return turn(v) })
		if c.kind != normal {
			return c
		}
	}
	return m.turnUnknown(rest, label, func() completion {
		return turn(&Unknown{Why: rest.Why, At: rest.At, Marked: rest.Marked})
	})
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
		return nil, &Unknown{Why: o.Why, At: o.At, Marked: o.Marked}
	}
	return nil, nil
}
