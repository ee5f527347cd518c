package runnable

import (
	"slices"
	"strings"
)

// This file reads as much of the shell's language as says for certain which
// programs a line starts.

// shellWord is a word of a line; sure is false where its value is only known when
// the line runs, and op marks an operator such as &&.
type shellWord struct {
	text     string
	sure, op bool
}

// lex splits a line into words and operators (POSIX shell, 2.2 and 2.3).
func lex(line string) (all []shellWord) {
	cur, in := shellWord{sure: true}, false
	end := func() {
		if in {
			all = append(all, cur)
		}
		cur, in = shellWord{sure: true}, false
	}
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '\'':
			text, rest, ok := strings.Cut(line[i+1:], "'")
			cur.text, in, cur.sure = cur.text+text, true, cur.sure && ok
			i = len(line) - len(rest) - 1
		case c == '"':
			in = true
			for i++; i < len(line) && line[i] != '"'; i++ {
				if line[i] == '\\' && i+1 < len(line) && strings.IndexByte("$`\"\\", line[i+1]) >= 0 {
					i++
				} else if line[i] == '$' || line[i] == '`' {
					cur.sure = false
				}
				cur.text += line[i : i+1]
			}
		case c == '\\' && i+1 < len(line):
			i++
			if line[i] != '\n' {
				cur.text, in = cur.text+line[i:i+1], true
			}
		case c == ' ' || c == '\t':
			end()
		case c == '#' && !in:
			if n := strings.IndexByte(line[i:], '\n'); n >= 0 {
				i += n - 1
			} else {
				i = len(line)
			}
		case strings.IndexByte("\n;&|()<>", c) >= 0:
			if in && (c == '<' || c == '>') && strings.Trim(cur.text, "0123456789") == "" {
				cur, in = shellWord{sure: true}, false // 2>file
			}
			end()
			op := line[i : i+1]
			for i+1 < len(line) && strings.IndexByte("&|;<>", line[i+1]) >= 0 {
				i++
				op += line[i : i+1]
			}
			all = append(all, shellWord{text: op, sure: true, op: true})
		default:
			if strings.IndexByte("$`*?~{}", c) >= 0 {
				cur.sure = false
			}
			cur.text, in = cur.text+line[i:i+1], true
		}
	}
	end()
	return all
}

// shellWords are the words of a line without operators, as env -S splits them.
func shellWords(line string) (all []string) {
	for _, w := range lex(line) {
		all = append(all, w.text)
	}
	return all
}

// builtins start no program, or one that depends on more than the line.
var builtins = []string{
	".", ":", "alias", "command", "echo", "eval", "exit", "export", "false", "printf", "read", "readonly", "return", "set", "shift", "source",
	"test", "trap", "true", "type", "ulimit", "umask", "unset", "wait", "[", "[[",
}

// reserved words begin what is not a simple command.
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

// shellCommands are the programs that a line may start, with their arguments, up
// to the first thing that is not a simple command. A cd is one of them.
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

// BrokenExecForm is the program that a shell would look for if the line was meant
// as exec form and is not JSON: ['bun', 'x'], ["bun",]. It is "" for any other
// line, such as a test ([ -f x ] && y).
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
