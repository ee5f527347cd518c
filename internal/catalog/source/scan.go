package source

import "bytes"

// scan is what can be seen in the raw text of a module without parsing it.
type scan struct {
	// specifiers are the modules it imports, types included.
	specifiers []string
	// dynamic are those of them that import() and require() name.
	dynamic []string
	// imported are the words of its import clauses, the names that it binds
	// among them.
	imported map[string]bool
	// mentions says that one of the wanted words occurs.
	mentions bool
	// tooDeep is the line where the text nests deeper than esbuild survives,
	// or 0.
	tooDeep int
	// bodies are function bodies that can be parsed later, in order.
	bodies []span
}

// span is the inside of a pair of braces.
type span struct{ from, to, line int }

// Weights and the limit of the nesting measure. The measure bounds how deep a
// recursive descent goes: each token since the last separator may have opened
// a level. What is costly weighs more: esbuild 0.28 takes 0.4 s over 400 nested
// functions (cubic), 2 s over 4000 times `a<` and over 8000 times `a,` outside
// of a list (quadratic). Written code stays below 500.
const (
	nestingLimit   = 8192
	weightToken    = 1
	weightComma    = 4
	weightLess     = 4
	weightElse     = 8 // no separator ends it
	weightBracket  = 16
	weightFunction = 32
)

type lexer struct {
	src   []byte
	pos   int
	line  int
	words [][]byte
	out   scan

	levels []level // the open brackets, the file itself first
	sum    int     // of the levels' measures

	prev     tokenKind
	prevByte byte // of punctuation; '>' also for =>
	prevWord []byte
	arrow    bool // the previous token was =>
	clause   bool // in an import clause
	newline  bool // since the previous token
}

// level is one open bracket.
type level struct {
	measure int
	fixed   int // of the measure, what no separator takes away
	bracket byte
	list    bool // commas separate elements
	// body is where the inside of a function body starts, or 0.
	body, line int
	// keep says that something inside must be parsed with the module.
	keep bool
	// class says that it is in a class; header, that a class's body follows.
	class, header bool
	// function is how far the head of a function is.
	function head
}

type head byte

const (
	headNone   head = iota
	headName        // after `function`
	headParams      // after its parameters
	headType        // in its return type
)

type tokenKind byte

const (
	tokNone tokenKind = iota
	tokWord
	tokOperand // number, string, template, regular expression
	tokClose   // ) ] }
	tokPunct
)

// scanModule reads src once; it never fails and never backtracks.
func scanModule(src []byte, words [][]byte) scan {
	l := &lexer{src: src, line: 1, words: words, levels: []level{{}}}
	for l.pos < len(src) {
		l.next()
		if l.sum > nestingLimit {
			l.out.tooDeep = l.line
			break
		}
	}
	return l.out
}

func (l *lexer) next() {
	c := l.src[l.pos]
	switch {
	case c == '\n':
		l.line++
		l.newline = true
		l.pos++
	case c == ' ' || c == '\t' || c == '\r':
		l.pos++
	case c == '/' && l.at(1) == '/':
		l.pos = l.lineEnd()
	case c == '/' && l.at(1) == '*':
		l.skipTo("*/", 2)
	case isWordByte(c):
		l.word()
	case c == '"' || c == '\'':
		l.quoted(c)
	case c == '`':
		l.pos++
		l.template()
	case c == '/' && l.regexpMayStart():
		l.regexp()
	default:
		l.punct(c)
	}
}

func (l *lexer) at(n int) byte {
	if l.pos+n < len(l.src) {
		return l.src[l.pos+n]
	}
	return 0
}

func (l *lexer) lineEnd() int {
	if i := bytes.IndexByte(l.src[l.pos:], '\n'); i >= 0 {
		return l.pos + i
	}
	return len(l.src)
}

func (l *lexer) skipTo(end string, from int) {
	rest := l.src[min(l.pos+from, len(l.src)):]
	i := bytes.Index(rest, []byte(end))
	n := len(rest)
	if i >= 0 {
		n = i + len(end)
	}
	l.line += bytes.Count(rest[:n], []byte{'\n'})
	l.pos = len(l.src) - len(rest) + n
}

