package cli

import (
	"bytes"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/ui"
)

// What libraries and their children write to stderr would otherwise end up in the
// middle of a live view, or between JSON lines. There are two kinds:
//
//   - Log lines (client-go's klog, Go's own log package) are for debugging: they are
//     printed as details with --verbose, and dropped otherwise, because anything
//     important in them also comes back as an error and is explained.
//   - What is written to os.Stderr is for the user: a kubeconfig's credential command
//     asks to open a page, or kustomize warns about a deprecated field. It is always
//     printed. Each of kustomize's warnings is printed once, because a run builds a
//     kustomization several times.

// Log returns the writer for log lines of libraries. Its Write never fails, because a
// logger could not do anything about it.
func (e *Env) Log() io.Writer { return &capturedStderr{env: e, detail: true} }

// logs reports whether log lines are printed. They can be requested without the other
// details.
func (m OutputMode) logs() bool { return m.Verbose || m.Logs }

// capturedStderr prints what is written to it where the view of a run allows it.
type capturedStderr struct {
	env    *Env
	detail bool
	warned map[string]bool // kustomize's warnings that were printed; of one goroutine
}

// kustomizeWarning is the beginning of kustomize's warnings on standard error
// (kustomize api/types/kustomization.go).
const kustomizeWarning = "# Warning: "

// once removes the warnings that were printed before.
func (c *capturedStderr) once(p []byte) []byte {
	if c.warned == nil {
		return p
	}
	out := make([]byte, 0, len(p))
	for line := range bytes.Lines(p) {
		text := strings.TrimSpace(string(line))
		if strings.HasPrefix(text, kustomizeWarning) {
			if c.warned[text] {
				continue
			}
			c.warned[text] = true
		}
		out = append(out, line...)
	}
	return out
}

func (c *capturedStderr) Write(p []byte) (int, error) {
	e := c.env
	if c.detail && !e.Mode.logs() {
		return len(p), nil
	}
	all := len(p)
	if p = c.once(p); len(p) == 0 {
		return all, nil
	}
	e.mu.Lock()
	u := e.shown
	e.mu.Unlock()
	// With --quiet, there is no view to disturb, and it would drop the text.
	if u != nil && !e.Mode.Quiet {
		if _, err := u.Log().Write(p); err == nil {
			return all, nil
		}
		// The view has just ended.
	}
	if e.Mode.Events {
		one := ui.New(e.ui())
		_, _ = one.Log().Write(p)
		_ = one.Stop()
		return all, nil
	}
	_, _ = e.Err.Write(p)
	return all, nil
}

// drainFor limits the wait for output of a child that outlives the program.
const drainFor = 200 * time.Millisecond

// captureStderr takes over os.Stderr and the output of Go's log package for the rest
// of the process; env.Err is the real stderr. release waits until everything that was
// written has been printed.
//
// A child that inherits os.Stderr gets a pipe instead of the terminal. Its standard input
// is unchanged, so it can still ask the user.
func (e *Env) captureStderr() (release func()) {
	log.SetOutput(e.Log())
	real := os.Stderr
	r, w, err := os.Pipe()
	if err != nil {
		return func() {} // no descriptors left: whatever comes next will report it
	}
	os.Stderr = w
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The copy ends when the pipe is closed; an error would not help anybody.
		_, _ = io.Copy(&capturedStderr{env: e, warned: map[string]bool{}}, r)
	}()
	return func() {
		os.Stderr = real
		_ = w.Close()
		select {
		case <-done:
		case <-time.After(drainFor):
		}
	}
}
