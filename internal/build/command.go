package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// withheld are the variables that no child gets: the tokens that gh, Actions
// and this program read.
var withheld = []string{
	"GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN",
	"GHCR_TOKEN", "GHCR_USER", "CR_PAT",
}

// killAfter is how long a builder has to end by itself after an interrupt. The
// whole program promises to end within a second.
const killAfter = 700 * time.Millisecond

// machine is what builders run in: the user's environment, and what of it they
// do not get.
type machine struct {
	all    environment
	hidden []string
}

// env is the environment for questions to a builder.
func (m machine) env() environment { return m.all.without(m.hidden...) }

// envFor is the environment for a build. A variable that is hidden, but that
// the user names as the source of a build secret, is meant to get there.
func (m machine) envFor(req Request) environment {
	wanted := secretNames(req.Secrets)
	return m.all.without(slices.DeleteFunc(slices.Clone(m.hidden), func(n string) bool { return slices.Contains(wanted, n) })...)
}

// holdOutput is how long output is waited for after a child has ended.
const holdOutput = 10 * time.Second

// environment is KEY=VALUE lines, as os.Environ gives them.
type environment []string

func (e environment) get(name string) string {
	for i := len(e) - 1; i >= 0; i-- {
		if k, v, ok := strings.Cut(e[i], "="); ok && k == name {
			return v
		}
	}
	return ""
}

func (e environment) with(pairs ...string) environment {
	return append(slices.Clip(slices.Clone(e)), pairs...)
}

func (e environment) without(names ...string) environment {
	return slices.DeleteFunc(slices.Clone(e), func(kv string) bool {
		k, _, _ := strings.Cut(kv, "=")
		return slices.ContainsFunc(names, func(n string) bool {
			return n == k || runtime.GOOS == "windows" && strings.EqualFold(n, k)
		})
	})
}

// lookPath finds a program on the PATH of e; empty when there is none.
func (e environment) lookPath(name string) string {
	exts := []string{""}
	if runtime.GOOS == "windows" {
		exts = []string{".exe", ".cmd", ".bat"}
	}
	for _, dir := range filepath.SplitList(e.get("PATH")) {
		if dir == "" || !filepath.IsAbs(dir) {
			continue // as os/exec does: never what lies in the checkout
		}
		for _, ext := range exts {
			p := filepath.Join(dir, name+ext)
			if fi, err := os.Stat(p); err == nil && fi.Mode().IsRegular() && (runtime.GOOS == "windows" || fi.Mode()&0o111 != 0) {
				return p
			}
		}
	}
	return ""
}

// run runs argv until it ends or ctx does. An interrupted child, with its own
// children, is asked to end and killed after killAfter; the error is then the
// context's cause, and the writers may be written to for a while yet.
func (e environment) run(ctx context.Context, dir string, argv []string, stdout, stderr io.Writer) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env, cmd.Dir = e, dir
	cmd.Stdout, cmd.Stderr = stdout, stderr
	ownGroup(cmd)
	cmd.Cancel = func() error { return interruptGroup(cmd.Process) }
	cmd.WaitDelay = holdOutput
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if ctx.Err() != nil {
			killGroup(cmd.Process)
			return context.Cause(ctx)
		}
		if errors.Is(err, exec.ErrWaitDelay) {
			return nil // it ended well, and left a child that holds its output
		}
		return err
	case <-ctx.Done():
		within(ended, killAfter)
		killGroup(cmd.Process)
		within(ended, killAfter/4) // what left the group may hold the output for longer
		return context.Cause(ctx)
	}
}

// within waits for the end for at most d, and leaves it in the channel.
func within(ended chan error, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case err := <-ended:
		ended <- err
	case <-timer.C:
	}
}

// output is run for short questions: stdout is returned, and the end of stderr
// is in the error.
func (e environment) output(ctx context.Context, argv ...string) (string, error) {
	var out, errs tail
	out.max, errs.max = 1<<20, 4<<10
	err := e.run(ctx, "", argv, &out, &errs)
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err != nil {
		if line := lastLine(errs.String()); line != "" {
			err = &saidError{said: line, err: err}
		}
	}
	return out.String(), err
}

// saidError is a program's failure in its own words.
type saidError struct {
	said string
	err  error
}

func (e *saidError) Error() string { return e.said }
func (e *saidError) Unwrap() error { return e.err }

// tail keeps the last max bytes that are written to it.
type tail struct {
	max int
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - t.max; over > 0 {
		t.buf = slices.Delete(t.buf, 0, over)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.buf) }

// errorWords are what builders put before an error.
var errorWords = []string{"ERROR: ", "Error: ", "error: "}

// lastLine is what a program says of its failure: the last line that it calls
// an error, without that word, or else the last line with something on it.
func lastLine(text string) (last string) {
	for _, l := range slices.Backward(strings.Split(text, "\n")) {
		l = strings.TrimSpace(plain(l))
		for _, w := range errorWords {
			if said, ok := strings.CutPrefix(l, w); ok {
				return said
			}
		}
		if last == "" {
			last = l
		}
	}
	return last
}

// tempDir makes a directory that remove takes away with all that is in it.
func tempDir() (dir string, remove func(), err error) {
	dir, err = os.MkdirTemp("", "sbw-build-")
	if err != nil {
		return "", nil, fmt.Errorf("no place for the build's small files: %w", err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil
}
