package cli

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/ui"
)

// Failure is what a command that failed writes to stdout with -o json or yaml
// where it has no result of its own to write. A result that tells of a run has
// these fields too, so that one reader serves for both.
type Failure struct {
	Command  string                 `json:"command"`          // "kubectl sbw rollout"
	End      string                 `json:"end"`              // done, unchanged, usage, refused, restored, left, interrupted
	ExitCode int                    `json:"exitCode"`         // as in the README's table
	Error    string                 `json:"error"`            // in one line
	Findings []*pipeline.Finding    `json:"findings"`         // each with code, severity, what, why, fix, where
	Stages   []pipeline.StageRecord `json:"stages,omitempty"` // of a run
}

// stdout counts what is written, so that a failure is told once: by the
// command's own result, or else by a Failure.
type stdout struct {
	io.Writer
	wrote bool
}

func (s *stdout) Write(p []byte) (int, error) {
	s.wrote = s.wrote || len(p) > 0
	return s.Writer.Write(p)
}

// writeFailure tells a failure on stdout where -o asks for an object and none
// was written.
func (e *Env) writeFailure(c *cobra.Command, code int, found []*pipeline.Finding) {
	flag := c.Flags().Lookup("output")
	if _, has := e.outputs[c]; has || flag == nil {
		return
	}
	format := flag.Value.String()
	if out, ok := e.Out.(*stdout); format != "json" && format != "yaml" || ok && out.wrote {
		return
	}
	f := Failure{Command: commandName(e, c), End: ui.EndWord(pipeline.End(code)), ExitCode: code, Findings: found}
	if out := e.last; out != nil {
		f.End, f.Stages, f.Findings = ui.EndWord(out.End), out.Stages, Findings(*out)
	}
	if f.Findings == nil {
		f.Findings = []*pipeline.Finding{}
	}
	for i := range f.Findings {
		if f.Findings[i].Severity == pipeline.Error {
			f.Error = f.Findings[i].Error()
			break
		}
	}
	// Stderr has told it already; a reader of stdout that is gone misses nothing.
	_ = PrintObject(e.Out, format, f)
}

// Findings are all findings of a run, each once.
func Findings(out pipeline.Outcome) []*pipeline.Finding { return out.All() }
