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
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/worker"
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
	// Own reports whether an image is one that a rollout from this checkout
	// stamps into manifests; nil knows of none. A tree with no other change than
	// such a stamp is not dirty.
	Own func(imageref.Repository) bool
}

// withheld are variables that git does not get.
var withheld = []string{"GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN", "GHCR_TOKEN", "CR_PAT"}

// Inspect asks. An error is the context's, or one of the file system; what git
// cannot tell is not one.
func Inspect(ctx context.Context, o Options) (State, error) {
	g, missing := newGit(o)
	if missing != nil && !errors.Is(missing, exec.ErrNotFound) {
		return State{}, missing
	}
	s := State{Root: g.dir}
	if repo := g.getenv("GH_REPO"); repo != "" {
		var ok bool
		if s.Remote, ok = parseRepo(repo, g.getenv("GH_HOST")); !ok {
			return State{}, pipeline.UsageErrorf(
				CodeUsage,
				"write it as [HOST/]OWNER/REPO, or unset it",
				"GH_REPO=%q does not name a repository",
				repo,
			)
		}
	}
	if missing != nil {
		s.Root, s.Why = rootWithout(g.dir), "git is not installed"
		return s, nil
	}
	top, err := g.run(ctx, "rev-parse", "--show-toplevel")
	if err != nil {
		if ctx.Err() != nil {
			return State{}, context.Cause(ctx)
		}
		s.Root, s.Why = rootWithout(g.dir), reason(err)
		s.notes = append(s.notes, distrusted(err)...)
		return s, nil
	}
	// git answers with slashes on Windows, and through symlinks.
	s.Root = filepath.FromSlash(strings.TrimSuffix(top, "\n"))
	if err := g.revision(ctx, &s); err != nil {
		return State{}, err
	}
	if err := g.status(ctx, &s, o.Own); err != nil {
		return State{}, err
	}
	if s.Remote.Name == "" {
		s.Remote = g.remote(ctx, s.Branch)
	}
	return s, ctx.Err()
}

// newGit finds git for the directory. The error is a Finding for a directory that
// is not there, or exec.ErrNotFound.
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

// rootWithout is the root where git cannot tell it.
func rootWithout(dir string) string {
	root, _ := worker.FindRoot(dir)
	return root
}

// Findings are what a person should know of s before an image is built from
// it: "git-dirty", "git-none", "git-distrusted". None is graver than a
// warning.
func (s State) Findings() []*pipeline.Finding {
	all := s.notes
	if s.Revision == "" && len(all) == 0 {
		all = append(all, &pipeline.Finding{Code: CodeNone, Severity: pipeline.Note, Where: s.Root,
			What: "the image will not name a revision", Why: s.Why, Fix: "publish from a git checkout to have one"})
	}
	if s.Dirty {
		f := &pipeline.Finding{Code: CodeDirty, Severity: pipeline.Note, Where: s.Root,
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
	f := &pipeline.Finding{
		Code:     CodeDistrusted,
		Severity: pipeline.Warning,
		What:     "git does not tell the revision: the checkout belongs to another user",
		Why:      line,
		Fix:      "git config --global --add safe.directory DIRECTORY",
	}
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
func (g git) status(ctx context.Context, s *State, own func(imageref.Repository) bool) error {
	out, err := g.run(ctx, "status", "--porcelain=v2", "--branch", "--untracked-files=normal", "-z")
	if _, ok := errors.AsType[*gitError](err); ok {
		s.notes = append(s.notes, &pipeline.Finding{Code: CodeNone, Severity: pipeline.Note, Where: s.Root,
			What: "whether the tree has changes is not known", Why: reason(err), Fix: "run git status and mend what it says"})
		return nil
	}
	if err != nil {
		return err
	}
	branch, changes := parseStatus(out)
	s.Branch, s.Changed = branch, len(changes)
	var paths []string
	for _, c := range changes {
		if c.modified {
			paths = append(paths, c.path)
		}
	}
	if len(paths) == len(changes) && g.onlyStamped(ctx, s.Root, paths, own) {
		s.Changed = 0
	}
	s.Dirty = s.Changed > 0
	for _, c := range changes[:min(s.Changed, maxChanges)] {
		s.Changes = append(s.Changes, c.path)
	}
	return nil
}

// change is a path that differs from HEAD. modified: in its content alone, and it
// was a file before.
type change struct {
	path     string
	modified bool
}

// parseStatus reads `git status --porcelain=v2 --branch -z` (git-status(1)).
func parseStatus(out string) (branch string, changes []change) {
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
		// 1 XY sub mH mI mW …: a submodule has another sub than N...
		same := fields == 8 && parts[2] == "N..." && parts[3] == parts[5] && strings.Trim(parts[1], "M.") == ""
		changes = append(changes, change{parts[fields], same})
	}
	return branch, changes
}

// remote is the repository that the checkout is of: what `gh repo set-default`
// has chosen, else origin's, else that of the branch's remote, else that of the
// only remote there is. A name that is not on a host like GitHub is passed over.
func (g git) remote(ctx context.Context, branch string) Remote {
	var names []string
	if out, err := g.run(ctx, "remote"); err == nil {
		names = strings.Fields(out)
	}
	var order []string
	for _, n := range names {
		// gh writes "base" for the remote itself, or OWNER/REPO (cli/cli
		// context/context.go).
		out, err := g.run(ctx, "config", "--get", "remote."+n+".gh-resolved")
		chosen := strings.TrimSpace(out)
		switch {
		case err != nil || chosen == "":
		case chosen == "base":
			order = append(order, n)
		default:
			if r, ok := parseRepo(chosen, g.address(ctx, n).Host); ok {
				return r
			}
		}
	}
	order = append(order, "origin")
	if branch != "" {
		if out, err := g.run(ctx, "config", "--get", "branch."+branch+".remote"); err == nil {
			order = append(order, strings.TrimSpace(out))
		}
	}
	if len(names) == 1 {
		order = append(order, names[0])
	}
	for _, n := range order {
		if r := g.address(ctx, n); r.Name != "" {
			return r
		}
	}
	return Remote{}
}

// address is the repository that a remote is, with insteadOf applied, as a push
// would go; the zero value when it is not one.
func (g git) address(ctx context.Context, name string) Remote {
	out, err := g.run(ctx, "remote", "get-url", "--push", name)
	if err != nil {
		return Remote{}
	}
	at := strings.TrimSpace(out)
	r, ok := ParseRemote(at)
	if ok && sshRemote(at) {
		return g.resolveAlias(ctx, r)
	}
	return r
}

// getenv is a variable of git's environment; the last one counts, as in a child.
func (g git) getenv(name string) string {
	for _, kv := range slices.Backward(g.env) {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value
		}
	}
	return ""
}
