package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

type testDocument struct {
	Head
	*promoted
	List []string `json:"list" doc:"a list"`
}

// promoted has fields that are printed only if the embedded pointer is set.
type promoted struct {
	List int       `json:"list" doc:"hidden by the document's own"`
	Name string    `json:"name" doc:"a name"`
	At   time.Time `json:"at,omitzero" doc:"a time"`
}

// TestAFailureIsOneDocument: with -o json, stdout has exactly one document, whether the
// command has set one, failed before it could, or ended a run.
func TestAFailureIsOneDocument(t *testing.T) {
	refused := &pipeline.Finding{Code: "nope", Severity: pipeline.Error, What: "it cannot be", Fix: "do not"}
	run := func(env *Env, d Document) error {
		_, err := env.Run(t.Context(), pipeline.Pipeline{Name: "x", Checks: []pipeline.Check{{Name: "c", Run: func(context.Context, *pipeline.Reporter) ([]*pipeline.Finding, error) {
			return []*pipeline.Finding{refused}, nil
		}}}}, nil)
		env.SetDocument(d)
		return err
	}
	for name, tc := range map[string]struct {
		args []string
		run  func(*Env) error
		code int
		want string // JSON, "" for nothing on stdout
	}{
		"a finding": {[]string{"-o", "json"}, func(*Env) error { return refused }, 1,
			`{"command":"kubectl sbw x","end":"unchanged","exitCode":1,"error":"it cannot be; do not","findings":[{"code":"nope","severity":"error","what":"it cannot be","fix":"do not"}],"stages":[],"list":[]}`},
		"any error": {[]string{"-o", "json"}, func(*Env) error { return errors.New("boom") }, 1,
			`{"command":"kubectl sbw x","end":"unchanged","exitCode":1,"error":"kubectl sbw: boom","findings":[{"code":"internal","severity":"error","what":"kubectl sbw","why":"boom"}],"stages":[],"list":[]}`},
		"usage": {[]string{"-o", "json"}, func(*Env) error { return pipeline.UsageErrorf("usage", "this way", "not that") }, 2,
			`{"command":"kubectl sbw x","end":"usage","exitCode":2,"error":"not that; this way","findings":[{"code":"usage","severity":"error","what":"not that","fix":"this way"}],"stages":[],"list":[]}`},
		"a run":                   {[]string{"-o", "json"}, func(e *Env) error { return run(e, nil) }, 3, "refused"},
		"a run with its document": {[]string{"-o", "json"}, func(e *Env) error { return run(e, &testDocument{promoted: &promoted{}}) }, 3, "refused"},
		"for people":              {nil, func(*Env) error { return refused }, 1, ""},
		"another format":          {[]string{"-o", "name"}, func(*Env) error { return refused }, 1, ""},
		"no such format":          {[]string{"-o", "toml"}, func(*Env) error { return nil }, 2, ""},
		"well": {[]string{"-o", "json"}, func(e *Env) error { e.SetDocument(&testDocument{List: []string{"a"}}); return nil }, 0,
			`{"command":"kubectl sbw x","end":"done","exitCode":0,"error":"","findings":[],"stages":[],"list":["a"]}`},
		"nothing set": {[]string{"-o", "json"}, func(*Env) error { return nil }, 0,
			`{"command":"kubectl sbw x","end":"done","exitCode":0,"error":"","findings":[],"stages":[],"list":[]}`},
		"a mistake in the flags": {[]string{"--nope", "-o", "json"}, func(*Env) error { return nil }, 2,
			`{"command":"kubectl sbw x","end":"usage","exitCode":2,"error":"unknown flag: --nope; see ` + "`kubectl sbw x --help`" + `","findings":[{"code":"usage","severity":"error","what":"unknown flag: --nope","fix":"see ` + "`kubectl sbw x --help`" + `"}],"stages":[],"list":[]}`},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			env := &Env{Plugin: "kubectl sbw", Out: &out, Err: &errs, Getenv: func(string) string { return "" }}
			root := &cobra.Command{Use: "sbw"}
			var output string
			x := &cobra.Command{Use: "x", RunE: func(*cobra.Command, []string) error { return tc.run(env) }}
			AddDocument(env, x, &output, func() Document { return &testDocument{} }, "name")
			root.AddCommand(x)
			if code := Execute(t.Context(), env, root, append([]string{"x"}, tc.args...)); code != tc.code {
				t.Errorf("exit code %d, want %d", code, tc.code)
			}
			if tc.want == "refused" {
				var d struct{ Head }
				if err := json.Unmarshal(out.Bytes(), &d); err != nil || d.End != "refused" || d.ExitCode != 3 || len(d.Findings) != 1 || d.Stages[0].Name != "preflight" {
					t.Errorf("%v %s", err, out.String())
				}
				return
			}
			var got bytes.Buffer
			if tc.want != "" {
				if err := json.Compact(&got, out.Bytes()); err != nil {
					t.Fatalf("%v: %s", err, out.String())
				}
			} else {
				got = out
			}
			if got.String() != tc.want {
				t.Errorf("stdout\n%s\nwant\n%s", got.String(), tc.want)
			}
		})
	}
}

// TestSchemasFollowEncoding: a schema requires exactly the fields that are always
// printed, as encoding/json chooses them.
func TestSchemasFollowEncoding(t *testing.T) {
	var required, optional []string
	eachField(reflect.TypeFor[testDocument](), func(name string, may bool, _ reflect.StructField) {
		if may {
			optional = append(optional, name)
		} else {
			required = append(required, name)
		}
	})
	for _, d := range []*testDocument{{}, {promoted: &promoted{At: time.Unix(1, 0)}}} {
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		for _, name := range required {
			if _, ok := got[name]; !ok {
				t.Errorf("%s is required, but not in %s", name, text)
			}
			delete(got, name)
		}
		for _, name := range optional {
			delete(got, name)
		}
		if len(got) > 0 {
			t.Errorf("not in the schema: %v", got)
		}
	}
}
