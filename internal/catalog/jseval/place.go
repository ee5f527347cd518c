package jseval

import "github.com/joelhooks/gh-sbw/internal/catalog/source"

// at is the place of a node.
func (m *Machine) at(n any, s *scope) Place {
	mod := s.frame.source
	var after []byte
	if m.lastIn == mod {
		after = m.lastToken
	}
	statement := m.statement
	if m.statementIn != mod {
		statement = nil
	}
	p, exact := source.PlaceOf(n, statement, mod, after)
	if exact {
		m.lastToken, m.lastIn = p.Token, mod
	}
	return p
}

// enterStatement notes the statement that is run; the result undoes it.
func (m *Machine) enterStatement(st any, in *source.Module) func() {
	oldStatement, oldIn := m.statement, m.statementIn
	m.statement, m.statementIn = st, in
	return func() { m.statement, m.statementIn = oldStatement, oldIn }
}
