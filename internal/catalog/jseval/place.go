package jseval

import (
	"github.com/tdewolff/parse/v2/js"

	"github.com/joelhooks/gh-sbw/internal/catalog/source"
)

// The parser keeps no positions, but its tokens are slices of the text. All
// uses of a variable share one node, though, whose token is that of the first
// use: a place is taken from a variable only where nothing else is at hand.

// at is the place of a node.
func (m *Machine) at(n any, s *scope) Place {
	mod := s.frame.source
	if t := exactToken(n, 0); t != nil {
		m.lastToken, m.lastIn = t, mod
		return Place{module: mod, token: t}
	}
	p := Place{module: mod}
	if m.lastIn == mod {
		p.after = m.lastToken
	}
	var callee any
	switch n := n.(type) {
	case *js.CallExpr:
		callee = n.X
	case *js.NewExpr:
		callee = n.X
	}
	var statement []byte
	if m.statement != nil && m.statementIn == mod {
		statement = statementToken(m.statement)
	}
	if v, ok := callee.(*js.Var); ok {
		p.name = string(v.Name())
		if statement != nil {
			p.after = statement
		}
		return p
	}
	if statement != nil {
		return Place{module: mod, token: statement}
	}
	if v, ok := n.(*js.Var); ok {
		p.token = v.Data
	}
	return p
}

// enterStatement notes the statement that is run; the result undoes it.
func (m *Machine) enterStatement(st any, in *source.Module) func() {
	oldStatement, oldIn := m.statement, m.statementIn
	m.statement, m.statementIn = st, in
	return func() { m.statement, m.statementIn = oldStatement, oldIn }
}

// exactToken is the first token of a node that is this node's own.
func exactToken(n any, depth int) []byte {
	if depth > 16 {
		return nil
	}
	first := func(nodes ...any) []byte {
		for _, n := range nodes {
			if t := exactToken(n, depth+1); t != nil {
				return t
			}
		}
		return nil
	}
	switch e := n.(type) {
	case *js.LiteralExpr:
		if e.TokenType != js.ImportToken {
			return e.Data
		}
	case js.LiteralExpr:
		return e.Data
	case *js.DotExpr:
		return first(e.X, e.Y)
	case *js.IndexExpr:
		return first(e.X, e.Y)
	case *js.CallExpr:
		if t := first(e.X); t != nil {
			return t
		}
		for _, a := range e.Args.List {
			if t := first(a.Value); t != nil {
				return t
			}
		}
	case *js.NewExpr:
		if t := first(e.X); t != nil || e.Args == nil {
			return t
		}
		for _, a := range e.Args.List {
			if t := first(a.Value); t != nil {
				return t
			}
		}
	case *js.GroupExpr:
		return first(e.X)
	case *js.UnaryExpr:
		return first(e.X)
	case *js.BinaryExpr:
		return first(e.X, e.Y)
	case *js.CondExpr:
		return first(e.Cond, e.X, e.Y)
	case *js.TemplateExpr:
		if len(e.List) > 0 {
			return e.List[0].Value
		}
		return e.Tail
	case *js.ArrayExpr:
		for _, el := range e.List {
			if t := first(el.Value); t != nil {
				return t
			}
		}
	case *js.ObjectExpr:
		for _, p := range e.List {
			if p.Name != nil && p.Name.Computed == nil && len(p.Name.Literal.Data) > 0 {
				return p.Name.Literal.Data
			}
			if t := first(p.Value); t != nil {
				return t
			}
		}
	}
	return nil
}

// statementToken places a statement.
func statementToken(st any) []byte {
	switch st := st.(type) {
	case *js.ExprStmt:
		return exactToken(st.Value, 0)
	case *js.ReturnStmt:
		return exactToken(st.Value, 0)
	case *js.ThrowStmt:
		return exactToken(st.Value, 0)
	case *js.VarDecl:
		if len(st.List) > 0 {
			return statementToken(st.List[0])
		}
	case js.BindingElement:
		if v, ok := st.Binding.(*js.Var); ok {
			return v.Data
		}
		return exactToken(st.Default, 0)
	}
	return nil
}
