package jseval

import (
	"github.com/tdewolff/parse/v2/js"

	"github.com/joelhooks/gh-sbw/internal/catalog/source"
)

// completion describes how a statement ended.
type completion struct {
	kind  kind
	value Value
	// maybe, if set, means that it may instead have ended normally.
	maybe *Unknown
}

// kind orders the kinds of completion by how far they reach.
type kind byte

const (
	normal kind = iota
	continues
	breaks
	returns
)

// joinCompletions combines the completions of a fork's branches. The result is
// the one that reaches furthest, and it is certain only if all branches agree.
func (m *Machine) joinCompletions(u *Unknown, outs []completion) completion {
	joined := completion{}
	for _, c := range outs {
		joined.kind = max(joined.kind, c.kind)
	}
	var values []Value
	for _, c := range outs {
		if c.kind != joined.kind || c.maybe != nil {
			joined.maybe = u
		}
		if c.kind == joined.kind && c.value != nil {
			values = append(values, c.value)
		}
	}
	if len(values) > 0 {
		joined.value = m.join(u, values...)
	}
	return joined
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

// continueAfter runs what follows a statement that may have ended the block.
func (m *Machine) continueAfter(c completion, rest func() completion) completion {
	var after completion
	threw := true
	m.fork(c.maybe, func() completion {
		after = rest()
		threw = false
		return completion{}
	}, func() completion { return completion{} })
	ended := completion{kind: c.kind, value: c.value}
	if threw {
		return ended
	}
	return m.joinCompletions(c.maybe, []completion{ended, after})
}

// hoist declares the functions of a block.
func (m *Machine) hoist(list []js.IStmt, s *scope) {
	for _, st := range list {
		var decl any = st
		if ex, ok := st.(*js.ExportStmt); ok {
			decl = ex.Decl
		}
		if d, ok := decl.(*js.FuncDecl); ok {
			m.setCell(s.declare(declaredName(d.Name)), m.makeFunc(d, s))
		}
	}
}

func declaredName(v *js.Var) string {
	if v == nil {
		return source.DefaultLocal
	}
	return string(v.Data)
}

// hoistVars declares the `var`s of a function, at any depth.
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
	leave := m.places.Enter(st, s.frame.source)
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
		m.setCell(s.declare(declaredName(st.Name)), m.makeClass(st, s))
	case *js.BlockStmt:
		return m.execList(st.List, s.inner())
	case *js.ReturnStmt:
		return completion{kind: returns, value: m.eval(st.Value, s)}
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
		// A jump to a label is treated like one out of the innermost loop, so
		// everything that is done here may or may not happen.
		u := m.unknown("it depends on a label, which is not evaluated", m.at(st.Value, s))
		return m.perhaps(u, func() completion { return m.exec(st.Value, s) })
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
	exec := func(st js.IStmt) func() completion {
		return func() completion { return m.exec(st, s) }
	}
	return m.branch(m.eval(st.Cond, s), exec(st.Body), exec(st.Else))
}

// branch runs one of two branches, or both if the condition is unknown.
func (m *Machine) branch(cond Value, yes, no func() completion) completion {
	if u, ok := cond.(*Unknown); ok {
		return m.fork(u, yes, no)
	}
	if is, _ := Truth(cond); is {
		return yes()
	}
	return no()
}

// execTry assumes that unknown code may throw.
func (m *Machine) execTry(st *js.TryStmt, s *scope) completion {
	var c completion
	before := m.unknowns
	exception := m.try(func() { c = m.execList(st.Body.List, s.inner()) })
	if st.Catch != nil {
		handle := func(v Value) completion {
			inner := s.inner()
			if st.Binding != nil {
				m.bind(st.Binding, v, inner, true)
			}
			return m.execList(st.Catch.List, inner)
		}
		switch {
		case exception != nil:
			v := exception.value
			exception = m.try(func() { c = handle(v) })
		case m.unknowns > before && m.forked < maxForked:
			u := m.unknown("it depends on whether something throws", m.at(firstOf(st.Body.List), s))
			tried := c
			c = m.fork(u, func() completion { return tried }, func() completion { return handle(u) })
		}
	}
	if st.Finally != nil {
		if f := m.execList(st.Finally.List, s.inner()); f.kind != normal && f.maybe == nil {
			return f
		}
	}
	if exception != nil {
		panic(*exception)
	}
	return c
}

func firstOf(list []js.IStmt) any {
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

// execSwitch runs all cases as possible branches, because the choice is not
// evaluated.
func (m *Machine) execSwitch(st *js.SwitchStmt, s *scope) completion {
	m.eval(st.Init, s)
	inner := s.inner()
	cases := []func() completion{func() completion { return completion{} }}
	for i, c := range st.List {
		m.hoist(c.List, inner)
		if c.Cond == nil {
			cases = cases[1:] // running none is possible only without a default
		}
		cases = append(cases, func() completion {
			var list []js.IStmt
			for _, from := range st.List[i:] {
				list = append(list, from.List...)
			}
			if c := m.execFrom(list, inner); c.kind != breaks {
				return c
			}
			return completion{}
		})
	}
	return m.fork(m.unknown("it depends on a switch, which is not evaluated", m.at(st, s)), cases...)
}
