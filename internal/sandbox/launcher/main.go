//go:build linux

// Command launcher starts and stops the sandbox:
//
//	go run ./internal/sandbox/launcher up|demo|test|down
//
// Each verb can be repeated. `env` prints the environment of a shell that
// works in the sandbox, as input for eval.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/joelhooks/gh-sbw/internal/sandbox"
	"github.com/joelhooks/gh-sbw/internal/sandbox/tools"
)

const usage = `usage: go run ./internal/sandbox/launcher VERB

  up     install, build and start everything
  demo   ship a worker as a person would: gh sbw publish, kubectl sbw rollout
  test   run all tests, the end-to-end ones included
  down   stop everything; what was built stays
  env    print the environment of a shell in the sandbox: eval "$(… env)"
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("give exactly one verb\n\n%s", usage)
	}
	root, err := root()
	if wants := args[0] == "up" || args[0] == "demo" || args[0] == "test"; err != nil && wants {
		return err
	}
	say := say()
	s, err := sandbox.Open(root, say)
	if err != nil {
		return err
	}
	switch args[0] {
	case "up":
		return s.Up(ctx)
	case "demo":
		return s.Demo(ctx)
	case "test":
		if os.Geteuid() != 0 {
			say("not root: only the tests that do not need the sandbox will run (for all tests, run it as root on Debian)")
			return plainTests(ctx)
		}
		return s.Test(ctx)
	case "down":
		return errors.Join(s.Down(ctx), tools.RestoreHugePages(s.Dir))
	case "env":
		snippet, err := s.Shell()
		fmt.Print(snippet)
		return err
	case "serve-outside":
		return s.ServeOutside(ctx)
	}
	return fmt.Errorf("unknown verb %q\n\n%s", args[0], usage)
}

// root returns the directory of this program's module.
func root() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	mod := strings.TrimSpace(string(out))
	text, err := os.ReadFile(mod)
	if err != nil || !strings.Contains(string(text), "module github.com/joelhooks/gh-sbw\n") {
		return "", fmt.Errorf("run this inside a checkout of gh-sbw (go.mod here: %s)", mod)
	}
	return filepath.Dir(mod), nil
}

// say writes lines with the time since the start, from any goroutine.
func say() func(format string, args ...any) {
	begin := time.Now()
	var mu sync.Mutex
	return func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(os.Stderr, "[%4.0fs] %s\n", time.Since(begin).Seconds(), fmt.Sprintf(format, args...))
	}
}
