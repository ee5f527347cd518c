package build

import (
	"bufio"
	"errors"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// maxStatusLine limits the length of a progress record in bytes. A step's output
// comes in much smaller pieces, encoded in base64.
const maxStatusLine = 8 << 20

// tracker turns BuildKit's progress records into events, and keeps what is
// needed to describe a failure. It belongs to one goroutine.
type tracker struct {
	r     *pipeline.Reporter
	req   Request // to name the place in the Dockerfile
	steps map[string]*step
	order []*step
	now   string  // the subject of the last line that was reported
	said  logTail // lines that are not records: the client's own messages
}

type step struct {
	vertex
	log   logTail
	parts map[string]vertexStatus
	seen  struct{ done, total int64 }
}

func newTracker(r *pipeline.Reporter) *tracker {
	return &tracker{r: r, steps: map[string]*step{}}
}

// read reads a builder's stderr to its end.
func (t *tracker) read(from io.Reader) error { return eachLine(from, maxStatusLine, t.line) }

// eachLine calls do with every line of at most most bytes, and skips longer ones.
func eachLine(from io.Reader, most int, do func([]byte)) error {
	in := bufio.NewReaderSize(from, 64<<10)
	var line []byte
	over := false
	for {
		part, err := in.ReadSlice('\n')
		if over = over || len(line)+len(part) > most; over {
			line = line[:0]
		} else {
			line = append(line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && err != io.EOF:
			return err
		}
		if !over && len(line) > 0 {
			do(line)
		}
		line, over = line[:0], false
		if err == io.EOF {
			return nil
		}
	}
}

func (t *tracker) line(line []byte) {
	s, err := parseStatus(line)
	if err != nil {
		t.said.write(0, strings.TrimRight(string(line), "\n")+"\n", nil)
		return
	}
	for _, v := range s.Vertexes {
		t.vertex(v)
	}
	for _, p := range s.Statuses {
		t.part(p)
	}
	for _, l := range s.Logs {
		if st := t.steps[l.Vertex]; st != nil {
			st.log.write(l.Stream, string(l.Data), func(line string) { t.r.Detailf("%s", line) })
		}
	}
	for _, w := range s.Warnings {
		t.warning(w)
	}
}

func (t *tracker) vertex(v vertex) {
	st := t.steps[v.Digest]
	if st == nil {
		st = &step{parts: map[string]vertexStatus{}}
		t.steps[v.Digest] = st
		t.order = append(t.order, st)
	}
	before := st.vertex
	if v.Name == "" {
		v.Name = before.Name
	}
	st.vertex = v
	if counted(v.Name) {
		if v.Started != nil && before.Started == nil && !v.Cached {
			t.now = plain(v.Name)
			t.r.Detailf("%s", t.now)
		}
		t.progress()
	}
}

// counted reports whether a vertex is a step of the Dockerfile, and not an
// internal one of BuildKit or a layer that an export lists.
func counted(name string) bool {
	return !strings.HasPrefix(name, "[internal]") && !strings.HasPrefix(name, "[auth]") && name != ""
}

func (t *tracker) progress() {
	var done, total int64
	for _, st := range t.order {
		if !counted(st.Name) {
			continue
		}
		total++
		if st.Completed != nil || st.Cached {
			done++
		}
	}
	t.r.Progress(pipeline.Progress{Item: "steps", Done: done, Total: total, State: t.now})
}

// part reports the progress of a download or an export, which is the sum of all
// parts of a step.
func (t *tracker) part(p vertexStatus) {
	st := t.steps[p.Vertex]
	if st == nil || p.Total <= 0 && p.Current <= 0 {
		return
	}
	if p.Total < p.Current {
		p.Total = p.Current
	}
	st.parts[p.ID] = p
	var done, total int64
	for _, q := range st.parts {
		done, total = done+q.Current, total+q.Total
	}
	if done == st.seen.done && total == st.seen.total {
		return
	}
	st.seen.done, st.seen.total = done, total
	t.r.Progress(pipeline.Progress{Item: plain(st.Name), Done: done, Total: total, Unit: pipeline.Bytes})
}

// warning passes on the findings of the Dockerfile linter.
func (t *tracker) warning(w vertexWarning) {
	f := &pipeline.Finding{Code: codeDockerfileLint, Severity: pipeline.Note, What: plain(string(w.Short))}
	if w.URL != "" {
		f.Fix = "see " + plain(w.URL)
	}
	if w.SourceInfo != nil && len(w.Range) > 0 {
		f.Where = dockerfilePlace(t.req, plain(w.SourceInfo.Filename), strconv.Itoa(w.Range[0].Start.Line))
	}
	t.r.Finding(f)
}

// cached returns the number of steps that came from the cache, and of all steps.
func (t *tracker) cached() (cached, all int) {
	for _, st := range t.order {
		if counted(st.Name) && stepNumber.MatchString(st.Name) {
			all++
			if st.Cached {
				cached++
			}
		}
	}
	return cached, all
}

var (
	stepNumber = lazyregexp.New(`^\[[^\]]*\d+/\d+\] `)
	// sourceLine matches the heading of the Dockerfile excerpt that BuildKit's
	// clients print with an error (solver/errdefs/source.go).
	sourceLine = lazyregexp.New(`^(\S.*):(\d+)$`)
	// processError matches BuildKit's message for a RUN that failed, in versions
	// before 0.9 and later ones.
	processError = lazyregexp.New(`^(?:executor failed running \[.*\]|process ".*" did not complete successfully): (.*)$`)
)

// failure returns the finding for a failed build: the step that failed, with its
// own output at the end of the evidence, or else the builder's last message.
func (t *tracker) failure(builder string, req Request, err error) *pipeline.Finding {
	f := &pipeline.Finding{Code: codeBuildFailed, Severity: pipeline.Error, What: builder + " could not build the image", Err: err}
	said := t.said.kept()
	for i, l := range said {
		if m := sourceLine.FindStringSubmatch(l); m != nil && i+1 < len(said) && strings.HasPrefix(said[i+1], "-----") {
			f.Where = dockerfilePlace(req, m[1], m[2])
		}
	}
	f.Why = strings.TrimPrefix(lastLine(strings.Join(said, "\n")), "failed to solve: ")
	if f.Why == "" && err != nil {
		f.Why = err.Error()
	}
	for _, st := range t.order {
		if st.Error == "" || strings.Contains(st.Error, "context canceled") {
			continue
		}
		f.Code = codeBuildStep
		f.What = "the build's step " + plain(st.Name) + " failed"
		f.Why = plain(firstLine(st.Error))
		if m := processError.FindStringSubmatch(f.Why); m != nil {
			f.Why = m[1]
		}
		if f.Where == "" { // BuildKit before 0.9 prints no excerpt
			_, text, _ := strings.Cut(st.Name, "] ")
			if line := lineOf(req.Dockerfile, text); line > 0 {
				f.Where = place(req, line)
			}
		}
		f.Fix = "correct that step of the Dockerfile; its output follows"
		f.Evidence = st.log.kept()
		if len(f.Evidence) == 0 {
			f.Fix = "correct that step of the Dockerfile"
		}
		return explained(f, builder, req, st.Name)
	}
	return explained(f, builder, req, "")
}

// dockerfilePlace returns the position of a line in the Dockerfile like place.
// BuildKit's clients print the file's name without its directory.
func dockerfilePlace(req Request, name, line string) string {
	n, err := strconv.Atoi(line)
	if err != nil || name != filepath.Base(req.Dockerfile) {
		return name + ":" + line
	}
	return place(req, n)
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s
}

// took returns the time since start, rounded for messages.
func took(start time.Time) time.Duration { return time.Since(start).Round(time.Millisecond) }
