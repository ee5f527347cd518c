package checkout

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

// repo is a repository that is not affected by the user's git configuration.
type repo struct {
	t   *testing.T
	dir string
	env []string
}

func newRepo(t *testing.T) *repo {
	t.Helper()
	require.Tool(t, "git")
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := &repo{t: t, dir: dir, env: append(require.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com", "GIT_COMMITTER_DATE=1700000000 +0200")}
	r.git("init", "--quiet", "--initial-branch=main")
	return r
}

func (r *repo) git(args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env = r.dir, r.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r *repo) write(name, text string) {
	r.t.Helper()
	p := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r *repo) commit() string {
	r.t.Helper()
	r.git("add", "-A")
	r.git("commit", "--quiet", "-m", "x")
	return r.git("rev-parse", "HEAD")
}

func (r *repo) inspect(sub string) State {
	r.t.Helper()
	s, err := Inspect(r.t.Context(), Options{Dir: filepath.Join(r.dir, sub), Env: r.env})
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func codes(s State) (all []string) {
	for _, f := range s.Findings() {
		all = append(all, string(f.Code))
	}
	return all
}

func TestInspect(t *testing.T) {
	r := newRepo(t)
	s := r.inspect("")
	if s.Revision != "" || s.Why != "there is no commit yet" || s.Root != r.dir {
		t.Errorf("empty repository: %+v", s)
	}
	if d := cmp.Diff([]string{"git-none"}, codes(s)); d != "" {
		t.Error(d)
	}

	r.write("a/b.txt", "1")
	r.write(".gitignore", "*.log\n")
	head := r.commit()
	r.write("a/x.log", "ignored")
	r.git("remote", "add", "fork", "git@github.com:someone/fork.git")
	s = r.inspect("a")
	if s.Root != r.dir || s.Revision != head || s.Dirty || s.Branch != "main" || s.Time.Unix() != 1700000000 {
		t.Errorf("clean: %+v", s)
	}
	if s.Short() != head[:7] || s.Source() != "https://github.com/someone/fork" {
		t.Errorf("short %q, source %q", s.Short(), s.Source())
	}
	if c := codes(s); c != nil {
		t.Errorf("findings = %q", c)
	}

	r.git("remote", "add", "origin", "https://github.com/joelhooks/joelclaw.git")
	r.write("a/b.txt", "2")
	r.write("new file", "n")
	r.git("mv", ".gitignore", "ignore me")
	s = r.inspect("")
	if !s.Dirty || s.Changed != 4 || s.Remote.Owner != "joelhooks" {
		t.Errorf("dirty: %+v", s)
	}
	// Without .gitignore, the ignored file counts as untracked.
	if d := cmp.Diff([]string{"ignore me", "a/b.txt", "a/x.log", "new file"}, s.Changes, sorted); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"git-dirty"}, codes(s)); d != "" {
		t.Error(d)
	}

	r.git("checkout", "--quiet", "--detach")
	r.git("stash", "--quiet", "--include-untracked")
	if s = r.inspect(""); s.Branch != "" || s.Dirty || s.Revision != head {
		t.Errorf("detached: %+v", s)
	}
}

var sorted = cmp.Transformer("set", func(in []string) map[string]bool {
	m := map[string]bool{}
	for _, s := range in {
		m[s] = true
	}
	return m
})

// TestInspectWorktree inspects a worktree, whose .git is a file, without a remote
// called origin, so that the branch's remote is used.
func TestInspectWorktree(t *testing.T) {
	r := newRepo(t)
	r.write("f", "1")
	head := r.commit()
	r.git("remote", "add", "one", "https://github.com/a/one")
	r.git("remote", "add", "two", "https://github.com/b/two")
	tree := filepath.Join(r.dir, "..", "tree")
	r.git("worktree", "add", "--quiet", "-b", "feature", tree)
	r.git("config", "branch.feature.remote", "two")
	s, err := Inspect(t.Context(), Options{Dir: tree, Env: r.env})
	if err != nil {
		t.Fatal(err)
	}
	if s.Root != filepath.Clean(tree) || s.Revision != head || s.Branch != "feature" || s.Remote.Name != "two" {
		t.Errorf("state = %+v", s)
	}
}

func TestInspectWithoutGit(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	sub := filepath.Join(dir, "packages", "x")
	if err := os.MkdirAll(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".sbw.yaml"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	// Without this, git would look for a repository above the test's directory.
	env := append(require.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
	for _, tt := range []struct{ path, why string }{
		{os.Getenv("PATH"), "not a git repository"},
		{t.TempDir(), "git is not installed"},
	} {
		t.Setenv("PATH", tt.path)
		s, err := Inspect(t.Context(), Options{Dir: sub, Env: env})
		if err != nil || s.Root != dir || s.Why != tt.why || s.Source() != "" {
			t.Errorf("state = %+v, %v; want %s", s, err, tt.why)
		}
		if d := cmp.Diff([]string{"git-none"}, codes(s)); d != "" {
			t.Error(d)
		}
	}
	if _, err := Inspect(t.Context(), Options{Dir: filepath.Join(dir, "nowhere")}); err == nil {
		t.Error("no error for a directory that does not exist")
	}
}

// TestGitGetsNoToken checks that programs which git runs do not get a token.
func TestGitGetsNoToken(t *testing.T) {
	r := newRepo(t)
	r.write("f", "1")
	r.commit()
	said := filepath.Join(t.TempDir(), "env")
	r.git("config", "core.fsmonitor", "env > '"+said+"'; false")
	r.env = append(r.env, "GH_TOKEN=ghp_secret", "GITHUB_TOKEN=ghs_secret", "GHCR_TOKEN=x_secret", "KEPT=yes")
	r.inspect("")
	text, err := os.ReadFile(said)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "secret") || !strings.Contains(string(text), "KEPT=yes") {
		t.Errorf("git's children got:\n%s", text)
	}
}

func TestDistrusted(t *testing.T) {
	err := &gitError{said: "fatal: detected dubious ownership in repository at '/src/app'\nTo add an exception ..."}
	found := distrusted(err)
	if len(found) != 1 || found[0].Fix != "git config --global --add safe.directory /src/app" {
		t.Errorf("findings = %+v", found)
	}
	if distrusted(&gitError{said: "fatal: not a git repository"}) != nil {
		t.Error("a finding for another refusal")
	}
}
