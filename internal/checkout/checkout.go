// Package checkout says what the working tree is that an image is built from:
// its root, revision, whether it has changes, and which repository it is of.
//
// It asks the git executable, whose own rules (worktrees, submodules,
// includes, safe.directory) are more than a library here could follow. Where
// there is no git, or no repository, a State says so and building goes on.
package checkout

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// State is what is known of a checkout. Fields are empty where they are not.
type State struct {
	// Root is the directory that everything is relative to: the repository's
	// root, or else the directory that was asked about.
	Root string
	// Revision is the full hash of HEAD; Time is its committer's time.
	Revision string
	Time     time.Time
	Branch   string
	// Dirty says that the tree is not HEAD's: Changes has the first paths of
	// Changed in all.
	Dirty   bool
	Changes []string
	Changed int
	// Remote is the repository on GitHub.
	Remote Remote
	// Why says why there is no revision: no git, no repository, no commit.
	Why string
	// notes are findings that arose on the way.
	notes []*pipeline.Finding
}

// maxChanges is how many changed paths are named.
const maxChanges = 5

// Options say how to ask.
type Options struct {
	// Dir is a directory in the checkout; empty: the current one.
	Dir string
	// Env is git's environment, as os.Environ gives it. It is cleaned from
	// tokens: git is not to speak with anybody.
	Env []string
}

// withheld are variables that git does not get.
var withheld = []string{"GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN", "GHCR_TOKEN", "CR_PAT"}

// Inspect asks. An error is the context's, or one of the file system; what git
// cannot tell is not one.
func Inspect(ctx context.Context, o Options) (State, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return State{}, err
	}
	if fi, err := os.Stat(dir); err != nil || !fi.IsDir() {
		return State{}, pipeline.UsageErrorf("checkout-missing", "change to a checkout, or give one", "no directory %s", dir)
	}
	g := git{dir: dir, env: cleaned(o.Env)}
	s := State{Root: dir}
	if g.path, err = exec.LookPath("git"); err != nil {
		s.Root, s.Why = rootWithout(dir), "git is not installed"
		return s, nil
	}
	top, err := g.run(ctx, "rev-parse", "--show-toplevel")
	if err != nil {
		if ctx.Err() != nil {
			return State{}, context.Cause(ctx)
		}
		s.Root, s.Why = rootWithout(dir), reason(err)
		s.notes = append(s.notes, distrusted(err)...)
		return s, nil
	}
	// git answers with slashes on Windows, and through symlinks.
	s.Root = filepath.FromSlash(strings.TrimSuffix(top, "\n"))
	if err := g.revision(ctx, &s); err != nil {
		return State{}, err
	}
	if err := g.status(ctx, &s); err != nil {
		return State{}, err
	}
	s.Remote = g.remote(ctx, s.Branch)
	return s, ctx.Err()
}

// rootWithout finds a root where git cannot: the nearest directory above with
// a .git or a .sbw.yaml, else dir itself.
func rootWithout(dir string) string {
	for d := dir; ; d = filepath.Dir(d) {
		for _, mark := range []string{".git", ".sbw.yaml"} {
			if _, err := os.Stat(filepath.Join(d, mark)); err == nil {
				return d
			}
		}
		if filepath.Dir(d) == d {
			return dir
		}
	}
}

// Findings are what a person should know of s before an image is built from
// it: "git-dirty", "git-none", "git-distrusted". None is graver than a
// warning.
func (s State) Findings() []*pipeline.Finding {
	all := s.notes
	if s.Revision == "" && len(all) == 0 {
		all = append(all, &pipeline.Finding{Code: "git-none", Severity: pipeline.Note, Where: s.Root,
			What: "the image will not name a revision", Why: s.Why, Fix: "publish from a git checkout to have one"})
	}
	if s.Dirty {
		f := &pipeline.Finding{Code: "git-dirty", Severity: pipeline.Note, Where: s.Root,
			What: fmt.Sprintf("the tree is not what was committed: %d changed or new files; the image is labelled so", s.Changed),
			Fix:  "commit or stash them to publish what others can see", Evidence: s.Changes}
		if s.Changed == 1 {
			f.What = "the tree is not what was committed: 1 changed or new file; the image is labelled so"
		}
		all = append(all, f)
	}
	return all
}

// Short is the revision as people write it.
func (s State) Short() string { return s.Revision[:min(7, len(s.Revision))] }

