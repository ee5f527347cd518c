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

// withheld lists the variables that no child process gets: the tokens that gh,
// Actions and this program read.
var withheld = []string{
	"GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN",
	"GHCR_TOKEN", "GHCR_USER", "CR_PAT",
}

// killAfter is how long a builder may take to end after an interrupt. The program
// as a whole promises to end within a second.
const killAfter = 700 * time.Millisecond

// machine is the environment that builders run in, and the variables that are
// hidden from them.
type machine struct {
	all    environment
	hidden []string
}

// env returns the environment for queries to a builder.
func (m machine) env() environment { return m.all.without(m.hidden...) }

// envFor returns the environment for a build. It includes a withheld variable if
// the user names it as the source of a build secret.
func (m machine) envFor(req Request) environment {
	wanted := secretNames(req.Secrets)
	return m.all.without(slices.DeleteFunc(slices.Clone(m.hidden), func(n string) bool { return slices.Contains(wanted, n) })...)
}

// holdOutput is how long to wait for output after a child has ended.
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

// lookPath returns the path of a program on the PATH in e; empty if there is
// none.
func (e environment) lookPath(name string) string {
	exts := []string{""}
	if runtime.GOOS == "windows" {
		exts = []string{".exe", ".cmd", ".bat"}
	}
	for _, dir := range filepath.SplitList(e.get("PATH")) {
		if dir == "" || !filepath.IsAbs(dir) {
			continue // like os/exec, never run a program in the current directory
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

// run runs argv until it ends or ctx is cancelled. In the latter case the child
// and its own children are interrupted, and killed after killAfter. The error is
// then the context's cause, and the writers may still be written to for a while.
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
	return untilEnd(ctx, ended, func() { killGroup(cmd.Process) })
}

// untilEnd waits for a program to end. The cancellation of ctx has interrupted the
// program: untilEnd kills it after killAfter and does not wait much longer than that.
func untilEnd(ctx context.Context, ended chan error, kill func()) error {
	select {
	case err := <-ended:
		if ctx.Err() != nil {
			kill()
			return context.Cause(ctx)
		}
		if errors.Is(err, exec.ErrWaitDelay) {
			return nil // it ended successfully, but one of its children keeps the output open
		}
		return err
	case <-ctx.Done():
		within(ended, killAfter)
		kill()
		within(ended, killAfter/4) // a process that left the group may keep the output open for longer
		return context.Cause(ctx)
	}
}

// within waits up to d for a value in the channel, and leaves it there.
func within(ended chan error, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case err := <-ended:
		ended <- err
	case <-timer.C:
	}
}

// output runs a short query and returns its stdout. An error contains the end of
// stderr.
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

// saidError is the failure of a program with the program's own message.
type saidError struct {
	said string
	err  error
}

func (e *saidError) Error() string { return e.said }
func (e *saidError) Unwrap() error { return e.err }

// tail keeps the last max bytes written to it.
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

// errorWords are the prefixes that builders put before an error.
var errorWords = []string{"ERROR: ", "Error: ", "error: "}

// lastLine returns the message of a program about its failure: the last line that
// begins with an error prefix, without the prefix, or else the last line that is
// not empty.
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

// tempDir creates a directory; remove deletes it with its contents.
func tempDir() (dir string, remove func(), err error) {
	dir, err = os.MkdirTemp("", "sbw-build-")
	if err != nil {
		return "", nil, fmt.Errorf("cannot create a temporary directory for the build: %w", err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil
}
