package ui

import (
	"bytes"
	"io"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Log returns a writer for text that comes from elsewhere (a library's
// warnings, a hook's standard error): its lines appear above the live view, or
// among the other lines, and not at all in Quiet. Nothing else may write to
// the terminal during a run.
func (u *UI) Log() io.Writer { return &u.log }

// logWriter gathers lines; the UI's lock guards it.
type logWriter struct {
	ui   *UI
	part []byte
}

// longLine is where a line without an end is cut.
const longLine = 64 << 10

func (l *logWriter) Write(p []byte) (int, error) {
	u := l.ui
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closing {
		return 0, ErrClosed
	}
	l.part = append(l.part, p...)
	for {
		i := bytes.IndexByte(l.part, '\n')
		if i < 0 && len(l.part) > longLine {
			i = longLine
		}
		if i < 0 {
			break
		}
		l.line(string(l.part[:i]))
		l.part = bytes.TrimPrefix(l.part[i:], []byte("\n"))
	}
	u.start()
	return len(p), nil
}

// flush tells the rest that has no line end.
func (l *logWriter) flush() {
	if len(l.part) > 0 {
		l.line(string(l.part))
		l.part = nil
	}
}

func (l *logWriter) line(text string) {
	u := l.ui
	if u.opts.Mode == Quiet || u.full() {
		return
	}
	if u.opts.Mode == Events {
		u.writeJSON(record{Time: u.opts.Now(), Kind: kindLog, Text: text})
		return
	}
	for _, line := range SanitizeLines(text) {
		if u.opts.Mode == Plain {
			line = stamp(u.opts.Now()) + " " + line
		}
		u.say(line)
	}
}

const kindLog pipeline.Kind = "log"
