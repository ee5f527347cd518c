package verdict

import (
	"strings"

	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// What programs begin the line with that says why they end: JavaScript runtimes
// ("error: Cannot find …", "TypeError: …", "Uncaught …", "[cause]: …"), Go
// ("panic: …", "fatal error: …"), Python and Java (a class whose name ends in Error or
// Exception), shells and linkers, and loggers, structured ones too. Between them
// and the end of the log there may be a long stack trace.
var causeLine = lazyregexp.New(strings.Join([]string{
	`(?i)^\s*(\S{1,40}\s+){0,2}(uncaught|unhandled|fatal( error)?|panic|error|caused by|\[cause\])\s*(\([^)]*\))?:`,
	`^\s*(\S{1,40}\s+){0,4}(ERROR|FATAL|PANIC|CRITICAL)\b`,
	`(?i)^\s*(uncaught|unhandled) `,
	`^\s*([\w.$]+\.)?[A-Z]\w*(Error|Exception)\b`,
	`(?i)"(level|severity)"\s*:\s*"(error|fatal|panic|critical)"`,
	`(?i)\blevel=(error|fatal|panic)\b`,
	`cannot open shared object file|: (command )?not found$|Segmentation fault`,
}, "|"))

// stackLine matches a line of a stack trace, which is never the cause itself.
var stackLine = lazyregexp.New(`^\s+at |^\s*goroutine \d+|^\s+File "|^\s*\.\.\. \d+ more`)

// CauseLine is the line of a log that most likely says why the program ended:
// the last one that looks like an error, else the last one with words in it. It
// is empty for an empty log.
func CauseLine(log string) string {
	lines := strings.Split(log, "\n")
	if i := CauseIndex(lines); i >= 0 {
		return termtext.Line(lines[i])
	}
	return ""
}

// CauseIndex is CauseLine as an index into lines; -1 if none has words.
func CauseIndex(lines []string) int {
	last := -1
	for i := len(lines) - 1; i >= 0; i-- {
		if strings.TrimSpace(lines[i]) == "" || stackLine.MatchString(lines[i]) {
			continue
		}
		if causeLine.MatchString(lines[i]) {
			return i
		}
		if last < 0 {
			last = i
		}
	}
	return last
}
