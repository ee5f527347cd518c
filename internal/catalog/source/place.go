package source

import "github.com/tdewolff/parse/v2/js"

// The parser does not store positions, but its tokens are slices of the text.
// All uses of a variable share one node, however, whose token is that of the
// first use. So the place of a variable is used only if there is no other
// token.

// Place is a position in a source file.
type Place struct {
	Module *Module
	Token  []byte
	// Name is a name in the text, for nodes without a token. It is searched
	// for after the token After; if it is not found, After is the place.
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
	case p.Token != nil:
	case p.Name != "":
		if found := p.Module.findWord(p.After, p.Name); found != nil {
			return p.Module.Line(found)
		}
		fallthrough
	default:
		return p.Module.Line(p.After)
	}
	return p.Module.Line(p.Token)
}

// Key returns a value that identifies the place.
func (p Place) Key() [2]any {
	if len(p.Token) == 0 {
		return [2]any{p.Module, nil}
	}
	return [2]any{p.Module, &p.Token[0]}
}

// ClassPlace returns the place of a class.
func ClassPlace(d *js.ClassDecl, in *Module) Place {
	text := "class "
	if d.Name != nil {
		text += string(d.Name.Data)
	}
	return Place{Module: in, Token: in.Find(nil, text)}
}

// PlaceOf returns the place of a node in a statement, which may be nil. after
// is a token that precedes it. exact means that the node has a token.
func PlaceOf(n, statement any, in *Module, after []byte) (p Place, exact bool) {
	if t := FirstToken(n); t != nil {
		return Place{Module: in, Token: t}, true
	}
	p = Place{Module: in, After: after}
	t := FirstToken(statement)
	var callee any
	switch n := n.(type) {
	case *js.CallExpr:
		callee = n.X
	case *js.NewExpr:
		callee = n.X
	}
	if v, ok := callee.(*js.Var); ok {
		p.Name = string(v.Name()) + "("
		if t != nil {
			p.After = t
		}
		return p, false
	}
	if t != nil {
		p.Token = t
		return p, false
	}
	p.Name = firstName(n, 0)
	return p, false
}

// firstName returns the first name in a node, or "".
func firstName(n any, depth int) string {
	if v, ok := n.(*js.Var); ok && v != nil {
		return string(v.Name())
	}
	if depth < maxLook {
		for _, inner := range operands(n) {
			if name := firstName(inner, depth+1); name != "" {
				return name
			}
		}
	}
	return ""
}

// Placer finds places of nodes while a program is being run: a node without a
// token is placed by the statement around it, or by what was placed last.
type Placer struct {
	statement   any
	statementIn *Module
	last        []byte // the token of the last exact place, and its module
	lastIn      *Module
}

// At returns the place of a node of a module.
func (r *Placer) At(n any, in *Module) Place {
	var after []byte
	if r.lastIn == in {
		after = r.last
	}
	statement := r.statement
	if r.statementIn != in {
		statement = nil
	}
	p, exact := PlaceOf(n, statement, in, after)
	if exact {
		r.last, r.lastIn = p.Token, in
	}
	return p
}

// Enter records the statement that is being run. Calling the result restores
// the previous one.
func (r *Placer) Enter(st any, in *Module) func() {
	oldStatement, oldIn := r.statement, r.statementIn
	r.statement, r.statementIn = st, in
	return func() { r.statement, r.statementIn = oldStatement, oldIn }
}

// FirstToken returns the first token that belongs to a node, or nil.
func FirstToken(n any) []byte { return firstToken(n, 0) }

// maxLook limits the depth of the search for a token.
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
	case js.BindingElement: // a declared name is not used before its declaration
		if v, ok := e.Binding.(*js.Var); ok {
			return v.Data
		}
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

// operands returns the parts of a node in the order of the text.
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
	return statementParts(n)
}

// statementParts returns the first parts of a statement or a declaration.
func statementParts(st any) []any {
	switch st := st.(type) {
	case *js.ExprStmt:
		return []any{st.Value}
	case *js.ReturnStmt:
		return []any{st.Value}
	case *js.ThrowStmt:
		return []any{st.Value}
	case *js.IfStmt:
		return []any{st.Cond, st.Body}
	case *js.ForStmt:
		return []any{st.Init, st.Cond, st.Body}
	case *js.ForOfStmt:
		return []any{st.Value, st.Body}
	case *js.WhileStmt:
		return []any{st.Cond, st.Body}
	case *js.SwitchStmt:
		all := []any{st.Init}
		for _, c := range st.List {
			all = append(all, c.Cond)
		}
		return all
	case *js.TryStmt:
		return []any{st.Body}
	case *js.LabelledStmt:
		return []any{st.Value}
	case *js.BlockStmt:
		if len(st.List) > 0 {
			return []any{st.List[0]}
		}
	case *js.VarDecl:
		if len(st.List) > 0 {
			return []any{st.List[0]}
		}
	case js.BindingElement:
		return []any{st.Default}
	}
	return nil
}
