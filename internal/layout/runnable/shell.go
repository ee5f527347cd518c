package runnable

import (
	"slices"
	"strings"
)

// This file reads only as much shell syntax as is needed to determine which
// programs a line is certain to start.

// shellWord is a word of a line. sure is false if its value is only known when
// the line runs. op marks an operator such as &&.
type shellWord struct {
	text     string
	sure, op bool
}

// lex splits a line into words and operators (POSIX shell, 2.2 and 2.3).
func lex(line string) []shellWord {
	l := lexer{line: line, cur: shellWord{sure: true}}
	for ; l.pos < len(line); l.pos++ {
		c := line[l.pos]
		switch {
		case c == '\'':
			l.singleQuoted()
		case c == '"':
			l.doubleQuoted()
		case c == '\\' && l.pos+1 < len(line):
			l.pos++
			if line[l.pos] != '\n' {
				l.take()
			}
		case c == ' ' || c == '\t':
			l.end()
		case c == '#' && !l.in:
			l.comment()
		case strings.IndexByte("\n;&|()<>", c) >= 0:
			l.operator()
		default:
			if strings.IndexByte("$`*?~{}", c) >= 0 {
				l.cur.sure = false
			}
			l.take()
		}
	}
	l.end()
	return l.all
}

// lexer is a line that is read up to pos.
type lexer struct {
	line string
	pos  int
	all  []shellWord
	cur  shellWord
	in   bool // cur has begun, although it may still be empty
}

// take adds the byte at pos to the word.
func (l *lexer) take() { l.cur.text, l.in = l.cur.text+l.line[l.pos:l.pos+1], true }

// end ends the word, if one has begun.
func (l *lexer) end() {
	if l.in {
		l.all = append(l.all, l.cur)
	}
	l.drop()
}

func (l *lexer) drop() { l.cur, l.in = shellWord{sure: true}, false }

func (l *lexer) singleQuoted() {
	text, rest, ok := strings.Cut(l.line[l.pos+1:], "'")
	l.cur.text, l.in, l.cur.sure = l.cur.text+text, true, l.cur.sure && ok
	l.pos = len(l.line) - len(rest) - 1
}

func (l *lexer) doubleQuoted() {
	l.in = true
	for l.pos++; l.pos < len(l.line) && l.line[l.pos] != '"'; l.pos++ {
		c := l.line[l.pos]
		if c == '\\' && l.pos+1 < len(l.line) && strings.IndexByte("$`\"\\", l.line[l.pos+1]) >= 0 {
			l.pos++
		} else if c == '$' || c == '`' {
			l.cur.sure = false
		}
		l.take()
	}
}

func (l *lexer) comment() {
	if n := strings.IndexByte(l.line[l.pos:], '\n'); n >= 0 {
		l.pos += n - 1
	} else {
		l.pos = len(l.line)
	}
}

func (l *lexer) operator() {
	c := l.line[l.pos]
	if l.in && (c == '<' || c == '>') && strings.Trim(l.cur.text, "0123456789") == "" {
		l.drop() // 2>file
	}
	l.end()
	begin := l.pos
	for l.pos+1 < len(l.line) && strings.IndexByte("&|;<>", l.line[l.pos+1]) >= 0 {
		l.pos++
	}
	l.all = append(l.all, shellWord{text: l.line[begin : l.pos+1], sure: true, op: true})
}

// shellWords splits a line without operators into words, as env -S does.
func shellWords(line string) (all []string) {
	for _, w := range lex(line) {
		all = append(all, w.text)
	}
	return all
}

// builtins lists the words that do not start a program, or one that depends on
// more than the line.
var builtins = []string{
	".", ":", "alias", "command", "echo", "eval", "exit", "export", "false", "printf", "read", "readonly", "return", "set", "shift", "source",
	"test", "trap", "true", "type", "ulimit", "umask", "unset", "wait", "[", "[[",
}

// reserved lists the words that begin something other than a simple command.
var reserved = []string{
	"if",
	"then",
	"else",
	"elif",
	"fi",
	"for",
	"while",
	"until",
	"do",
	"done",
	"case",
	"esac",
	"function",
	"!",
	"{",
	"}",
	"time",
	"select",
}

// shellCommands returns the programs that a line may start, with their arguments,
// up to the first construct that is not a simple command. cd counts as a program
// here.
func shellCommands(line string) (all [][]string) {
	var argv []string
	sure, redirected := true, false
	end := func() {
		for len(argv) > 0 && (argv[0] == "exec" || assignment.MatchString(argv[0])) {
			argv = argv[1:]
		}
		if sure && len(argv) > 0 && !slices.Contains(builtins, argv[0]) {
			all = append(all, argv)
		}
		argv, sure = nil, true
	}
	for _, w := range lex(line) {
		switch {
		case w.op && strings.ContainsAny(w.text, "<>"):
			redirected = true
		case w.op && strings.ContainsAny(w.text, "()"):
			return all // a subshell, a function
		case w.op:
			end()
		case redirected:
			redirected = false
		case len(argv) == 0 && slices.Contains(reserved, w.text):
			return all
		case !w.sure && len(argv) == 0 && !assignment.MatchString(w.text):
			sure = false // the program itself depends on a variable
			argv = append(argv, w.text)
		default:
			argv = append(argv, w.text)
		}
	}
	end()
	return all
}

// harmless lists the builtins that may precede a program without affecting
// whether it starts.
var harmless = []string{":", "cd", "echo", "export", "printf", "set", "true", "ulimit", "umask", "unset"}

// mustStart returns the path of the program without which a line fails. That is
// the first program, provided that the line does not continue or start something
// else if it cannot be started. It is "" if there is no such program, or if it is
// given by name only, because that may be a builtin of the image's own shell.
func mustStart(line string) string {
	var program string
	begin, decided, redirected := true, false, false
	for _, w := range lex(line) {
		switch {
		case w.op && strings.ContainsAny(w.text, "<>") && !strings.ContainsAny(w.text, "();|"):
			redirected = true
		case w.op && w.text != "&&":
			return ""
		case w.op:
			begin = true
		case redirected:
			redirected = false
		case decided || !begin || w.sure && (w.text == "exec" || assignment.MatchString(w.text)):
		case !w.sure && assignment.MatchString(w.text):
		case slices.Contains(harmless, w.text):
			begin = false
		case !w.sure || !strings.Contains(w.text, "/"):
			return ""
		default:
			program, decided = w.text, true
		}
	}
	return program
}

// BrokenExecForm returns the program that a shell would look for if the line was
// meant as exec form but is not valid JSON: ['bun', 'x'], ["bun",]. It is "" for
// any other line, such as a test ([ -f x ] && y).
func BrokenExecForm(line string) string {
	line = strings.TrimSpace(line)
	if !strings.HasPrefix(line, "[") {
		return ""
	}
	words := lex(line)
	if len(words) == 0 || words[0].text == "[" || words[0].text == "[[" || len(words[0].text) < 2 {
		return ""
	}
	return words[0].text
}
