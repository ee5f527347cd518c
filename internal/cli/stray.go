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

// What libraries and their children write, unasked, would land in the midst of
// a live view, or between JSON lines. Two kinds are told apart:
//
//   - Log lines (client-go's klog, Go's own log package) are for whoever looks
//     for a fault: with --verbose they are told as details, else not at all,
//     since whatever matters in them comes back as an error and is explained.
//   - What is written to os.Stderr is meant for the person: a kubeconfig's
//     credential command that says "open this page to log in", kustomize that
//     finds a field outdated. It is always shown. kustomize's warnings are
//     shown once each, because a run builds a kustomization several times.

// Log takes the log lines of libraries. Its Write never fails: a logger cannot
// do anything about it.
func (e *Env) Log() io.Writer { return stray{env: e, detail: true} }

// Telling of log lines can be asked for without all the other details.
func (t *Telling) logs() bool { return t.Verbose || t.Logs }

type stray struct {
	env    *Env
	detail bool
	warned map[string]bool // kustomize's warnings that were shown; of one goroutine
}

// kustomizeWarning is how kustomize begins a warning on standard error
// (kustomize api/types/kustomization.go).
const kustomizeWarning = "# Warning: "

// once leaves out the warnings that were shown before.
func (s stray) once(p []byte) []byte {
	if s.warned == nil {
		return p
	}
	out := make([]byte, 0, len(p))
	for line := range bytes.Lines(p) {
		text := strings.TrimSpace(string(line))
		if strings.HasPrefix(text, kustomizeWarning) {
			if s.warned[text] {
				continue
			}
			s.warned[text] = true
		}
		out = append(out, line...)
	}
	return out
}

func (s stray) Write(p []byte) (int, error) {
	e := s.env
	if s.detail && !e.Tell.logs() {
		return len(p), nil
	}
	all := len(p)
	if p = s.once(p); len(p) == 0 {
		return all, nil
	}
	e.mu.Lock()
	u := e.shown
	e.mu.Unlock()
	// Quiet has no view to spoil, and drops what it is given.
	if u != nil && !e.Tell.Quiet {
		if _, err := u.Log().Write(p); err == nil {
			return all, nil
		}
		// It has just ended: there is no view any more.
	}
	if e.Tell.Events {
		one := ui.New(e.ui())
		_, _ = one.Log().Write(p)
		_ = one.Stop()
		return all, nil
	}
	_, _ = e.Err.Write(p)
	return all, nil
}

// drainFor bounds the wait for what a child that outlives the program might
// still write.
const drainFor = 200 * time.Millisecond

// adoptStrays takes what is written to os.Stderr and to Go's log package for
// this process's life; env.Err is the real one. release waits until all of it
// is told.
//
// A child that is given os.Stderr gets a pipe in place of the terminal. Its
// standard input stays, so that it still finds out that somebody is there.
func (e *Env) adoptStrays() (release func()) {
	log.SetOutput(e.Log())
	real := os.Stderr
	r, w, err := os.Pipe()
	if err != nil {
		return func() {} // out of descriptors: what comes next will say so
	}
	os.Stderr = w
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The copy ends with the pipe's end; no error is worth a word here.
		_, _ = io.Copy(stray{env: e, warned: map[string]bool{}}, r)
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
