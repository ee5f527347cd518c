// Package checkout describes the working tree that an image is built from.
// Inspect returns a State: root, revision, whether there are uncommitted
// changes, and the repository on GitHub.
//
// It runs the git executable, because no library implements all of git's rules
// (worktrees, submodules, includes, safe.directory). If git is missing, or there
// is no repository, the State says so and the build continues.
package checkout

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// State describes a checkout. Unknown fields are empty.
type State struct {
	// Root is the directory that relative paths start from: the repository's
	// root, or else the directory that was inspected.
	Root string
	// Revision is the full hash of HEAD; Time is its committer time.
	Revision string
	Time     time.Time
	Branch   string
	// Dirty means that the tree differs from HEAD. Changes lists the first few
	// changed paths, Changed is their total number.
	Dirty   bool
	Changes []string
	Changed int
	// Remote is the repository on GitHub.
	Remote Remote
	// Why is the reason why there is no revision: git, a repository or a commit is
	// missing.
	Why string
	// notes are the findings of Inspect.
	notes []*pipeline.Finding
}

// maxChanges is how many changed paths are listed.
const maxChanges = 5

// Options say what to inspect.
type Options struct {
	// Dir is a directory in the checkout; empty means the current one.
	Dir string
	// Env is git's environment, in the form of os.Environ. Tokens are removed from
	// it, because git does not need the network here.
	Env []string
	// Own reports whether a rollout from this checkout writes an image of this
	// repository into manifests; nil means that none does. A tree whose only change
	// is such an image is not dirty.
	Own func(imageref.Repository) bool
}

// Inspect returns the State of a directory. An error comes from the context or
// the file system. It is not an error if git cannot find something out.
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
				pipeline.CodeUsage,
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
	// On Windows git answers with slashes, and it resolves symlinks.
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

// Findings returns what the user should know before an image is built from the
// checkout: "git-dirty", "git-none", "git-distrusted". They are warnings or
// notes.
func (s State) Findings() []*pipeline.Finding {
	all := s.notes
	if s.Revision == "" && len(all) == 0 {
		all = append(all, &pipeline.Finding{Code: CodeNone, Severity: pipeline.Note, Where: s.Root,
			What: "the image will not name a revision", Why: s.Why, Fix: "publish from a git checkout if the image should name one"})
	}
	if s.Dirty {
		f := &pipeline.Finding{Code: CodeDirty, Severity: pipeline.Note, Where: s.Root,
			What: fmt.Sprintf("the working tree has %d uncommitted files; the image's labels say so", s.Changed),
			Fix:  "commit or stash them so that others can see what you publish", Evidence: s.Changes}
		if s.Changed == 1 {
			f.What = "the working tree has 1 uncommitted file; the image's labels say so"
		}
		all = append(all, f)
	}
	return all
}

// Short returns the revision in the short form that people use.
func (s State) Short() string { return s.Revision[:min(7, len(s.Revision))] }

// Source returns the URL of the repository for org.opencontainers.image.source;
// empty if unknown.
func (s State) Source() string {
	if s.Remote.Name == "" {
		return ""
	}
	return "https://" + s.Remote.Host + "/" + s.Remote.Owner + "/" + s.Remote.Name
}

// revision finds HEAD, which a repository without commits does not have.
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

// status finds what differs from HEAD: changed, staged and untracked files, also
// in submodules. Ignored files do not count.
func (g git) status(ctx context.Context, s *State, own func(imageref.Repository) bool) error {
	out, err := g.run(ctx, "status", "--porcelain=v2", "--branch", "--untracked-files=normal", "-z")
	if _, ok := errors.AsType[*gitError](err); ok {
		s.notes = append(s.notes, &pipeline.Finding{Code: CodeNone, Severity: pipeline.Note, Where: s.Root,
			What: "it is unknown whether the tree has uncommitted changes", Why: reason(err), Fix: "run git status and fix what it reports"})
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

// change is a path that differs from HEAD. modified means that it is a file of
// which only the content has changed.
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
		var fields int // number of fields before the path
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
		// 1 XY sub mH mI mW …: for a submodule, sub is not N...
		same := fields == 8 && parts[2] == "N..." && parts[3] == parts[5] && strings.Trim(parts[1], "M.") == ""
		changes = append(changes, change{parts[fields], same})
	}
	return branch, changes
}

// remote returns the repository that the checkout belongs to: the one chosen with
// `gh repo set-default`, or else that of origin, of the branch's remote, or of
// the only remote. A remote whose address does not look like one on GitHub is
// skipped.
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

// address returns the repository that a push to the remote would go to, after
// insteadOf has been applied. It is the zero value if the address does not name a
// repository.
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
