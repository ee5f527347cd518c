package source

import "github.com/tdewolff/parse/v2/js"

// The parser keeps no positions, but its tokens are slices of the text. All
// uses of a variable share one node, though, whose token is that of the first
// use: a place is taken from a variable only where nothing else is at hand.

// Place is where something is written.
type Place struct {
	Module *Module
	Token  []byte
	// Name is what is called, where the call has no token of its own: it is
	// looked for after the token After.
	Name  string
	After []byte
}

// File is the file's name relative to the root; empty for no place.
func (p Place) File() string {
	if p.Module == nil {
		return ""
	}
	return p.Module.Rel
}

// Line counts from 1; it is 0 for no place.
func (p Place) Line() int {
	switch {
	case p.Module == nil:
		return 0
	case p.Token == nil && p.Name != "":
		return p.Module.Line(p.Module.Find(p.After, p.Name+"("))
	}
	return p.Module.Line(p.Token)
}

// Key returns a value that differs between places.
func (p Place) Key() [2]any {
	if len(p.Token) == 0 {
		return [2]any{p.Module, nil}
	}
	return [2]any{p.Module, &p.Token[0]}
}

// ClassPlace is the place of a class.
func ClassPlace(d *js.ClassDecl, in *Module) Place {
	text := "class "
	if d.Name != nil {
		text += string(d.Name.Data)
	}
	return Place{Module: in, Token: in.Find(nil, text)}
}

// PlaceOf is the place of a node in a statement, which may be nil. after is a
// token that stands before it. exact says that the node has a token.
func PlaceOf(n, statement any, in *Module, after []byte) (p Place, exact bool) {
	if t := FirstToken(n); t != nil {
		return Place{Module: in, Token: t}, true
	}
	p = Place{Module: in, After: after}
	t := statementToken(statement)
	var callee any
	switch n := n.(type) {
	case *js.CallExpr:
		callee = n.X
	case *js.NewExpr:
		callee = n.X
	}
	v, named := callee.(*js.Var)
	switch {
	case named:
		p.Name = string(v.Name())
		if t != nil {
			p.After = t
		}
	case t != nil:
		p.Token = t
	default:
		if v, ok := n.(*js.Var); ok {
			p.Token = v.Data
		}
	}
	return p, false
}

// FirstToken is the first token of a node that is this node's own, or nil.
func FirstToken(n any) []byte { return firstToken(n, 0) }

// maxLook bounds how deep a token is looked for.
const maxLook = 16

func firstToken(n any, depth int) []byte {
	switch e := n.(type) {
	case *js.LiteralExpr:
		if e.TokenType != js.ImportToken {
			return e.Data
		}
	case js.LiteralExpr:
		return e.Data
	case *js.TemplateExpr:
		if len(e.List) > 0 {
			return e.List[0].Value
		}
		return e.Tail
	case *js.ObjectExpr:
		for _, p := range e.List {
			if p.Name != nil && p.Name.Computed == nil && len(p.Name.Literal.Data) > 0 {
				return p.Name.Literal.Data
			}
			if depth < maxLook {
				if t := firstToken(p.Value, depth+1); t != nil {
					return t
				}
			}
		}
	}
	if depth > maxLook {
		return nil
	}
	for _, inner := range operands(n) {
		if t := firstToken(inner, depth+1); t != nil {
			return t
		}
	}
	return nil
}

// operands are the expressions that an expression is made of, in the order of
// the text.
func operands(n any) []any {
	arguments := func(callee js.IExpr, args *js.Args) []any {
		all := []any{callee}
		if args != nil {
			for _, a := range args.List {
				all = append(all, a.Value)
			}
		}
		return all
	}
	switch e := n.(type) {
	case *js.DotExpr:
		return []any{e.X, e.Y}
	case *js.IndexExpr:
		return []any{e.X, e.Y}
	case *js.CallExpr:
		return arguments(e.X, &e.Args)
	case *js.NewExpr:
		return arguments(e.X, e.Args)
	case *js.GroupExpr:
		return []any{e.X}
	case *js.UnaryExpr:
		return []any{e.X}
	case *js.BinaryExpr:
		return []any{e.X, e.Y}
	case *js.CondExpr:
		return []any{e.Cond, e.X, e.Y}
	case *js.ArrayExpr:
		var all []any
		for _, el := range e.List {
			all = append(all, el.Value)
		}
		return all
	}
	return nil
}

// statementToken places a statement.
func statementToken(st any) []byte {
	switch st := st.(type) {
	case *js.ExprStmt:
		return FirstToken(st.Value)
	case *js.ReturnStmt:
		return FirstToken(st.Value)
	case *js.ThrowStmt:
		return FirstToken(st.Value)
	case *js.VarDecl:
		if len(st.List) > 0 {
			return statementToken(st.List[0])
		}
	case js.BindingElement:
		if v, ok := st.Binding.(*js.Var); ok {
			return v.Data
		}
		return FirstToken(st.Default)
	}
	return nil
}
