package cli

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Document is what a command prints with -o json or yaml: a struct that embeds Head. A
// command prints exactly one on stdout, even if it fails. The exported fields have a
// `doc` tag, from which `explain --schema` and the README's table are made.
type Document interface{ head() *Head }

// Head is the beginning of every document. Execute fills it in.
type Head struct {
	Command  string                 `json:"command" doc:"the command, such as gh sbw publish"`
	End      string                 `json:"end" enum:"done,unchanged,usage,refused,restored,left,interrupted" doc:"what became of the changes: done, unchanged, usage, refused, restored, left, interrupted"`
	ExitCode int                    `json:"exitCode" doc:"the exit code; after an interrupt it is 130, and end says what became of the changes"`
	Error    string                 `json:"error" doc:"what ended the command, in one line; empty when nothing did"`
	Findings []*pipeline.Finding    `json:"findings" doc:"everything that was found, each with code, severity, what, why, fix, where, evidence"`
	Stages   []pipeline.StageRecord `json:"stages" doc:"what was done, each with name, started, duration (nanoseconds), skipped, error"`
}

func (h *Head) head() *Head { return h }

// output lists the values that a command's -o accepts.
type output struct {
	format    *string
	prototype func() Document
}

// AddDocument adds -o to c. It accepts the command's own formats, and json and yaml,
// which print a document of the type that prototype returns. The command passes its
// document to Env.SetDocument, and prints the other formats itself.
func AddDocument(env *Env, c *cobra.Command, value *string, prototype func() Document, formats ...string) {
	formats = append(formats, "json", "yaml")
	c.Flags().StringVarP(value, "output", "o", "", "format of the result: "+strings.Join(formats, ", "))
	c.PreRunE = func(*cobra.Command, []string) error {
		if *value == "" || slices.Contains(formats, *value) {
			return nil
		}
		return pipeline.UsageErrorf(
			pipeline.CodeUsage,
			"use one of "+strings.Join(formats, ", "),
			"-o %q is not a format of this command",
			*value,
		)
	}
	Complete(c, "output", formats...)
	if env.outputs == nil {
		env.outputs = map[*cobra.Command]output{}
	}
	env.outputs[c] = output{value, prototype}
}

// IsDocument reports whether a value of -o prints a document.
func IsDocument(format string) bool { return format == "json" || format == "yaml" }

// SetDocument sets the command's document. If -o asks for one, it is printed when the
// command has ended; otherwise nothing happens.
func (e *Env) SetDocument(d Document) { e.document = d }

// printDocument prints the command's document, or one with only the head. found are the
// findings that ended the command outside of a run.
func (e *Env) printDocument(ctx context.Context, c *cobra.Command, args []string, code int, found []*pipeline.Finding) error {
	o, ok := e.outputs[c]
	format := ""
	if ok {
		format = *o.format
	}
	if format == "" && code == int(pipeline.Usage) {
		format = askedFor(args) // parsing the flags may have failed before -o
	}
	if !IsDocument(format) || e.noDocument {
		return nil
	}
	doc := e.document
	switch {
	case doc != nil:
	case ok:
		doc = o.prototype()
	default:
		doc = &struct{ Head }{}
	}
	e.fill(ctx, doc.head(), c, code, found)
	fillEmpty(doc)
	return PrintObject(e.Out, format, doc)
}

// NewHead makes the head for a part of a document that has a run of its own. Execute
// makes the head of the document itself.
func NewHead(command string, out pipeline.Outcome) Head {
	h := Head{Command: command, End: out.End.Word(), ExitCode: out.ExitCode(), Findings: out.All(), Stages: out.Stages}
	h.explain(out.Err)
	return h
}

func (e *Env) fill(ctx context.Context, h *Head, c *cobra.Command, code int, found []*pipeline.Finding) {
	*h = Head{Command: commandName(e, c), ExitCode: code, End: pipeline.End(code).Word()}
	all := []*pipeline.Finding{}
	err := context.Cause(ctx)
	if !errors.Is(err, pipeline.ErrInterrupted) {
		err = nil
	}
	if e.last != nil {
		h.End, h.Stages = e.last.End.Word(), e.last.Stages
		all = e.last.All()
		err = cmp.Or(err, e.last.Err)
	}
	var once pipeline.Reported
	for _, f := range slices.Concat(all, e.reported, found) {
		if once.First(f) {
			h.Findings = append(h.Findings, f)
		}
	}
	h.explain(err)
}

// explain sets the error of a command that has failed: the first finding with the
// severity error, or else err.
func (h *Head) explain(err error) {
	if h.ExitCode == int(pipeline.Done) {
		return
	}
	for _, f := range h.Findings {
		if f.Severity == pipeline.Error {
			h.Error = f.Error()
			return
		}
	}
	if err != nil {
		h.Error = err.Error()
	}
}

// askedFor guesses the format of -o on a command line that could not be parsed.
func askedFor(args []string) string {
	for i, a := range args {
		switch name, value, given := strings.Cut(a, "="); {
		case a == "--":
			return ""
		case (name == "--output" || name == "-o") && given:
			return value
		case (a == "--output" || a == "-o") && i+1 < len(args):
			return args[i+1]
		case strings.HasPrefix(a, "-o"):
			return cmp.Or(strings.TrimPrefix(a, "-o"), "")
		}
	}
	return ""
}
