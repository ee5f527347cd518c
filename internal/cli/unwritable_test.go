package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// TestUnwritableOutput: a full disk is reported as such, whatever was being printed.
func TestUnwritableOutput(t *testing.T) {
	stage := pipeline.Stage{Name: "s", Run: func(context.Context, *pipeline.Reporter) error { return nil }}
	for name, c := range map[string]struct {
		args []string
		run  func(*Env) error
		code int
	}{
		"a line": {[]string{"x"}, func(e *Env) error { _, err := fmt.Fprintln(e.Out, "line"); return err }, 1},
		"a wrapped error": {[]string{"x"}, func(e *Env) error {
			_, err := fmt.Fprintln(e.Out, "line")
			return fmt.Errorf("cannot print: %w", err)
		}, 1},
		"a document":  {[]string{"x", "-o", "json"}, func(e *Env) error { e.SetDocument(&testDocument{}); return nil }, 1},
		"help":        {[]string{"x", "--help"}, nil, 1},
		"root's help": {[]string{"--help"}, nil, 1},
		"completion":  {[]string{"completion", "bash"}, nil, 1},
		"after a run": {[]string{"x"}, func(e *Env) error {
			if _, err := e.Run(t.Context(), pipeline.Pipeline{Name: "x", Stages: []pipeline.Stage{stage}}, nil); err != nil {
				return err
			}
			_, err := fmt.Fprintln(e.Out, "line")
			return err
		}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			// A file that is opened for reading rejects writes on every system.
			name := filepath.Join(t.TempDir(), "out")
			if err := os.WriteFile(name, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			full, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = full.Close() }()
			var stderr bytes.Buffer
			env := &Env{Plugin: "kubectl sbw", Out: full, Err: &stderr, Getenv: func(string) string { return "" }, Dir: t.TempDir()}
			root := &cobra.Command{Use: "sbw", RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
			var output string
			x := &cobra.Command{Use: "x", RunE: func(*cobra.Command, []string) error { return c.run(env) }}
			AddOutputFlags(root, env)
			AddDocument(env, x, &output, func() Document { return &testDocument{} })
			root.AddCommand(x)
			installHelp(root, env, func(*cobra.Command) string { return "help\n" })
			if code := Execute(t.Context(), env, root, c.args); code != c.code {
				t.Errorf("exit code %d, want %d\n%s", code, c.code, &stderr)
			}
			if !strings.Contains(stderr.String(), string(CodeOutput)) {
				t.Errorf("stderr is\n%s", &stderr)
			}
		})
	}
}
