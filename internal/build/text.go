package build

import (
	"strings"

	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// plain is a line in a form that is safe to show, and only with what a carriage
// return would have left on the screen.
func plain(line string) string {
	line = strings.TrimRight(line, "\r\n")
	if i := strings.LastIndexByte(line, '\r'); i >= 0 {
		line = line[i+1:]
	}
	return termtext.Text(line)
}

// logTail keeps the last lines of a step's output in a form that is safe to
// show.
type logTail struct {
	lines   []string
	partial [3]string // by stream: the start of a line that is not complete yet
}

// How much of a step is kept: enough for a compiler's message or a stack trace.
const (
	maxLogLines = 60
	maxLogLine  = 2000 // bytes
)

// write adds output of a stream (1 or 2 of a process, 0 for both together) and
// calls each with every line that is now complete.
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

// end completes a line that has no line end.
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

// kept returns what was kept, including incomplete lines, without empty lines
// at the end.
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
