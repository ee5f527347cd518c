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

// withheld are variables that are kept from git.
var withheld = []string{"GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN", "GHCR_TOKEN", "CR_PAT"}

// newGit finds git for the directory. The error is a Finding for a missing
// directory, or exec.ErrNotFound.
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

// rootWithout determines the root when git cannot.
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
	// Do not write an index refresh, prompt anybody, or translate messages.
	return append(out, "GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C")
}

// gitError is git's error in its own words.
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

// reason describes an error from git in one line.
func reason(err error) string {
	line, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "fatal: "), "\n")
	if strings.HasPrefix(line, "not a git repository") {
		return "not a git repository"
	}
	return line
}

// distrusted recognises a repository that belongs to another user, which git
// refuses to use (git-config(1), safe.directory).
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

// getenv is a variable of git's environment; the last one counts, as in a child
// process.
func (g git) getenv(name string) string {
	for _, kv := range slices.Backward(g.env) {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value
		}
	}
	return ""
}