// Source is the address of the repository, for org.opencontainers.image.source;
// empty when it is not known.
func (s State) Source() string {
	if s.Remote.Name == "" {
		return ""
	}
	return "https://" + s.Remote.Host + "/" + s.Remote.Owner + "/" + s.Remote.Name
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
	// No index refresh is written, nobody is asked, nothing is translated.
	return append(out, "GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C")
}

// gitError is git's refusal in its own words.
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

// reason words a refusal of git's in one line.
func reason(err error) string {
	line, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "fatal: "), "\n")
	if strings.HasPrefix(line, "not a git repository") {
		return "not a git repository"
	}
	return line
}

// distrusted tells of a repository that belongs to another user, which git
// does not touch (git-config(1), safe.directory).
func distrusted(err error) []*pipeline.Finding {
	line := reason(err)
	if !strings.Contains(line, "dubious ownership") {
		return nil
	}
	f := &pipeline.Finding{Code: "git-distrusted", Severity: pipeline.Warning, What: "git does not tell the revision: the checkout belongs to another user", Why: line,
		Fix: "git config --global --add safe.directory DIRECTORY"}
	if _, dir, ok := strings.Cut(line, " at '"); ok {
		f.Fix = "git config --global --add safe.directory " + strings.TrimSuffix(dir, "'")
	}
	return []*pipeline.Finding{f}
}

// revision asks for HEAD. A repository without a commit has none.
func (g git) revision(ctx context.Context, s *State) error {
	out, err := g.run(ctx, "show", "--no-patch", "--no-show-signature", "--format=%H %ct", "HEAD", "--")
	if _, ok := errors.AsType[*gitError](err); ok {
		s.Why = "there is no commit yet"
		return nil
	}
	if err != nil {
		return err
	}
	hash, unix, _ := strings.Cut(strings.TrimSpace(out), " ")
	s.Revision = hash
	if sec, err := strconv.ParseInt(unix, 10, 64); err == nil {
		s.Time = time.Unix(sec, 0).UTC()
	}
	return nil
}

// status asks what differs from HEAD: changed, staged and untracked files, of
// submodules too; ignored ones do not count.
func (g git) status(ctx context.Context, s *State) error {
	out, err := g.run(ctx, "status", "--porcelain=v2", "--branch", "--untracked-files=normal", "-z")
	if _, ok := errors.AsType[*gitError](err); ok {
		s.notes = append(s.notes, &pipeline.Finding{Code: "git-none", Severity: pipeline.Note, Where: s.Root,
			What: "whether the tree has changes is not known", Why: reason(err), Fix: "run git status and mend what it says"})
		return nil
	}
	if err != nil {
		return err
	}
	s.Branch, s.Changes, s.Changed = parseStatus(out)
	s.Dirty = s.Changed > 0
	return nil
}

// parseStatus reads `git status --porcelain=v2 --branch -z` (git-status(1)).
func parseStatus(out string) (branch string, first []string, n int) {
	records := strings.Split(out, "\x00")
	for i := 0; i < len(records); i++ {
		r := records[i]
		if b, ok := strings.CutPrefix(r, "# branch.head "); ok {
			if b != "(detached)" {
				branch = b
			}
			continue
		}
		var fields int // before the path
		switch {
		case strings.HasPrefix(r, "1 "):
			fields = 8
		case strings.HasPrefix(r, "2 "):
			fields = 9
			i++ // the path that it was renamed from
		case strings.HasPrefix(r, "u "):
			fields = 10
		case strings.HasPrefix(r, "? "):
			fields = 1
		default:
			continue
		}
		parts := strings.SplitN(r, " ", fields+1)
		if len(parts) <= fields {
			continue
		}
		if n++; n <= maxChanges {
			first = append(first, parts[fields])
		}
	}
	return branch, first, n
}

// remote is the repository that the checkout is of: origin's, else that of the
// branch's remote, else that of the only remote there is. A name that is not on
// a host like GitHub is passed over.
func (g git) remote(ctx context.Context, branch string) Remote {
	var names []string
	if out, err := g.run(ctx, "remote"); err == nil {
		names = strings.Fields(out)
	}
	order := []string{"origin"}
	if branch != "" {
		if out, err := g.run(ctx, "config", "--get", "branch."+branch+".remote"); err == nil {
			order = append(order, strings.TrimSpace(out))
		}
	}
	if len(names) == 1 {
		order = append(order, names[0])
	}
	for _, n := range order {
		// With insteadOf applied, as a push would go.
		out, err := g.run(ctx, "remote", "get-url", "--push", n)
		if err != nil {
			continue
		}
		if r, ok := ParseRemote(strings.TrimSpace(out)); ok {
			return r
		}
	}
	return Remote{}
}
