package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// TestInterruptedOutsideOfARun: what a command was doing when it was interrupted is not a
// failure of its own. What it has found before that is reported.
func TestInterruptedOutsideOfARun(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"a request":           {fmt.Errorf("cannot read deployment/worker: %w", context.Canceled), "interrupted\n"},
		"with the cause":      {fmt.Errorf("Get %q: %w", "https://cluster", pipeline.ErrInterrupted), "interrupted\n"},
		"several requests":    {errors.Join(context.Canceled, pipeline.ErrInterrupted), "interrupted\n"},
		"with a real finding": {&pipeline.Finding{Code: "x", Severity: pipeline.Error, What: "it is broken"}, "it is broken"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, args := range [][]string{{"x"}, {"x", "-o", "json"}} {
				ctx, cancel := context.WithCancelCause(t.Context())
				var stdout, stderr bytes.Buffer
				env := &Env{Plugin: "kubectl sbw", Out: &stdout, Err: &stderr, Getenv: func(string) string { return "" }, Dir: t.TempDir()}
				root := &cobra.Command{Use: "sbw"}
				var output string
				x := &cobra.Command{Use: "x", RunE: func(*cobra.Command, []string) error {
					cancel(pipeline.ErrInterrupted)
					return c.err
				}}
				AddOutputFlags(root, env)
				AddDocument(env, x, &output, func() Document { return &testDocument{} })
				root.AddCommand(x)
				if code := Execute(ctx, env, root, args); code != int(pipeline.Interrupted) {
					t.Errorf("exit code %d", code)
				}
				if !strings.Contains(stderr.String(), c.want) || strings.Contains(stderr.String(), "internal") {
					t.Errorf("stderr is\n%s", &stderr)
				}
				if len(args) > 1 && strings.Contains(stdout.String(), `"code": "internal"`) {
					t.Errorf("stdout is\n%s", &stdout)
				}
				cancel(nil)
			}
		})
	}
}
