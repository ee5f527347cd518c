//go:build linux

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/sandbox/need"
	"github.com/joelhooks/gh-sbw/internal/sandbox/npmworkers"
)

// Test installs what any test needs and runs them all, under the race
// detector; the end-to-end tests bring the rest of the sandbox up by
// themselves. It leaves nothing running.
func (s *Sandbox) Test(ctx context.Context) error {
	if err := check(); err != nil {
		return err
	}
	if err := s.installForTests(ctx); err != nil {
		return err
	}
	s.say("go vet ./...")
	if err := s.goTool(ctx, s.Root, "vet", "./..."); err != nil {
		return err
	}
	modules, err := s.nested()
	if err != nil {
		return err
	}
	for _, dir := range modules {
		s.say("go vet in %s", strings.TrimPrefix(dir, s.Root+"/"))
		if err := s.goTool(ctx, dir, "vet", "./..."); err != nil {
			return err
		}
	}
	// The whole tree takes longer than go test's ten minutes on a small machine
	// only when something hangs; the end-to-end package has a limit of its own.
	s.say("go test -race ./...")
	err = s.goTool(ctx, s.Root, "test", "-race", "-timeout=20m", "./...")
	return errors.Join(err, s.Down(context.WithoutCancel(ctx)))
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

// nested are the directories of the modules beside the product's own that hold
// code of ours.
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

// goTool runs go, with the sandbox's directory named and its programs on PATH,
// and lets it speak for itself.
func (s *Sandbox) goTool(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), need.EnvDir+"="+s.Dir, "PATH="+s.Bin()+":"+os.Getenv("PATH"))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return nil
}
