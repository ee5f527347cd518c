package jseval

import (
	"github.com/tdewolff/parse/v2/js"

	"github.com/joelhooks/gh-sbw/internal/catalog/source"
)

// completion is how a statement ended.
type completion struct {
	kind  kind
	value Value
	// maybe, if set, says that it may have ended normally instead.
	maybe *Unknown
}

type kind byte

const (
	normal kind = iota
	returns
	breaks
	continues
)

// joinCompletions makes one of the completions of a fork's branches.
func (m *Machine) joinCompletions(u *Unknown, outs []completion) completion {
	var abrupt *completion
	ended := 0
	var values []Value
	for _, c := range outs {
		if c.kind == normal {
			continue
		}
		ended++
		if c.maybe != nil {
			ended-- // not for certain
		}
		switch {
		case abrupt == nil:
			abrupt = &completion{kind: c.kind}
		case c.kind == returns:
			// A return outlasts the breaks and continues it is joined with.
			abrupt.kind = returns
		}
		if c.kind == returns {
			values = append(values, c.value)
		}
	}
	if abrupt == nil {
		values = nil
		for _, c := range outs {
			values = append(values, c.value)
		}
		if values[0] == nil {
			return completion{}
		}
		return completion{value: m.join(u, values...)}
	}
	if abrupt.kind == returns {
		abrupt.value = m.join(u, values...)
	}
	if ended < len(outs) {
		abrupt.maybe = u
	}
	return *abrupt
}

// execList runs a block's statements.
func (m *Machine) execList(list []js.IStmt, s *scope) completion {
	m.hoist(list, s)
	return m.execFrom(list, s)
}

func (m *Machine) execFrom(list []js.IStmt, s *scope) completion {
	for i, st := range list {
		c := m.exec(st, s)
		switch {
		case c.kind == normal:
			continue
		case c.maybe == nil:
			return c
		}
		return m.continueAfter(c, func() completion { return m.execFrom(list[i+1:], s) })
	}
	return completion{}
}

// continueAfter runs what follows a statement that may have ended it all.
func (m *Machine) continueAfter(c completion, rest func() completion) completion {
	var after completion
	threw := true
	m.fork(c.maybe, func() completion {
		after = rest()
		threw = false
		return completion{}
	}, func() completion { return completion{} })
	switch {
	case threw:
		c.maybe = nil
		return c
	case after.kind == normal:
		return c
	case after.kind == returns && c.kind == returns:
		return completion{kind: returns, value: m.join(c.maybe, c.value, after.value), maybe: after.maybe}
	case after.kind == c.kind:
		c.maybe = after.maybe
		return c
	case after.kind == returns:
		after.maybe = c.maybe
		return after
	}
	return c
}

// hoist declares the functions of a block.
func (m *Machine) hoist(list []js.IStmt, s *scope) {
	for _, st := range list {
		if ex, ok := st.(*js.ExportStmt); ok {
			st, _ = ex.Decl.(js.IStmt)
		}
		if d, ok := st.(*js.FuncDecl); ok && d.Name != nil {
			c := s.declare(string(d.Name.Data))
			if c.value == nil || m.txn != nil {
				m.setCell(c, m.makeFunc(d, s))
			} else {
				c.value = m.makeFunc(d, s)
			}
		}
	}
}

// hoistVars declares the `var`s of a function, wherever in it they are.
func (m *Machine) hoistVars(list []js.IStmt, s *scope) {
	for _, name := range source.HoistedVars(list) {
		if c := s.declare(name); c.value == nil {
			m.setCell(c, Undefined{})
		}
	}
}

