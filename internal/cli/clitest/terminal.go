package clitest

import (
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/ui/vt"
)

// OnTerminal calls run with a terminal of 80 columns as env's stdout, and returns what
// the screen shows, without trailing spaces.
func OnTerminal(t *testing.T, env *cli.Env, run func()) string {
	t.Helper()
	term, err := vt.Open(80, 40, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := term.Close(); err != nil {
			t.Error(err)
		}
	})
	env.Out = term.TTY
	run()
	// A terminal does not show where the output ends, so the end is marked.
	const end = "--- end ---"
	if _, err := term.TTY.WriteString(end); err != nil {
		t.Fatal(err)
	}
	screen, err := term.Wait(t.Context(), func(screen string, _ []byte) bool { return strings.Contains(screen, end) })
	if err != nil {
		t.Fatal(err)
	}
	screen, _, _ = strings.Cut(screen, end)
	return screen
}
