package ui

import (
	"bytes"
	"io"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Log returns a writer for text that comes from elsewhere (a library's
// warnings, a hook's standard error): its lines appear above the live view, or
// among the other lines, and not at all in Quiet. Nothing else may write to
// the terminal during a run.
func (u *UI) Log() io.Writer { return &u.log }

// logWriter gathers lines; the UI's lock guards it.
type logWriter struct {
	ui    *UI
	part  []byte
	wrote time.Time // when the last part came
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
	l.part, l.wrote = append(l.part, p...), u.opts.Now()
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

// promptAfter is how long a line may stay without its end before it is told: it
// may be a question that somebody waits for an answer to.
const promptAfter = 300 * time.Millisecond

// idle tells what has stood without a line end for a while.
func (l *logWriter) idle() {
	if len(l.part) > 0 && l.ui.opts.Now().Sub(l.wrote) >= promptAfter {
		l.flush()
	}
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
