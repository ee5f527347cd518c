//go:build linux

package sandbox

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/sandbox/worker"
)

// Demo ships the worker as a person would: it installs the plugins, changes
// something in a scratch checkout, and runs `gh sbw publish` and `kubectl sbw
// rollout`. Their output is shown as it is printed.
func (s *Sandbox) Demo(ctx context.Context) error {
	begin := time.Now()
	if err := s.Up(ctx); err != nil {
		return err
	}
	if err := s.InstallPlugins(ctx); err != nil {
		return err
	}
	repo, err := s.Checkout(ctx)
	if err != nil {
		return err
	}
	if err := s.change(ctx, repo); err != nil {
		return err
	}
	published, err := s.show(ctx, repo, "gh", "sbw", "publish")
	if err != nil {
		return err
	}
	tag, err := tagOf(published)
	if err != nil {
		return err
	}
	if _, err := s.show(ctx, repo, "kubectl", "sbw", "rollout", "--tag", tag); err != nil {
		return err
	}
	if _, err := s.show(ctx, repo, "kubectl", "--namespace", "joelclaw", "get", "pods", "--output", "wide"); err != nil {
		return err
	}
	s.say("the worker was shipped in %s", time.Since(begin).Round(time.Second))
	s.say(`to continue by hand:    eval "$(go run ./internal/sandbox/launcher env)"; cd %s`, repo)
	s.say("to stop everything:     go run ./internal/sandbox/launcher down")
	return nil
}

// home is the home directory of the person who works in the sandbox.
func (s *Sandbox) home() string { return s.path("run", "home") }

// InstallPlugins builds both plugins and puts them where gh and kubectl find
// them: gh by installing a local extension, kubectl on PATH.
func (s *Sandbox) InstallPlugins(ctx context.Context) error {
	s.say("building the plugins")
	extension := filepath.Join(s.home(), "gh-sbw")
	for out, pkg := range map[string]string{
		filepath.Join(extension, "gh-sbw"):            "./cmd/gh-sbw",
		filepath.Join(s.home(), "bin", "kubectl-sbw"): "./cmd/kubectl-sbw",
	} {
		if err := s.goBuild(ctx, "-o", out, pkg); err != nil {
			return err
		}
	}
	// Commits need an author.
	identity := "[user]\n\tname = sandbox\n\temail = sandbox@example.com\n"
	if err := os.WriteFile(filepath.Join(s.home(), ".gitconfig"), []byte(identity), 0o644); err != nil {
		return err
	}
	// gh keeps a link to this directory, so the extension is installed only
	// once, and every build takes effect.
	link := filepath.Join(s.home(), "data", "gh", "extensions", "gh-sbw")
	if _, err := os.Stat(link); err == nil {
		return nil
	}
	err := s.run(ctx, extension, "gh", "extension", "install", ".")
	return err
}

// Checkout creates the repository of the worker that is shipped, or returns the
// existing one.
func (s *Sandbox) Checkout(ctx context.Context) (dir string, err error) {
	dir = filepath.Join(s.home(), "joelclaw")
	if _, err := os.Stat(filepath.Join(dir, ".git", "refs", "heads", "main")); err == nil {
		return dir, nil
	}
	s.say("creating a checkout at %s", dir)
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	return dir, worker.WriteRepo(ctx, dir, s.Dir)
}

// change commits a change to a file that goes into the image, together with
// the manifest that the last rollout wrote.
func (s *Sandbox) change(ctx context.Context, repo string) error {
	file := filepath.Join(repo, "packages", "system-bus", "src", "changed.ts")
	text := fmt.Sprintf("export const changed = %q;\n", time.Now().Format(time.RFC3339))
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return err
	}
	if err := s.run(ctx, repo, "git", "add", "."); err != nil {
		return err
	}
	err := s.run(ctx, repo, "git", "commit", "--quiet", "--message", "change something")
	return err
}

// run runs a program in the sandbox's environment.
func (s *Sandbox) run(ctx context.Context, dir, name string, args ...string) error {
	cmd, err := s.Command(ctx, dir, name, args...)
	if err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// show runs a program like run does, and shows its output.
func (s *Sandbox) show(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd, err := s.Command(ctx, dir, name, args...)
	if err != nil {
		return "", err
	}
	s.say("$ %s %s", name, strings.Join(args, " "))
	var out strings.Builder
	cmd.Stdout, cmd.Stderr, cmd.Stdin = &out, os.Stderr, os.Stdin
	err = cmd.Run()
	fmt.Print(out.String())
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return out.String(), nil
}

// Command prepares a program that is found on the sandbox's PATH and runs in its
// environment.
func (s *Sandbox) Command(ctx context.Context, dir, name string, args ...string) (*exec.Cmd, error) {
	env, err := s.Environ()
	if err != nil {
		return nil, err
	}
	path, err := lookPath(name, env)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Args[0] = name
	cmd.Dir, cmd.Env = dir, env
	// The terminal sends an interrupt to the program as well. When the context
	// ends, the program gets the same signal, and is killed if it does not
	// end.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	return cmd, nil
}

// lookPath finds a program on the PATH in env rather than on the PATH of this
// process.
func lookPath(name string, env []string) (string, error) {
	for _, kv := range env {
		path, ok := strings.CutPrefix(kv, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(path) {
			file := filepath.Join(dir, name)
			if fi, err := os.Stat(file); err == nil && !fi.IsDir() && fi.Mode()&0o111 != 0 {
				return file, nil
			}
		}
	}
	return "", &exec.Error{Name: name, Err: fs.ErrNotExist}
}

var published = regexp.MustCompile(`^\S+:([\w.-]+)@sha256:[0-9a-f]{64}\n$`)

// tagOf returns the tag in a line that publish prints: name:TAG@sha256:….
func tagOf(line string) (string, error) {
	m := published.FindStringSubmatch(line)
	if m == nil {
		return "", fmt.Errorf("publish did not print name:TAG@sha256:…, but %q", line)
	}
	return m[1], nil
}
