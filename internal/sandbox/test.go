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
	"sync"

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
	rest, whole, err := s.packages(ctx)
	if err != nil {
		return err
	}
	// The end-to-end tests mostly wait: for kubelets, probes and grace periods.
	// Everything else runs beside them at the lowest priority, because a cluster
	// that competes with the compiler would miss its own time limits.
	var beside, last error
	var wait sync.WaitGroup
	wait.Go(func() { beside = s.checkPackages(ctx, rest) })
	s.say("go test -race, end to end")
	last = s.goTest(ctx, nil, "40m", whole)
	s.say("the end-to-end tests are over")
	wait.Wait()
	return errors.Join(last, beside, s.Down(context.WithoutCancel(ctx)))
}

// checkPackages lints the code, vets the nested modules and tests the packages
// that need no cluster. What takes long runs at the lowest priority. Each of them
// runs even if another one fails, because the tests show more than a linter
// finding.
func (s *Sandbox) checkPackages(ctx context.Context, packages []string) error {
	lint := s.lint(ctx)
	vet := s.vetNested(ctx)
	s.say("go test -race, %d packages", len(packages))
	return errors.Join(s.goTest(ctx, lowest, "30m", packages), vet, lint)
}

// lowest is the prefix of a command line that runs it only while nothing else
// needs the processor.
var lowest = []string{"nice", "-n", "19"}

// goTest runs go test with the race detector. The limit is for one package. It is
// reached only if something hangs.
func (s *Sandbox) goTest(ctx context.Context, prefix []string, limit string, packages []string) error {
	args := slices.Concat(prefix, []string{"go", "test", "-race", "-timeout=" + limit}, packages)
	return s.tool(ctx, s.Root, noProxies, args...)
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

// tool runs a command with the sandbox's directory in the environment and its
// programs on PATH, and shows its output.
func (s *Sandbox) tool(ctx context.Context, dir string, env []string, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = slices.Concat(os.Environ(), []string{require.EnvDir + "=" + s.Dir, "PATH=" + s.Bin() + ":" + os.Getenv("PATH")}, env)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(args[:min(len(args), 5)], " "), err)
	}
	return nil
}
