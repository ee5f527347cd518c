package identity

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// script creates a program that runs a shell line.
func script(t *testing.T, line string) []string {
	t.Helper()
	if runtime.GOOS == "windows" {
		return []string{"cmd", "/c", line}
	}
	path := filepath.Join(t.TempDir(), "secrets")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+line+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return []string{path}
}

func TestCommand(t *testing.T) {
	for _, c := range []struct {
		name, line string
		token, why string
	}{
		{name: "plain", line: "echo " + secret, token: secret},
		{name: "without a line end", line: "printf %s " + secret, token: secret},
		{name: "chatty on stderr", line: "echo hello >&2; echo " + secret, token: secret},
		{name: "nothing", line: "true", why: "nothing"},
		{name: "words", line: "echo your token is " + secret, why: "not a token"},
		{name: "two lines", line: "echo " + secret + "; echo again", why: "not a token"},
		{name: "too much", line: "head -c 100000 /dev/zero | tr '\\0' a", why: "more than a token"},
		{name: "fails", line: "echo " + secret + "; echo lease of " + secret + " expired >&2; exit 3", why: "exit status 3: lease of [hidden] expired"},
		{name: "sees no token", line: `test -z "$GHCR_TOKEN$GH_TOKEN$GITHUB_TOKEN$GH_ENTERPRISE_TOKEN" && test "$KEPT" = yes && echo ` + secret, token: secret},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := machine{env: map[string]string{"GH_TOKEN": "a", "GITHUB_TOKEN": "b", "GH_ENTERPRISE_TOKEN": "c", "KEPT": "yes"}}
			o := m.options("ghcr.io")
			o.Command, o.Dir = script(t, c.line), t.TempDir()
			id, err := Find(t.Context(), o)
			if c.why != "" {
				if f := wantFinding(t, err, "credential-command"); !strings.Contains(f.Why, c.why) {
					t.Errorf("why: %s", f.Why)
				}
				return
			}
			if err != nil || id.token.Reveal() != c.token {
				t.Errorf("%v, %v", id, err)
			}
		})
	}
	t.Run("a program that does not exist", func(t *testing.T) {
		o := (&machine{}).options("ghcr.io")
		o.Command = []string{"no-such-program-anywhere"}
		_, err := Find(t.Context(), o)
		wantFinding(t, err, "credential-command")
	})
	t.Run("interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		o := (&machine{}).options("ghcr.io")
		fifo := filepath.Join(t.TempDir(), "started")
		o.Command = script(t, "echo > "+fifo+"; sleep 1000")
		go func() {
			for {
				if _, err := os.Stat(fifo); err == nil || t.Context().Err() != nil {
					cancel(pipeline.ErrInterrupted)
					return
				}
				runtime.Gosched()
			}
		}()
		if _, err := Find(ctx, o); !errors.Is(err, pipeline.ErrInterrupted) {
			t.Errorf("got %v", err)
		}
	})
}
