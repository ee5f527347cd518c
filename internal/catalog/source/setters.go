package source

import "github.com/tdewolff/parse/v2/js"

// Setter is a place that sets a property of an object: an assignment, a member
// of a class, or a property in an object literal or in Object.defineProperty.
type Setter struct {
	Name string
	At   Place
	// Foreign means that the object is created elsewhere.
	Foreign bool
}

// Setters visits the setters in a module, including its functions and classes.
// Functions are skipped as in Calls.
func (m *Module) Setters(passOver func(text []byte) bool, visit func(Setter)) {
	for _, st := range m.Body {
		js.Walk(&walker{source: m, passOver: passOver, call: func(CallSite) {}, set: visit}, st)
	}
}

// setters visits the setters that are the node itself.
func (w *walker) setters(n js.INode) {
	if w.set == nil {
		return
	}
	add := func(name string, token []byte, foreign bool) {
		w.set(Setter{Name: name, At: Place{Module: w.source, Token: token}, Foreign: foreign})
	}
	named := func(name *js.PropertyName) {
		if name != nil && name.IsSet() {
			token, text := propertyName(*name)
			add(text, token, false)
		}
	}
	switch n := n.(type) {
	case *js.ClassDecl:
		for i := range n.List {
			if n.List[i].Method == nil && n.List[i].StaticBlock == nil {
				named(&n.List[i].Name.PropertyName)
			}
		}
	case *js.MethodDecl:
		named(&n.Name.PropertyName)
	case *js.ObjectExpr:
		for _, p := range n.List {
			v, short := p.Value.(*js.Var)
			switch {
			case p.Name != nil:
				named(p.Name)
			case short:
				add(string(v.Name()), v.Data, false)
			}
		}
	case *js.BinaryExpr:
		if n.Op == js.EqToken {
			w.assigned(n.X, add)
		}
	case *js.CallExpr:
		if d, ok := n.X.(*js.DotExpr); ok && DotName(d) == "defineProperty" && len(n.Args.List) > 1 {
			if text, ok := stringOf(n.Args.List[1].Value); ok {
				add(text, FirstToken(n.Args.List[1].Value), true)
			}
		}
	}
}

// assigned adds the property that an assignment sets.
func (w *walker) assigned(to js.IExpr, add func(name string, token []byte, foreign bool)) {
	foreign := func(base js.IExpr) bool {
		lit, ok := base.(*js.LiteralExpr)
		return !ok || lit.TokenType != js.ThisToken
	}
	switch x := to.(type) {
	case *js.DotExpr:
		token := FirstToken(x.Y)
		add(DotName(x), token, foreign(x.X))
	case *js.IndexExpr:
		if text, ok := stringOf(x.Y); ok {
			add(text, FirstToken(x.Y), foreign(x.X))
		}
	}
}

func propertyName(n js.PropertyName) (token []byte, text string) {
	if n.Computed != nil {
		text, _ = stringOf(n.Computed)
		return FirstToken(n.Computed), text
	}
	if n.Literal.TokenType == js.StringToken {
		text, _ = Unquote(n.Literal.Data)
		return n.Literal.Data, text
	}
	return n.Literal.Data, string(n.Literal.Data)
}

func stringOf(e js.IExpr) (string, bool) {
	lit, ok := e.(*js.LiteralExpr)
	if !ok || lit.TokenType != js.StringToken {
		return "", false
	}
	return Unquote(lit.Data)
}
