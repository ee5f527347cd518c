//go:build linux

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/sandbox/npmworkers"
	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

// Test installs what the tests need, lints the code, and runs all tests under the
// race detector. The end-to-end tests start the rest of the sandbox by themselves.
// Nothing is left running.
func (s *Sandbox) Test(ctx context.Context) error {
	if err := check(); err != nil {
		return err
	}
	if err := s.installForTests(ctx); err != nil {
		return err
	}
	// A linter finding fails the run only at its end, because the tests show
	// more.
	lint := s.lint(ctx)
	if err := s.vetNested(ctx); err != nil {
		return err
	}
	// The end-to-end tests run last and alone: a cluster that shares two cores
	// with the compiler and all other tests would miss its own time limits.
	rest, whole, err := s.packages(ctx)
	if err != nil {
		return err
	}
	s.say("go test -race, %d packages", len(rest))
	// This is the limit for one package. It is reached only if something
	// hangs.
	test := func(limit string, packages []string) error {
		return s.goTool(ctx, s.Root, noProxies, append([]string{"test", "-race", "-timeout=" + limit}, packages...)...)
	}
	err = test("20m", rest)
	s.say("go test -race, end to end")
	err = errors.Join(err, test("40m", whole), lint)
	return errors.Join(err, s.Down(context.WithoutCancel(ctx)))
}

// noProxies hides the machine's proxies from the tests. Everything that they
// need from the internet is installed by now, and everything else that they
// reach is on this machine. Go treats an empty variable like an unset one.
var noProxies = []string{
	"HTTP_PROXY=", "HTTPS_PROXY=", "ALL_PROXY=", "NO_PROXY=",
	"http_proxy=", "https_proxy=", "all_proxy=", "no_proxy=",
}

// packages lists the module's packages: those that need no cluster, and the
// end-to-end tests.
func (s *Sandbox) packages(ctx context.Context) (rest, whole []string, err error) {
	cmd := exec.CommandContext(ctx, "go", "list", "./...")
	cmd.Dir, cmd.Stderr = s.Root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, nil, fmt.Errorf("go list: %w", err)
	}
	for _, pkg := range strings.Fields(string(out)) {
		if strings.HasSuffix(pkg, "/internal/sandbox/e2e") {
			whole = append(whole, pkg)
		} else {
			rest = append(rest, pkg)
		}
	}
	return rest, whole, nil
}

func (s *Sandbox) installForTests(ctx context.Context) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.install(ctx, true); err != nil {
		return err
	}
	if npm := s.path("npm"); !npmworkers.Installed(npm) {
		s.say("installing the test workers from npm")
		return npmworkers.Install(ctx, npm)
	}
	return nil
}

// nested returns the directories of the nested modules that contain code of this
// project.
func (s *Sandbox) nested() ([]string, error) {
	mods, err := filepath.Glob(filepath.Join(s.Root, "internal", "sandbox", "*", "go.mod"))
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, m := range mods {
		dir := filepath.Dir(m)
		if code, err := filepath.Glob(filepath.Join(dir, "*.go")); err != nil {
			return nil, err
		} else if len(code) > 0 {
			dirs = append(dirs, dir)
		}
	}
	return dirs, nil
}

// goTool runs go with the sandbox's directory in the environment and its programs
// on PATH, and shows its output.
func (s *Sandbox) goTool(ctx context.Context, dir string, env []string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = slices.Concat(os.Environ(), []string{require.EnvDir + "=" + s.Dir, "PATH=" + s.Bin() + ":" + os.Getenv("PATH")}, env)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go %s: %w", args[0], err)
	}
	return nil
}
