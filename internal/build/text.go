package build

import (
	"strings"

	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// plain returns a line in a form that is safe to print. Text that a carriage
// return would have overwritten on the screen is removed.
func plain(line string) string {
	line = strings.TrimRight(line, "\r\n")
	if i := strings.LastIndexByte(line, '\r'); i >= 0 {
		line = line[i+1:]
	}
	return termtext.Text(line)
}

// logTail keeps the last lines of a step's output in a form that is safe to
// print.
type logTail struct {
	lines   []string
	partial [3]string // by stream: the start of a line that is not complete yet
}

// These limit how much of a step's output is kept: enough for a compiler's
// message or a stack trace.
const (
	maxLogLines = 60
	maxLogLine  = 2000 // bytes
)

// write adds the output of a stream (1 or 2 for those of a process, 0 for both
// together) and calls each with every line that is now complete.
func (t *logTail) write(stream int, p string, each func(string)) {
	if stream < 0 || stream >= len(t.partial) {
		stream = 0
	}
	for {
		line, rest, ok := strings.Cut(p, "\n")
		if room := maxLogLine - len(t.partial[stream]); len(line) > room {
			line = line[:room]
		}
		t.partial[stream] += line
		if !ok {
			return
		}
		t.end(stream, each)
		p = rest
	}
}

// end completes the last line of a stream if it has no line end.
func (t *logTail) end(stream int, each func(string)) {
	line := plain(t.partial[stream])
	t.partial[stream] = ""
	if len(t.lines) == maxLogLines {
		t.lines = append(t.lines[:0], t.lines[1:]...)
	}
	t.lines = append(t.lines, line)
	if each != nil && strings.TrimSpace(line) != "" {
		each(line)
	}
}

// kept returns the lines that were kept, including incomplete ones, without empty
// lines at the end.
func (t *logTail) kept() []string {
	lines := append([]string(nil), t.lines...)
	for _, p := range t.partial {
		if p = plain(p); strings.TrimSpace(p) != "" {
			lines = append(lines, p)
		}
	}
	for len(lines) > 0 && strings.TrimSpace(lines[len(lines)-1]) == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}
