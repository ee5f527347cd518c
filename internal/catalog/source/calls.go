package source

import "github.com/tdewolff/parse/v2/js"

// CallSite is a call in the text of a module, whether it runs or not.
type CallSite struct {
	// Node is the node of the call, or a class that extends something.
	Node any
	// Name is the called name: the last part of a.b.name().
	Name string
	// Member means that the called function is a member of something.
	Member bool
	// Extends means that this is not a call but a class that extends Name.
	Extends bool
	// Called is the called expression.
	Called js.IExpr
	Args   js.Args
	At     Place
	// Bodies are those of the enclosing functions, the outermost first.
	Bodies []*js.BlockStmt
}

// Calls visits every call in a part of a module's syntax tree, including its
// functions and classes, and every use of a name if name is not nil. Functions
// whose bodies were left out are skipped if passOver returns true; it may be
// nil.
func (m *Module) Calls(n js.INode, passOver func(text []byte) bool, call func(CallSite), name func([]byte)) {
	js.Walk(&walker{source: m, passOver: passOver, call: call, name: name}, n)
}

// walker implements js.IVisitor.
type walker struct {
	source   *Module
	passOver func(text []byte) bool
	call     func(CallSite)
	name     func([]byte)
	set      func(Setter) // see Setters; may be nil
	around   []js.INode
	bodies   []*js.BlockStmt
}

// Enter implements js.IVisitor.
func (w *walker) Enter(n js.INode) js.IVisitor {
	w.setters(n)
	switch n := n.(type) {
	case *js.BlockStmt:
		if text := w.source.Unparsed(n.List); text != nil && w.passOver != nil && w.passOver(text) {
			return nil
		}
		src, list, err := w.source.Function(n.List)
		if err != nil || src != w.source {
			if err == nil {
				inner := *w
				inner.source, inner.around, inner.bodies = src, nil, append(w.bodies[:len(w.bodies):len(w.bodies)], n)
				for _, st := range list {
					js.Walk(&inner, st)
				}
			}
			return nil
		}
		w.bodies = append(w.bodies, n)
	case *js.CallExpr:
		w.callee(n, n.X, n.Args)
	case *js.NewExpr:
		args := js.Args{}
		if n.Args != nil {
			args = *n.Args
		}
		w.callee(n, n.X, args)
	case *js.ClassDecl:
		if n.Extends != nil {
			w.callee(n, n.Extends, js.Args{})
		}
	case *js.Var:
		if w.name != nil {
			w.name(n.Name())
		}
		return nil
	}
	w.around = append(w.around, n)
	return w
}

// Exit implements js.IVisitor.
func (w *walker) Exit(n js.INode) {
	w.around = w.around[:len(w.around)-1]
	if _, ok := n.(*js.BlockStmt); ok {
		w.bodies = w.bodies[:len(w.bodies)-1]
	}
}

func (w *walker) callee(node js.INode, x js.IExpr, args js.Args) {
	for {
		group, ok := x.(*js.GroupExpr)
		if !ok {
			break
		}
		x = group.X
	}
	site := CallSite{Node: node, Called: x, Args: args, Bodies: w.bodies[:len(w.bodies):len(w.bodies)]}
	switch x := x.(type) {
	case *js.Var:
		site.Name = string(x.Name())
	case *js.DotExpr:
		site.Name, site.Member = DotName(x), true
	case *js.IndexExpr:
		site.Member = true
		if lit, ok := x.Y.(*js.LiteralExpr); ok && lit.TokenType == js.StringToken {
			site.Name, _ = Unquote(lit.Data)
		}
	case *js.LiteralExpr:
		if x.TokenType != js.ImportToken {
			return
		}
		site.Name = "import"
	default:
		return
	}
	if d, ok := node.(*js.ClassDecl); ok {
		site.Extends, site.At = true, ClassPlace(d, w.source)
	} else {
		site.At = w.place(node, site.Name)
	}
	w.call(site)
}

// place finds the line of a call. If the call has no token of its own, its
// name is searched for in the text after the preceding token.
func (w *walker) place(n js.INode, name string) Place {
	if t := FirstToken(n); t != nil {
		return Place{Module: w.source, Token: t}
	}
	var from []byte
	for i := len(w.around) - 1; i >= 0 && from == nil; i-- {
		from = FirstToken(w.around[i])
	}
	return Place{Module: w.source, Token: w.source.Find(from, name+"(")}
}

// DotName returns the name after a dot.
func DotName(e *js.DotExpr) string {
	switch y := e.Y.(type) {
	case js.LiteralExpr:
		return string(y.Data)
	case *js.LiteralExpr:
		return string(y.Data)
	case *js.Var:
		return string(y.Name())
	}
	return ""
}
