package build

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// runSteps runs podman, buildah or Docker's legacy builder and reports progress.
func runSteps(ctx context.Context, env environment, who, platform string, req Request, argv []string, r *pipeline.Reporter) error {
	t := &stepTracker{r: r}
	// Both streams have the same writer, so that a step's output stays below its
	// heading.
	err, rerr := piped(func(w io.Writer) error { return env.run(ctx, req.Dir, argv, w, w) }, t.read)
	switch {
	case err == nil && rerr != nil:
		return fmt.Errorf("cannot read the output of %s: %w", who, rerr)
	case err != nil && ctx.Err() != nil:
		return err
	case err != nil:
		return t.failure(who, req, err)
	}
	r.Notef("%s: %d of %d steps from the cache", platform, t.cached, t.all)
	return nil
}

// stepLine matches the line that podman and buildah print at the start of a step.
// If there are several stages, it begins with the stage's number
// (containers/buildah imagebuildah/stage_executor.go). Docker's legacy builder
// prints "Step 1/4 : FROM …".
var stepLine = lazyregexp.New(`^(?:\[([^\]]*)\] )?(?:STEP|Step) (\d+)/(\d+) ?: (.*)$`)

// errorLine reports whether the builder, and not the step, wrote this line about
// the failure.
func errorLine(line string) bool {
	return strings.HasPrefix(line, "Error: ") || strings.HasPrefix(line, "error ") || legacyError.MatchString(line)
}

// legacyError matches the last line of Docker's legacy builder: a RUN that
// failed, a missing file, or another error of the engine.
var legacyError = lazyregexp.New(`^(The command '.*' returned a non-zero code: \d+|(COPY|ADD) failed: .*|Error response from daemon: .*)$`)

// failedStep matches the line in which podman and buildah name the step that
// failed.
var failedStep = lazyregexp.New(
	`^(?:Error: |error )?(?:building|committing container for step|building at STEP).*?(?:at STEP )?"(.*?)": (.*)$`,
)

// stepTracker turns the output of podman and buildah into events: a line that
// begins each step, and the step's own output in between. It belongs to one
// goroutine.
type stepTracker struct {
	r      *pipeline.Reporter
	now    string
	log    logTail
	cached int
	all    int
}

func (t *stepTracker) read(from io.Reader) error {
	in := bufio.NewReaderSize(from, 64<<10)
	for {
		// Only the start of a line is kept, so that an endless one does not use up
		// memory.
		part, err := in.ReadSlice('\n')
		t.log.write(0, string(part), t.line)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err == io.EOF {
			if t.log.partial[0] != "" {
				t.log.end(0, t.line)
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (t *stepTracker) line(line string) {
	if m := stepLine.FindStringSubmatch(line); m != nil {
		t.log = logTail{}
		t.now = m[4]
		t.all++
		done, err1 := strconv.ParseInt(m[2], 10, 32)
		total, err2 := strconv.ParseInt(m[3], 10, 32)
		if err1 == nil && err2 == nil {
			t.r.Progress(pipeline.Progress{Item: strings.TrimSpace("steps " + m[1]), Done: done - 1, Total: total, State: t.now})
		}
		t.r.Detailf("%s", line)
		return
	}
	if strings.HasPrefix(line, "--> Using cache") || strings.HasPrefix(line, "--> Cached") || line == " ---> Using cache" {
		t.cached++
	}
	t.r.Detailf("%s", line)
}

// failure returns the finding for a failed build. Its evidence ends with the
// step's own output.
func (t *stepTracker) failure(builder string, req Request, err error) *pipeline.Finding {
	f := &pipeline.Finding{Code: codeBuildFailed, Severity: pipeline.Error, What: builder + " could not build the image", Err: err}
	lines := t.log.kept()
	last := len(lines) - 1
	for last >= 0 && !errorLine(lines[last]) {
		last--
	}
	if last < 0 && builder == dockerName {
		last = len(lines) - 1 // the engine's own report of the failure comes last
	}
	if last < 0 {
		f.Why, f.Evidence = err.Error(), lines
		return explained(f, builder, req, t.now)
	}
	f.Why = strings.TrimPrefix(strings.TrimPrefix(lines[last], "Error: "), "Error response from daemon: ")
	f.Evidence = append(lines[:last:last], lines[last+1:]...)
	if t.now == "" {
		return explained(f, builder, req, "")
	}
	f.Code = codeBuildStep
	f.What = "the build's step " + t.now + " failed"
	f.Fix = "correct that step of the Dockerfile"
	if len(f.Evidence) > 0 {
		f.Fix += "; its output follows"
	}
	if m := failedStep.FindStringSubmatch(lines[last]); m != nil {
		f.Why = m[2]
	}
	// podman appends a Go value to the message.
	f.Why, _, _ = strings.Cut(f.Why, " &imagebuilder.")
	if line := lineOf(req.Dockerfile, t.now); line > 0 {
		f.Where = place(req, line)
	}
	return explained(f, builder, req, t.now)
}

// from returns the stage's FROM as an instruction.
func (s stage) from() instr {
	in := instr{name: "FROM", rest: s.base, line: s.line}
	if s.platform != "" {
		in.flags = []string{"platform=" + s.platform}
	}
	if s.name != "" {
		in.rest += " AS " + s.name
	}
	return in
}

// lineOf returns the line of the Dockerfile whose instruction matches the text
// that the builder printed; 0 unless exactly one does.
func lineOf(path, text string) (line int) {
	d, err := readDockerfile(path)
	if err != nil && len(d.stages) == 0 {
		return 0
	}
	want := strings.Join(strings.Fields(text), " ")
	for _, s := range d.stages {
		for _, in := range append([]instr{s.from()}, s.instrs...) {
			parts := []string{in.name}
			for _, f := range in.flags {
				parts = append(parts, "--"+f)
			}
			if !strings.EqualFold(strings.Join(append(parts, strings.Fields(in.rest)...), " "), want) {
				continue
			}
			if line > 0 {
				return 0
			}
			line = in.line
		}
	}
	return line
}
