package source

import (
	"bytes"

	"github.com/tdewolff/parse/v2/js"
)

// Occurrence is a name in a text that is not a part of a longer name, a property,
// or in a string or comment.
type Occurrence struct {
	Name []byte
	// After is the text that follows it.
	After []byte
	Line  int // from 1, in the text
}

// Occurrences visits the wanted names in the text of a function's body, until
// visit returns false. It reports whether it got to the end, which it does not in
// a text whose brackets do not match.
func Occurrences(text []byte, wanted func(name []byte) bool, visit func(Occurrence) bool) bool {
	l := &lexer{src: text, line: 1, levels: []level{{}}}
	dots := 0 // before the token: one is a property's, three are a spread's
	for l.pos < len(text) {
		start := l.pos
		l.next()
		c := text[start]
		switch {
		case c == '.':
			dots++
		case isWordByte(c):
			name := text[start:l.pos]
			if dots != 1 && wanted(name) && !visit(Occurrence{Name: name, After: text[l.pos:], Line: l.line}) {
				return false
			}
			dots = 0
		case bytes.IndexByte([]byte(" \t\r\n"), c) < 0 && !isComment(text[start:]):
			dots = 0
		}
	}
	return len(l.levels) == 1
}

func isComment(text []byte) bool {
	return bytes.HasPrefix(text, []byte("//")) || bytes.HasPrefix(text, []byte("/*"))
}

// Unparsed returns the text of a function's body if it was left out when m was
// parsed, and nil otherwise.
func (m *Module) Unparsed(list []js.IStmt) []byte {
	if b := m.elided(list); b != nil {
		return b.text
	}
	return nil
}
