package verdict

import (
	"strings"

	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// causeLine matches the lines with which programs report why they end: JavaScript runtimes
// ("error: Cannot find …", "TypeError: …", "Uncaught …", "[cause]: …"), Go ("panic: …",
// "fatal error: …"), Python and Java (a class whose name ends in Error or Exception),
// shells and linkers, and loggers, including structured ones. A long stack trace may
// follow such a line.
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

// CauseLine returns the line of a log that most likely says why the program ended: the
// last one that looks like an error, or else the last one that contains words. It is
// empty for an empty log.
func CauseLine(log string) string {
	lines := strings.Split(log, "\n")
	if i := CauseIndex(lines); i >= 0 {
		return termtext.Line(lines[i])
	}
	return ""
}

// CauseIndex returns the index of CauseLine in lines, or -1 if no line contains words.
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
