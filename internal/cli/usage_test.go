package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestNumberOfArguments: cobra's words about arguments are replaced by a sentence and
// the usage line.
func TestNumberOfArguments(t *testing.T) {
	for name, c := range map[string]struct {
		rule cobra.PositionalArgs
		args []string
		want string
	}{
		"too many":      {cobra.MaximumNArgs(1), []string{"a", "b"}, "takes at most 1 argument, but 2 were given"},
		"too few":       {cobra.MinimumNArgs(2), []string{"a"}, "takes at least 2 arguments, but 1 was given"},
		"another":       {cobra.ExactArgs(3), []string{"a"}, "takes 3 arguments, but 1 was given"},
		"out of range":  {cobra.RangeArgs(1, 2), []string{"a", "b", "c"}, "takes between 1 and 2 arguments, but 3 were given"},
		"none is taken": {cobra.NoArgs, []string{"a"}, `takes no arguments, but "a" was given`},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr bytes.Buffer
			env := &Env{Plugin: "gh sbw", Out: &bytes.Buffer{}, Err: &stderr, Getenv: func(string) string { return "" }, Dir: t.TempDir()}
			root := &cobra.Command{Use: "sbw"}
			root.AddCommand(&cobra.Command{Use: "x [TAG]", Args: c.rule, RunE: func(*cobra.Command, []string) error { return nil }})
			if code := Execute(t.Context(), env, root, append([]string{"x"}, c.args...)); code != 2 {
				t.Errorf("exit code %d", code)
			}
			got := stderr.String()
			if !strings.Contains(got, "`gh sbw x` "+c.want) || strings.Contains(got, "arg(s)") {
				t.Errorf("stderr is\n%s", got)
			}
		})
	}
}
