//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/joelhooks/gh-sbw/internal/sandbox"
	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
	"github.com/joelhooks/gh-sbw/internal/sandbox/worker"
)

// shared is the sandbox that all tests of this package use.
var shared struct {
	once    sync.Once
	sandbox *sandbox.Sandbox
	err     error
	// turn makes sure that only one story uses the cluster at a time.
	turn sync.Mutex
}

func TestMain(m *testing.M) {
	code := m.Run()
	if s := shared.sandbox; s != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if err := s.Down(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "bring the sandbox down:", err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// up brings the sandbox up once and installs both plugins.
func up(t testing.TB) *sandbox.Sandbox {
	t.Helper()
	require.Dir(t)
	require.Root(t)
	shared.once.Do(func() {
		begin := time.Now()
		say := func(format string, args ...any) {
			fmt.Fprintf(os.Stderr, "[%4.0fs] %s\n", time.Since(begin).Seconds(), fmt.Sprintf(format, args...))
		}
		root, err := filepath.Abs("../../..")
		if err != nil {
			shared.err = err
			return
		}
		if shared.sandbox, shared.err = sandbox.Open(root, say); shared.err != nil {
			return
		}
		// The first test that needs the sandbox waits for it; the test's own
		// deadline does not count.
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
		defer cancel()
		shared.err = errors.Join(shared.sandbox.Up(ctx), shared.sandbox.InstallPlugins(ctx))
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.sandbox
}

// TestScript runs the stories in testdata/script.
func TestScript(t *testing.T) {
	s := up(t)
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			shared.turn.Lock()
			e.Defer(shared.turn.Unlock)
			env, err := s.Env()
			if err != nil {
				return err
			}
			accounts, err := s.Accounts()
			if err != nil {
				return err
			}
			e.Setenv("PLAIN_TOKEN", accounts.Plain)
			for k, v := range env {
				e.Setenv(k, v)
			}
			if err := reset(t.Context(), s); err != nil {
				return err
			}
			return worker.WriteRepo(t.Context(), filepath.Join(e.WorkDir, "joelclaw"), s.Dir)
		},
		Cmds: facts(s),
	})
}

// reset removes the previous story's worker from the cluster.
func reset(ctx context.Context, s *sandbox.Sandbox) error {
	c, err := s.Cluster()
	if err != nil {
		return err
	}
	_, err = c.Kubectl(ctx, "", "--namespace=joelclaw", "delete", "deployment,service,lease,configmap", "--selector=app=system-bus-worker", "--ignore-not-found", "--wait")
	return err
}
