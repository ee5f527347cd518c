package jseval

import "github.com/joelhooks/gh-sbw/internal/catalog/source"

// at returns the place of a node.
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

// enterStatement records the statement that is being run. Calling the result
// restores the previous one.
func (m *Machine) enterStatement(st any, in *source.Module) func() {
	oldStatement, oldIn := m.statement, m.statementIn
	m.statement, m.statementIn = st, in
	return func() { m.statement, m.statementIn = oldStatement, oldIn }
}
