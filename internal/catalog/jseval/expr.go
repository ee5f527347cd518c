package jseval

import (
	"slices"
	"strings"

	"github.com/tdewolff/parse/v2/js"

	"github.com/joelhooks/gh-sbw/internal/catalog/source"
)

func (m *Machine) unknown(why string, at Place) *Unknown {
	m.unknowns++
	return &Unknown{Why: why, At: at}
}

// eval evaluates an expression.
func (m *Machine) eval(e js.IExpr, s *scope) Value {
	m.step()
	m.depth++
	if m.depth > maxDepth {
		m.depth--
		return m.unknown("its expressions nest too deeply", m.at(e, s))
	}
	v := m.evalNode(e, s)
	m.depth--
	return v
}

func (m *Machine) evalNode(e js.IExpr, s *scope) Value {
	switch e := e.(type) {
	case *js.Var:
		return m.readVar(e, s)
	case *js.LiteralExpr:
		return m.literal(e, s)
	case *js.GroupExpr:
		return m.eval(e.X, s)
	case *js.TemplateExpr:
		return m.template(e, s)
	case *js.ArrayExpr:
		return m.arrayLiteral(e, s)
	case *js.ObjectExpr:
		return m.objectLiteral(e, s)
	case *js.ArrowFunc:
		return m.newFunc(&Func{Params: &e.Params, body: &e.Body, scope: s, async: e.Async})
	case *js.FuncDecl:
		return m.makeFunc(e, s)
	case *js.ClassDecl:
		return m.makeClass(e, s)
	case *js.DotExpr, *js.IndexExpr, *js.CallExpr:
		v, _, _ := m.chain(e, s)
		return v
	case *js.NewExpr:
		return m.evalNew(e, s)
	case *js.UnaryExpr:
		return m.unary(e, s)
	case *js.BinaryExpr:
		return m.binary(e, s)
	case *js.CondExpr:
		return m.conditional(e, s)
	case *js.CommaExpr:
		return m.sequence(e, s)
	case *js.ImportMetaExpr:
		return m.importMeta(s)
	case nil:
		return Undefined{}
	}
	u := m.unknown("its syntax is not evaluated", m.at(e, s))
	u.From = &Code{scope: s, Source: s.frame.source, Node: e}
	return u
}

func (m *Machine) sequence(e *js.CommaExpr, s *scope) Value {
	var last Value = Undefined{}
	for _, x := range e.List {
		last = m.eval(x, s)
	}
	return last
}

func (m *Machine) conditional(e *js.CondExpr, s *scope) Value {
	value := func(e js.IExpr) func() completion {
		return func() completion { return completion{value: m.eval(e, s)} }
	}
	return m.branch(m.eval(e.Cond, s), value(e.X), value(e.Y)).value
}

// readVar reads a variable.
func (m *Machine) readVar(v *js.Var, s *scope) Value {
	name := v.Name()
	if string(name) == "__decorateClass" {
		return decorateClass
	}
	if c := s.lookup(name); c != nil {
		if c.value != nil && c.from == nil {
			return c.value
		}
		return m.readCell(c, string(name), m.at(v, s), s.frame.module)
	}
	if v, ok := m.commonJS(s.frame.module, string(name)); ok {
		return v
	}
	return m.global(string(name), m.at(v, s))
}

func (m *Machine) readCell(c *cell, name string, at Place, mod *module) Value {
	if c.from != nil {
		v, ok := m.imported(c.from.importer, c.from.spec, c.from.name, c.from.at, map[exportKey]bool{})
		if !ok {
			return m.noExport(c.from.spec, c.from.name, c.from.at)
		}
		return v
	}
	if c.value == nil {
		if mod != nil && mod.failed != nil {
			return mod.failed
		}
		return m.unknown("it is used before "+quote(name)+" is set", at)
	}
	return c.value
}

func quote(s string) string { return `"` + s + `"` }

