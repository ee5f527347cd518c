package source

import (
	"bytes"
	"strconv"
	"strings"
)

// Most of a worker's text consists of the bodies of its handlers, which no
// catalog needs. esbuild parses and prints about 8 MB per second. So the
// bodies of functions are left out when a module is parsed, each with a name
// in its place, and are parsed separately when the function is called
// (Module.Body).

// elidedPrefix begins the name that replaces a body. It is a statement in
// place of a body, and a property where the lexer mistook a type for a body.
const elidedPrefix = "__sbw_body_"

// minBody is the minimum length of a body that is left out.
const minBody = 160

func (l *lexer) open(bracket byte, list bool) {
	l.levels = append(l.levels, level{measure: weightBracket, bracket: bracket, list: list, class: l.top().class})
	l.sum += weightBracket
}

// opensList reports whether commas after an opening bracket separate elements,
// judging by the preceding token: arguments of a call, an array, or an object.
func (l *lexer) opensList(bracket byte) bool {
	switch bracket {
	case '[':
		return true
	case '(':
		return l.prev == tokClose || l.prev == tokWord && !isOperatorWord(l.prevWord) || l.prevByte == '>'
	}
	switch l.prev {
	case tokWord:
		switch string(l.prevWord) {
		case "import", "export", "const", "let", "var", "return", "type", "default":
			return true
		}
	case tokPunct:
		return !l.arrow && bytes.IndexByte([]byte("=(,:[?&|<"), l.prevByte) >= 0
	}
	return false
}

// brace handles a `{`, which may open a function's body.
func (l *lexer) brace() {
	top := l.top()
	body := l.arrow
	switch top.function {
	case headParams:
		body, top.function = true, headNone
	case headType:
		body = !l.inType()
		if body {
			top.function = headNone
		}
	}
	list, class := l.opensList('{'), false
	if top.header && !l.inType() {
		class, top.header = true, false
	}
	l.token(tokPunct, weightToken)
	l.prevByte = '{'
	l.open('{', list)
	top = l.top()
	top.class = top.class || class
	if body && !top.class {
		top.body, top.line = l.pos, l.line
	}
}

// inType reports whether a `{` after the previous token opens a type.
func (l *lexer) inType() bool {
	switch {
	case l.arrow:
		return true
	case l.prev == tokWord:
		switch string(l.prevWord) {
		case "extends", "keyof", "readonly", "infer", "is", "implements":
			return true
		}
		return false
	case l.prev == tokPunct:
		switch l.prevByte {
		case ':', '|', '&', '<', ',', '?', '(', '[', '=':
			return true
		}
	}
	return false
}

func (l *lexer) close() {
	template := false
	if n := len(l.levels); n > 1 {
		closed := l.levels[n-1]
		template = closed.bracket == '`'
		l.sum -= closed.measure
		l.levels = l.levels[:n-1]
		top := l.top()
		if closed.bracket == '(' && top.function == headName {
			top.function = headParams
		}
		if closed.body > 0 && !closed.keep && l.pos-1-closed.body >= minBody {
			bodies := l.out.bodies
			for len(bodies) > 0 && bodies[len(bodies)-1].from > closed.body {
				bodies = bodies[:len(bodies)-1]
			}
			l.out.bodies = append(bodies, span{closed.body, l.pos - 1, closed.line})
		}
		top.keep = top.keep || closed.keep
	}
	l.token(tokClose, weightToken)
	if template {
		l.template()
	}
}

func (l *lexer) punct(c byte) {
	l.pos++
	l.clause = l.clause && bytes.IndexByte([]byte("{},*"), c) >= 0
	switch c {
	case '{':
		l.brace()
		return
	case '(', '[':
		list := l.opensList(c)
		l.token(tokPunct, weightToken)
		l.open(c, list)
	case ')', ']', '}':
		l.close()
		return
	case ';':
		l.token(tokPunct, 0)
		l.separator()
		l.top().function, l.top().header = headNone, false
	case ',':
		if l.top().list {
			l.token(tokPunct, 0)
			l.separator()
		} else {
			l.token(tokPunct, weightComma)
		}
	case '>':
		if l.pos > 1 && l.src[l.pos-2] == '=' {
			l.token(tokPunct, weightFunction)
			l.arrow = true
		} else {
			l.token(tokPunct, weightToken)
		}
	case '<':
		l.token(tokPunct, weightLess)
	case ':':
		l.token(tokPunct, weightToken)
		if l.top().function == headParams {
			l.top().function = headType
		}
	default:
		l.token(tokPunct, weightToken)
	}
	l.prevByte = c
}

// usedName is called with the imported names that occur in bodies which are
// left out. esbuild drops TypeScript imports that seem to be unused.
const usedName = "__sbw_used_"

// uses returns a statement that uses the imports which the bodies use.
func uses(src []byte, bodies []span, imported map[string]bool) []byte {
	if len(imported) == 0 {
		return nil
	}
	used := map[string]bool{}
	var names []string
	for _, b := range bodies {
		for word := range bytes.FieldsFuncSeq(src[b.from:b.to], func(r rune) bool { return r < 0x80 && !isWordByte(byte(r)) }) {
			if name := string(word); imported[name] && !used[name] {
				used[name] = true
				names = append(names, name)
			}
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []byte("\n;" + usedName + "(" + strings.Join(names, ", ") + ");")
}

// outline returns the text without the bodies. Line numbers do not change.
func outline(src []byte, bodies []span) []byte {
	if len(bodies) == 0 || bytes.Contains(src, []byte(elidedPrefix)) {
		return src
	}
	out := make([]byte, 0, len(src)/2)
	last := 0
	for i, b := range bodies {
		out = append(out, src[last:b.from]...)
		out = append(out, elidedPrefix...)
		out = strconv.AppendInt(out, int64(i), 10)
		out = append(out, ';')
		for range bytes.Count(src[b.from:b.to], []byte{'\n'}) {
			out = append(out, '\n')
		}
		last = b.to
	}
	return append(out, src[last:]...)
}
