package checkout

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// withheld lists the variables that git does not get.
var withheld = []string{"GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN", "GHCR_TOKEN", "CR_PAT"}

// newGit finds the git executable. The error is a Finding if the directory does
// not exist, or exec.ErrNotFound.
func newGit(o Options) (git, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return git{}, err
	}
	if fi, err := os.Stat(dir); err != nil || !fi.IsDir() {
		return git{}, pipeline.UsageErrorf(CodeMissing, "change to a checkout, or name one", "there is no directory %s", dir)
	}
	g := git{dir: dir, env: cleaned(o.Env)}
	if g.path, err = exec.LookPath("git"); err != nil {
		return g, fmt.Errorf("git: %w", exec.ErrNotFound)
	}
	return g, nil
}

// rootWithout determines the root without git.
func rootWithout(dir string) string {
	root, _ := worker.FindRoot(dir)
	return root
}

type git struct {
	path, dir string
	env       []string
}

func cleaned(env []string) []string {
	var out []string
	for _, kv := range env {
		k, _, _ := strings.Cut(kv, "=")
		drop := false
		for _, w := range withheld {
			drop = drop || k == w
		}
		if !drop {
			out = append(out, kv)
		}
	}
	// Do not write a refreshed index, prompt for credentials, or translate messages.
	return append(out, "GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C")
}

// gitError is a failure of git with git's own message.
type gitError struct {
	said string
	err  error
}

func (e *gitError) Error() string { return e.said }

func (e *gitError) Unwrap() error { return e.err }

func (g git) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, g.path, args...)
	cmd.Dir, cmd.Env = g.dir, g.env
	cmd.WaitDelay = time.Second
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err != nil {
		return "", &gitError{strings.TrimSpace(said.String()), err}
	}
	return out.String(), nil
}

// reason returns the message of an error from git on one line.
func reason(err error) string {
	line, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "fatal: "), "\n")
	if strings.HasPrefix(line, "not a git repository") {
		return "not a git repository"
	}
	return line
}

// distrusted returns a finding if git refuses to use a repository because it
// belongs to another user (git-config(1), safe.directory).
func distrusted(err error) []*pipeline.Finding {
	line := reason(err)
	if !strings.Contains(line, "dubious ownership") {
		return nil
	}
	f := &pipeline.Finding{
		Code:     CodeDistrusted,
		Severity: pipeline.Warning,
		What:     "git does not report the revision, because the checkout belongs to another user",
		Why:      line,
		Fix:      "git config --global --add safe.directory DIRECTORY",
	}
	if _, dir, ok := strings.Cut(line, " at '"); ok {
		f.Fix = "git config --global --add safe.directory " + strings.TrimSuffix(dir, "'")
	}
	return []*pipeline.Finding{f}
}

// getenv returns a variable of git's environment. If it is set several times, the
// last value counts, as in a child process.
func (g git) getenv(name string) string {
	for _, kv := range slices.Backward(g.env) {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value
		}
	}
	return ""
}