func isWordByte(c byte) bool {
	return c == '_' || c == '$' || c == '#' || c == '@' || c >= 0x80 || '0' <= c && c <= '9' ||
		'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// token counts one token. A new line that ends a statement by itself counts
// as the separator that is not written.
func (l *lexer) token(kind tokenKind, weight int) {
	if l.newline && kind == tokWord && (l.prev == tokOperand || l.prev == tokClose || l.prev == tokWord && !isOperatorWord(l.prevWord)) {
		l.separator()
	}
	l.newline, l.arrow = false, false
	l.prev, l.prevWord, l.prevByte = kind, nil, 0
	l.top().measure += weight
	l.sum += weight
}

func (l *lexer) top() *level { return &l.levels[len(l.levels)-1] }

func (l *lexer) separator() {
	top := l.top()
	l.sum -= top.measure - top.fixed
	top.measure = top.fixed
}

// isOperatorWord reports whether an operand must follow, so that a new line
// after it ends nothing.
func isOperatorWord(w []byte) bool {
	switch string(w) {
	case "new", "typeof", "void", "delete", "await", "yield", "in", "of", "instanceof", "return", "throw",
		"else", "do", "case", "extends", "keyof", "readonly", "async", "as", "satisfies", "is", "infer", "unique":
		return true
	}
	return false
}

func (l *lexer) word() {
	start := l.pos
	for l.pos < len(l.src) && isWordByte(l.src[l.pos]) {
		l.pos++
	}
	w := l.src[start:l.pos]
	property := l.prev == tokPunct && l.prevByte == '.'
	weight := weightToken
	switch {
	case property:
	case string(w) == "function":
		weight = weightFunction
	case string(w) == "class":
		weight = weightFunction
	}
	l.token(tokWord, weight)
	l.prevWord = w
	top := l.top()
	l.importClause(w, property)
	switch {
	case property:
	case string(w) == "function":
		top.function = headName
	case string(w) == "class":
		top.header = true
	case string(w) == "super":
		top.keep = true
	case string(w) == "else":
		top.fixed += weightElse
		top.measure += weightElse
		l.sum += weightElse
	}
	if w[0] == '#' {
		top.keep = true
	}
	for _, want := range l.words {
		if bytes.Equal(w, want) {
			l.out.mentions, top.keep = true, true
		}
	}
}

// quoted passes over a string, which ends with its line at the latest, and
// keeps it if what stands before makes it a module specifier.
func (l *lexer) quoted(quote byte) {
	importing, dynamic := l.specifierFollows()
	l.clause = false
	start := l.pos + 1
	l.pos++
	for l.pos < len(l.src) && l.src[l.pos] != quote && l.src[l.pos] != '\n' {
		if l.src[l.pos] == '\\' {
			l.pos++
		}
		l.pos++
	}
	end := min(l.pos, len(l.src))
	l.pos = min(l.pos+1, len(l.src))
	if end < len(l.src) && l.src[end] == '\n' {
		l.pos = end
	}
	l.token(tokOperand, weightToken)
	if importing && end > start {
		spec := string(l.src[start:end])
		l.out.specifiers = append(l.out.specifiers, spec)
		if dynamic {
			l.out.dynamic = append(l.out.dynamic, spec)
		}
	}
}

// specifierFollows: from "x", import "x", import("x"), require("x").
func (l *lexer) specifierFollows() (importing, dynamic bool) {
	if l.prev == tokWord {
		return string(l.prevWord) == "from" || string(l.prevWord) == "import", false
	}
	if l.prev != tokPunct || l.pos == 0 {
		return false, false
	}
	before := bytes.TrimRight(l.src[:l.pos], " \t\r\n")
	before, paren := bytes.CutSuffix(before, []byte{'('})
	before = bytes.TrimRight(before, " \t\r\n")
	dynamic = paren && (bytes.HasSuffix(before, []byte("import")) || bytes.HasSuffix(before, []byte("require")))
	return dynamic, dynamic
}

// reserved reports whether a word cannot be the name of a binding; an import
// clause may have it as the name of an export.
func reserved(w []byte) bool {
	switch string(w) {
	case "as", "from", "type", "default", "break", "case", "catch", "class", "const", "continue", "debugger", "delete", "do",
		"else", "enum", "export", "extends", "false", "finally", "for", "function", "if", "import", "in", "instanceof", "new",
		"null", "return", "super", "switch", "this", "throw", "true", "try", "typeof", "var", "void", "while", "with", "let",
		"static", "yield", "await", "async", "implements", "interface", "package", "private", "protected", "public":
		return true
	}
	return false
}

// importClause keeps the words between `import` and the module's name.
func (l *lexer) importClause(w []byte, property bool) {
	switch {
	case property:
	case string(w) == "import":
		l.clause = true
	case l.clause && !reserved(w):
		if l.out.imported == nil {
			l.out.imported = map[string]bool{}
		}
		l.out.imported[string(w)] = true
	}
}

// template passes over template text up to its end or to `${`.
func (l *lexer) template() {
	for l.pos < len(l.src) {
		switch c := l.src[l.pos]; {
		case c == '\\':
			l.pos += 2
		case c == '\n':
			l.line++
			l.pos++
		case c == '`':
			l.pos++
			l.token(tokOperand, weightToken)
			return
		case c == '$' && l.at(1) == '{':
			l.pos += 2
			l.token(tokPunct, weightToken)
			l.open('`', false)
			return
		default:
			l.pos++
		}
	}
}

func (l *lexer) regexpMayStart() bool {
	switch l.prev {
	case tokOperand, tokClose:
		return false
	case tokWord:
		return isOperatorWord(l.prevWord)
	}
	return true
}

func (l *lexer) regexp() {
	inClass := false
	for l.pos++; l.pos < len(l.src); l.pos++ {
		switch c := l.src[l.pos]; {
		case c == '\n':
			l.token(tokOperand, weightToken)
			return
		case c == '\\':
			l.pos++
		case c == '[':
			inClass = true
		case c == ']':
			inClass = false
		case c == '/' && !inClass:
			l.pos++
			l.token(tokOperand, weightToken)
			return
		}
	}
}