// exec runs a statement.
func (m *Machine) exec(st js.IStmt, s *scope) completion {
	m.step()
	m.depth++
	leave := m.enterStatement(st, s.frame.source)
	defer func() {
		m.depth--
		leave()
	}()
	if m.depth > maxDepth {
		m.unknowns++
		return completion{}
	}
	switch st := st.(type) {
	case *js.ExprStmt:
		m.eval(st.Value, s)
	case *js.VarDecl:
		for _, d := range st.List {
			m.declare(d, s, st.TokenType != js.VarToken)
		}
	case *js.ClassDecl:
		c := s.declare(string(st.Name.Data))
		m.setCell(c, m.makeClass(st, s))
	case *js.BlockStmt:
		return m.execList(st.List, s.inner())
	case *js.ReturnStmt:
		var v Value = Undefined{}
		if st.Value != nil {
			v = m.eval(st.Value, s)
		}
		return completion{kind: returns, value: v}
	case *js.IfStmt:
		return m.execIf(st, s)
	case *js.ThrowStmt:
		panic(thrown{m.eval(st.Value, s), m.at(st, s)})
	case *js.BranchStmt:
		if st.Type == js.BreakToken {
			return completion{kind: breaks}
		}
		return completion{kind: continues}
	case *js.LabelledStmt:
		// A jump to a label is taken for one out of the innermost loop, so that
		// whatever is done here may be done or not.
		return m.turnUnknown(
			m.unknown("it depends on a label, which is not evaluated", m.at(st.Value, s)),
			func() completion { return m.exec(st.Value, s) },
		)
	case *js.TryStmt:
		return m.execTry(st, s)
	case *js.SwitchStmt:
		return m.execSwitch(st, s)
	case *js.ForStmt, *js.ForInStmt, *js.ForOfStmt, *js.WhileStmt, *js.DoWhileStmt:
		return m.execLoop(st, s)
	}
	return completion{}
}

func (m *Machine) execIf(st *js.IfStmt, s *scope) completion {
	body := func() completion { return m.exec(st.Body, s) }
	other := func() completion {
		if st.Else == nil {
			return completion{}
		}
		return m.exec(st.Else, s)
	}
	cond := m.eval(st.Cond, s)
	if u, ok := cond.(*Unknown); ok {
		return m.fork(u, body, other)
	}
	if is, _ := truth(cond); is {
		return body()
	}
	return other()
}

func (m *Machine) execTry(st *js.TryStmt, s *scope) completion {
	var c completion
	before := m.unknowns
	exception := m.try(func() { c = m.execList(st.Body.List, s.inner()) })
	handle := func(v Value) completion {
		inner := s.inner()
		if st.Binding != nil {
			m.bind(st.Binding, v, inner, true)
		}
		return m.execList(st.Catch.List, inner)
	}
	var rethrow *thrown
	switch {
	case exception != nil && st.Catch != nil:
		rethrow = m.try(func() { c = handle(exception.value) })
	case exception != nil:
		rethrow = exception
	case m.unknowns > before && st.Catch != nil && m.forked < maxForked:
		// What is unknown may have thrown.
		u := m.unknown("it depends on whether something throws", m.at(firstOf(st.Body.List), s))
		tried := c
		rethrow = m.try(func() {
			c = m.fork(u, func() completion { return tried }, func() completion { return handle(u) })
		})
	}
	if st.Finally != nil {
		if f := m.execList(st.Finally.List, s.inner()); f.kind != normal && f.maybe == nil {
			return f
		}
	}
	if rethrow != nil {
		panic(*rethrow)
	}
	return c
}

func firstOf(list []js.IStmt) any {
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

// execSwitch takes the case that matches, or any from the first of which that
// is not known.
func (m *Machine) execSwitch(st *js.SwitchStmt, s *scope) completion {
	v := m.eval(st.Init, s)
	inner := s.inner()
	otherwise := len(st.List)
	for i, c := range st.List {
		m.hoist(c.List, inner)
		if c.Cond == nil {
			otherwise = i
		}
	}
	var unknown *Unknown
	var branches []func() completion
	for i, c := range st.List {
		if c.Cond == nil {
			continue
		}
		equal := m.operate(js.EqEqEqToken, v, m.eval(c.Cond, inner), m.at(c.Cond, s))
		u, ok := equal.(*Unknown)
		switch {
		case ok && unknown == nil:
			unknown = u
		case !ok && equal == Value(true) && unknown == nil:
			return m.runCases(st, inner, i)
		}
		if ok || equal == Value(true) {
			branches = append(branches, func() completion { return m.runCases(st, inner, i) })
		}
	}
	if unknown == nil {
		return m.runCases(st, inner, otherwise)
	}
	return m.fork(unknown, append(branches, func() completion { return m.runCases(st, inner, otherwise) })...)
}

func (m *Machine) runCases(st *js.SwitchStmt, s *scope, from int) completion {
	var list []js.IStmt
	for i := from; i < len(st.List); i++ {
		list = append(list, st.List[i].List...)
	}
	c := m.execFrom(list, s)
	if c.kind == breaks {
		return completion{}
	}
	return c
}
