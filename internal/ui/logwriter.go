package ui

import (
	"bytes"
	"io"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Log returns a writer for text from elsewhere (the warnings of a library, the
// standard error of a hook). Its lines appear above the live view or among the other
// lines, and not at all in Quiet. Nothing else may write to the terminal during a
// run.
func (u *UI) Log() io.Writer { return &u.log }

// logWriter collects lines. The lock of the UI guards it.
type logWriter struct {
	ui    *UI
	part  []byte
	wrote time.Time // when the last part came
}

// longLine is the length at which a line without an end is cut.
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

// promptAfter is how long a line may lack its end before it is shown anyway: it may
// be a question that waits for an answer.
const promptAfter = 300 * time.Millisecond

// idle shows text that has lacked a line end for a while.
func (l *logWriter) idle() {
	if len(l.part) > 0 && l.ui.opts.Now().Sub(l.wrote) >= promptAfter {
		l.flush()
	}
}

// flush shows the rest, which has no line end.
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
