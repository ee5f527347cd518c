package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// TestAFailureIsOneDocument: with -o json stdout has exactly one, whether the
// command wrote its own result, failed before it could, or ended a run.
func TestAFailureIsOneDocument(t *testing.T) {
	refused := &pipeline.Finding{Code: "nope", Severity: pipeline.Error, What: "it cannot be", Fix: "do not"}
	run := func(env *Env, p pipeline.Pipeline, print bool) error {
		_, err := env.Run(t.Context(), p, nil)
		if print {
			if perr := PrintObject(env.Out, "json", map[string]string{"own": "result"}); perr != nil {
				return perr
			}
		}
		return err
	}
	check := pipeline.Pipeline{Name: "x", Checks: []pipeline.Check{{Name: "c", Run: func(context.Context, *pipeline.Reporter) ([]*pipeline.Finding, error) {
		return []*pipeline.Finding{refused}, nil
	}}}}
	for name, tc := range map[string]struct {
		args []string
		run  func(*Env) error
		code int
		want string // JSON, "" for nothing on stdout
	}{
		"a finding": {[]string{"-o", "json"}, func(*Env) error { return refused }, 1,
			`{"command":"kubectl sbw x","end":"unchanged","exitCode":1,"error":"it cannot be; do not","findings":[{"code":"nope","severity":"error","what":"it cannot be","fix":"do not"}]}`},
		"any error": {[]string{"-o", "json"}, func(*Env) error { return errors.New("boom") }, 1,
			`{"command":"kubectl sbw x","end":"unchanged","exitCode":1,"error":"kubectl sbw: boom","findings":[{"code":"internal","severity":"error","what":"kubectl sbw","why":"boom"}]}`},
		"usage": {[]string{"-o", "json"}, func(*Env) error { return pipeline.UsageErrorf("usage", "this way", "not that") }, 2,
			`{"command":"kubectl sbw x","end":"usage","exitCode":2,"error":"not that; this way","findings":[{"code":"usage","severity":"error","what":"not that","fix":"this way"}]}`},
		"a run":                 {[]string{"-o", "json"}, func(e *Env) error { return run(e, check, false) }, 3, "refused"},
		"a run with its result": {[]string{"-o", "json"}, func(e *Env) error { return run(e, check, true) }, 3, `{"own":"result"}`},
		"for people":            {nil, func(*Env) error { return refused }, 1, ""},
		"another format":        {[]string{"-o", "name"}, func(*Env) error { return refused }, 1, ""},
		"no such format":        {[]string{"-o", "toml"}, func(*Env) error { return nil }, 2, ""},
		"well":                  {[]string{"-o", "json"}, func(*Env) error { return nil }, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			env := &Env{Plugin: "kubectl sbw", Out: &out, Err: &errs, Getenv: func(string) string { return "" }}
			root := &cobra.Command{Use: "sbw"}
			var output string
			x := &cobra.Command{Use: "x", RunE: func(*cobra.Command, []string) error { return tc.run(env) }}
			AddOutput(x, &output, "name", "json", "yaml")
			root.AddCommand(x)
			if code := Execute(t.Context(), env, root, append([]string{"x"}, tc.args...)); code != tc.code {
				t.Errorf("exit code %d, want %d", code, tc.code)
			}
			if tc.want == "refused" {
				var f Failure
				if err := json.Unmarshal(out.Bytes(), &f); err != nil || f.End != "refused" || f.ExitCode != 3 || len(f.Findings) != 1 || f.Stages[0].Name != "preflight" {
					t.Errorf("%v %s", err, out.String())
				}
				return
			}
			got := out.String()
			if tc.want != "" {
				var compact bytes.Buffer
				if err := json.Compact(&compact, out.Bytes()); err != nil {
					t.Fatalf("%v: %s", err, out.String())
				}
				got = compact.String()
			}
			if got != tc.want {
				t.Errorf("stdout\n%s\nwant\n%s", got, tc.want)
			}
			if env.Out != any(&out) {
				t.Errorf("stdout is %T afterwards", env.Out)
			}
		})
	}
}
