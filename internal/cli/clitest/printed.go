package clitest

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Printed is what a command prints for a prepared result.
type Printed struct {
	Argv   string
	Code   pipeline.End
	Pipe   string   // stdout
	Screen string   // of a terminal; empty if it shows the same
	Fields []string // of the documents, besides the head; nil if there are none
}

// Check runs a command, which command makes, into a pipe, on a terminal, and with each
// format of documents. env must write into buffers; same compares what was printed with
// what Printed says.
func (p Printed) Check(
	t *testing.T,
	env *cli.Env,
	newRoot func(*cli.Env) *cobra.Command,
	command func() *cobra.Command,
	same func(t *testing.T, got, want string),
) {
	t.Helper()
	out, errs := env.Out.(*bytes.Buffer), env.Err.(*bytes.Buffer)
	env.Mode.Quiet = true
	execute := func(argv ...string) {
		root := &cobra.Command{Use: "sbw"}
		root.AddCommand(command())
		if code := cli.Execute(t.Context(), env, root, argv); code != int(p.Code) {
			t.Fatalf("%q: exit code %d\n%s", argv, code, errs)
		}
	}
	argv := strings.Fields(p.Argv)
	execute(argv...)
	same(t, out.String(), p.Pipe)
	screen := p.Screen
	if screen == "" {
		screen = p.Pipe
	}
	same(t, OnTerminal(t, env, func() { execute(argv...) }), screen)
	env.Out = out
	if p.Fields == nil {
		return
	}
	for _, format := range []string{"json", "yaml"} {
		out.Reset()
		execute(append(argv, "-o", format)...)
		Result(t, newRoot, env.Plugin+" "+argv[0], format, out.Bytes(), p.Code, p.Fields...)
	}
}
