package build

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// This file reads `--progress=plain`, BuildKit's output for people (moby/buildkit
// util/progress/progressui/printer.go), because the client in docker 20.10 and
// buildx before 0.13 have no other format.

// runPlain is like runRawJSON, for clients that only write text.
func runPlain(ctx context.Context, env environment, who string, req Request, argv []string, r *pipeline.Reporter) error {
	t := newTracker(r)
	p := plainReader{tracker: t}
	return t.run(ctx, env, who, req, argv, p.read)
}

// plainReader turns the lines into records for a tracker.
type plainReader struct{ tracker *tracker }

func (p plainReader) read(from io.Reader) error { return eachLine(from, maxStatusLine, p.line) }

var (
	// plainLine matches a line about a step: its number and the message.
	plainLine = lazyregexp.New(`^#(\d+) (.*)$`)
	// plainOutput matches a line of a step's output, which follows the time in
	// seconds.
	plainOutput = lazyregexp.New(`^\d+\.\d+ (.*)$`)
	// plainDone matches the end of a step.
	plainDone = lazyregexp.New(`^DONE \d+\.\d+s$`)
)

func (p plainReader) line(raw []byte) {
	line := strings.TrimRight(string(raw), "\r\n")
	m := plainLine.FindStringSubmatch(line)
	if m == nil {
		p.tracker.said.write(0, line+"\n", nil)
		return
	}
	id, text := m[1], m[2]
	st := p.tracker.steps[id]
	now := time.Now()
	if st == nil {
		p.tracker.vertex(vertex{Digest: id, Name: text, Started: &now})
		return
	}
	v := st.vertex
	switch {
	case text == "CACHED":
		v.Cached, v.Completed = true, &now
		p.tracker.vertex(v)
	case plainDone.MatchString(text):
		v.Completed = &now
		p.tracker.vertex(v)
	case strings.HasPrefix(text, "ERROR: "):
		v.Error, v.Completed = strings.TrimPrefix(text, "ERROR: "), &now
		p.tracker.vertex(v)
	default:
		if out := plainOutput.FindStringSubmatch(text); out != nil {
			st.log.write(0, out[1]+"\n", func(line string) { p.tracker.r.Detailf("%s", line) })
		}
	}
}