func (m *Machine) literal(e *js.LiteralExpr, s *scope) Value {
	switch e.TokenType {
	case js.StringToken:
		if v, ok := source.Unquote(e.Data); ok {
			return v
		}
	case js.TrueToken:
		return true
	case js.FalseToken:
		return false
	case js.NullToken:
		return Null{}
	case js.ThisToken:
		return m.unknown("it depends on this, which is not evaluated", m.at(e, s))
	case js.RegExpToken:
		return m.unknown("it is a regular expression, which is not evaluated", Place{Module: s.frame.source, Token: e.Data})
	default:
		if js.IsNumeric(e.TokenType) {
			if f, ok := source.LiteralNumber(e.Data); ok {
				return f
			}
			return &Unknown{Why: "it is a BigInt, which is not evaluated", At: m.at(e, s), Primitive: true}
		}
	}
	return m.unknown("its syntax is not understood here", m.at(e, s))
}

func (m *Machine) template(e *js.TemplateExpr, s *scope) Value {
	var values []Value
	for _, p := range e.List {
		values = append(values, m.eval(p.Expr, s))
	}
	if e.Tag != nil {
		return m.taint(m.unknown("it is made by a template tag", m.at(e, s)), append(values, m.eval(e.Tag, s))...)
	}
	var b strings.Builder
	for i, p := range append(slices.Clone(e.List), js.TemplatePart{Value: e.Tail}) {
		end := len(p.Value) - len("${")
		if i == len(values) {
			end = len(p.Value) - len("`")
		}
		text, ok := source.Unescape(p.Value[min(1, end):end])
		if !ok {
			return m.unknown("its syntax is not understood here", m.at(e, s))
		}
		b.WriteString(text)
		if i < len(values) {
			v, u := m.text(values[i], m.at(e, s))
			if u != nil {
				return u
			}
			b.WriteString(v)
		}
		if b.Len() > maxText {
			return m.unknown("the text is too long", m.at(e, s))
		}
	}
	return b.String()
}

// text returns String(v), or the reason why it cannot be determined.
func (m *Machine) text(v Value, at Place) (string, *Unknown) {
	if s, ok := toString(v); ok {
		return s, nil
	}
	switch v := v.(type) {
	case *Unknown:
		m.unknowns++
		return "", &Unknown{Why: v.Why, At: v.At, Primitive: true}
	}
	return "", &Unknown{Why: "it is the text of an object", At: at, Primitive: true}
}

func (m *Machine) arrayLiteral(e *js.ArrayExpr, s *scope) Value {
	a := &Array{}
	m.born(a)
	for _, el := range e.List {
		switch {
		case el.Value == nil:
			a.Elems = append(a.Elems, Undefined{})
		case el.Spread:
			m.spread(a, m.eval(el.Value, s), m.at(el.Value, s))
		default:
			a.Elems = append(a.Elems, m.eval(el.Value, s))
		}
	}
	return a
}

// spread appends the elements of v.
func (m *Machine) spread(a *Array, v Value, at Place) {
	elems, rest := m.iterate(v, at)
	a.Elems = append(a.Elems, elems...)
	a.Rest = m.mergeRest(a.Rest, rest)
	m.clip(a, at)
}

// clip limits the length of an array.
func (m *Machine) clip(a *Array, at Place) {
	m.steps += len(a.Elems) / 16
	if len(a.Elems) > maxElems {
		a.Elems = a.Elems[:maxElems:maxElems]
		a.Rest = m.mergeRest(a.Rest, m.unknown("the list is too long", at))
	}
}

// iterate lists the values that `for of` would visit.
func (m *Machine) iterate(v Value, at Place) ([]Value, *Unknown) {
	switch v := v.(type) {
	case *Array:
		return append([]Value(nil), v.Elems...), v.Rest
	case *Unknown:
		m.unknowns++
		return nil, m.restOf(v)
	}
	return nil, m.taint(m.unknown("it iterates over something that is not a list", at), v)
}

// restOf returns the unknown further elements of a list that an unknown list
// is spread into: the elements of its candidates.
func (m *Machine) restOf(u *Unknown) *Unknown {
	rest := u.with(nil)
	for _, may := range u.May {
		if a, ok := may.(*Array); ok {
			rest.May = append(rest.May, a.Elems...)
			if a.Rest != nil {
				rest.May = append(rest.May, a.Rest.May...)
			}
		}
	}
	return rest
}
