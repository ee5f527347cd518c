// Package clitest checks what commands print for programs. Document checks one output of a
// command against the contract that `explain --schema` prints: it is exactly one document,
// has every required field, and is valid according to the command's own JSON schema.
package clitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Document checks stdout, which command ("gh sbw publish") printed in the format
// json or yaml, and returns it.
func Document(t testing.TB, newRoot func(*cli.Env) *cobra.Command, command, format string, stdout []byte) map[string]any {
	t.Helper()
	plugin := strings.Join(strings.Fields(command)[:2], " ")
	env := &cli.Env{Plugin: plugin, Out: io.Discard, Err: io.Discard, Getenv: func(string) string { return "" }, Dir: t.TempDir()}
	documents := cli.Documents(env, newRoot(env))
	d, ok := documents[command]
	if !ok {
		t.Fatalf("%s prints no document", command)
	}
	text := one(t, format, stdout)
	got, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := compile(t, command, d).Validate(got); err != nil {
		t.Errorf("%s -o %s: %v\n%s", command, format, err, stdout)
	}
	if strings.Contains(string(text), "0001-01-01T") {
		t.Errorf("%s -o %s prints an unknown time\n%s", command, format, stdout)
	}
	doc, ok := got.(map[string]any)
	if !ok {
		t.Fatalf("%s -o %s prints %T", command, format, got)
	}
	if doc["command"] != command {
		t.Errorf("command is %v, want %s", doc["command"], command)
	}
	known := map[string]bool{}
	for _, f := range cli.Fields(d) {
		known[f.Name] = true
		if f.Doc == "" {
			t.Errorf("%s: field %s is not documented", command, f.Name)
		}
	}
	for name := range doc {
		if !known[name] {
			t.Errorf("%s prints %s, which is not in its schema", command, name)
		}
	}
	return doc
}

// Result checks stdout as Document does, and that the document has the outcome of its
// command and these fields besides the head.
func Result(
	t testing.TB, newRoot func(*cli.Env) *cobra.Command, command, format string, stdout []byte, end pipeline.End, fields ...string,
) {
	t.Helper()
	doc := Document(t, newRoot, command, format, stdout)
	if got := doc["exitCode"].(json.Number).String(); got != strconv.Itoa(int(end)) {
		t.Errorf("exitCode %s, want %d", got, end)
	}
	if doc["end"] != end.Word() {
		t.Errorf("end %s, want %s", doc["end"], end.Word())
	}
	for _, f := range fields {
		if _, ok := doc[f]; !ok {
			t.Errorf("no %s in\n%s", f, stdout)
		}
	}
}

// EveryCommand checks that a table tests each command of a plugin. Commands that both
// plugins have are tested in internal/cli.
func EveryCommand(t testing.TB, root *cobra.Command, tested map[string]bool) {
	t.Helper()
	for _, c := range root.Commands() {
		if name := c.Name(); !c.Hidden && name != "explain" && name != "completion" && !tested[name] {
			t.Errorf("%s is not tested here", name)
		}
	}
}

// one returns the only document of an output, as JSON.
func one(t testing.TB, format string, stdout []byte) []byte {
	t.Helper()
	var v any
	var err, more error
	if format == "yaml" {
		docs := yaml.NewDecoder(bytes.NewReader(stdout))
		err = docs.Decode(&v)
		more = docs.Decode(new(any))
	} else {
		docs := json.NewDecoder(bytes.NewReader(stdout))
		err = docs.Decode(&v)
		more = docs.Decode(new(any))
	}
	if err != nil || !errors.Is(more, io.EOF) {
		t.Fatalf("stdout is not exactly one document of %s: %v, %v\n%q", format, err, more, stdout)
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func compile(t testing.TB, command string, d cli.Document) *jsonschema.Schema {
	t.Helper()
	text, err := json.Marshal(cli.Schema(command, d))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("schema.json", raw); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}
