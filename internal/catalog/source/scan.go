package source

import "bytes"

// scan is what the raw text of a module shows without parsing it.
type scan struct {
	// specifiers are the modules that it imports, including types.
	specifiers []string
	// dynamic lists those specifiers that import() and require() name.
	dynamic []string
	// imported contains the words in its import clauses, including the names
	// that they bind.
	imported map[string]bool
	// mentions means that one of the wanted words occurs.
	mentions bool
	// tooDeep is the line in which the text nests more deeply than esbuild can
	// handle, or 0.
	tooDeep int
	// bodies are function bodies that can be parsed later, in their order.
	bodies []span
}

// span is the text inside a pair of braces.
type span struct{ from, to, line int }

// These are the weights and the limit of the nesting measure. The measure
// limits the depth of a recursive descent: each token since the last separator
// may have opened a level. Expensive constructs weigh more: esbuild 0.28 takes
// 0.4 s for 400 nested functions (cubic), and 2 s for 4000 times `a<` or 8000
// times `a,` outside a list (quadratic). Handwritten code stays below 500.
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

	levels []level // the open brackets, beginning with the file itself
	sum    int     // the sum of the levels' measures

	prev     tokenKind
	prevByte byte // the last punctuation character; '>' also for =>
	prevWord []byte
	arrow    bool // the previous token was =>
	clause   bool // in an import clause
	newline  bool // since the previous token
}

// level is one open bracket.
type level struct {
	measure int
	fixed   int // the part of the measure that no separator resets
	bracket byte
	list    bool // commas separate elements
	// body is the start of the inside of a function body, or 0.
	body, line int
	// keep means that something inside must be parsed with the module.
	keep bool
	// class means that it is in a class, and header that the body of a class
	// follows.
	class, header bool
	// function says how much of the head of a function has been read.
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

// scanModule reads src once. It never fails and never backtracks.
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

// token counts one token. A line break that ends a statement counts as the
// separator that is omitted.
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

// isOperatorWord reports whether an operand must follow, so that a line break
// after it does not end the statement.
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

// quoted skips a string, which ends with its line at the latest. It records
// the string if the preceding tokens make it a module specifier.
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

// reserved reports whether a word cannot be the name of a binding. An import
// clause may contain it as the name of an export.
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

// importClause records the words between `import` and the name of the module.
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

// template skips the text of a template up to its end or to `${`.
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
