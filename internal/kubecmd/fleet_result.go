package kubecmd

import (
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/ui"
)

// fleetResult is what a run into several contexts came to, for `-o json` and
// yaml. It has the fields of cli.Failure. Fields are added and never renamed.
type fleetResult struct {
	Command  string `json:"command"`
	Tag      string `json:"tag,omitempty"`
	DryRun   string `json:"dryRun,omitempty"`
	End      string `json:"end"` // the worst of the contexts'
	ExitCode int    `json:"exitCode"`
	Error    string `json:"error,omitempty"`
	// Contexts are in the order of the waves; the end of one whose turn did not
	// come is "not-started".
	Contexts []result               `json:"contexts"`
	Manifest *stampResult           `json:"manifest,omitempty"`
	Seconds  float64                `json:"seconds"`
	Findings []*pipeline.Finding    `json:"findings"`
	Stages   []pipeline.StageRecord `json:"stages"`
}

// stampResult is what became of the checkout's file.
type stampResult struct {
	File     string `json:"file"`
	Image    string `json:"image"` // that it names now
	Restored bool   `json:"restored"`
}

// notStarted is the end of a context whose turn did not come.
const notStarted = "not-started"

func (f *fleet) result(out pipeline.Outcome) fleetResult {
	res := fleetResult{Command: "kubectl sbw " + f.command(), Tag: f.tag, End: ui.EndWord(out.End), ExitCode: out.ExitCode(),
		Seconds: out.Duration.Seconds(), Findings: cli.Findings(out), Stages: out.Stages, Manifest: f.stamped(out)}
	if f.dryRun != "none" {
		res.DryRun = f.dryRun
	}
	if out.Err != nil {
		res.Error = out.Err.Error()
	}
	for _, m := range f.members {
		one := m.rollout.result(m.out)
		one.End = m.word()
		res.Contexts = append(res.Contexts, one)
	}
	return res
}

func (f *fleet) stamped(out pipeline.Outcome) *stampResult {
	written := f.members[0].written
	if len(written) == 0 {
		return nil
	}
	s := &stampResult{File: written[0].File, Image: written[len(written)-1].New}
	for _, stage := range out.Stages {
		if stage.Name == "undo stamp" && stage.Error == "" && stage.Skipped == "" {
			s.Image, s.Restored = written[0].Old, true
		}
	}
	return s
}

// word is how it ended in one context.
func (m *member) word() string {
	switch {
	case m.out.Refused:
		return ui.EndWord(pipeline.RefusedByPreflight)
	case m.command == "doctor":
		return ui.EndWord(pipeline.Done)
	case !m.started:
		return notStarted
	}
	return ui.EndWord(m.out.End)
}

// cause is the code of what ended it.
func (m *member) cause() string {
	for _, f := range cli.Findings(m.out) {
		if f.Severity == pipeline.Error {
			return string(f.Code)
		}
	}
	if m.out.Interrupted {
		return "interrupted"
	}
	return "-"
}

// runs is the image that the context has now.
func (m *member) runs() string {
	switch {
	case m.command != "doctor" && m.started && m.out.End == pipeline.Done:
		return shortImage(m.current())
	case m.started && m.out.End == pipeline.Left:
		return "?"
	}
	return shortImage(m.previous())
}

// shortImage is a reference without what is the same in every row.
func shortImage(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	if ref == "" {
		return "-"
	}
	return path.Base(ref)
}

// print writes one line a context, or the whole result as asked.
func (f *fleet) print(out pipeline.Outcome) error {
	switch {
	case f.output == "json" || f.output == "yaml":
		return cli.PrintObject(f.env.Out, f.output, f.result(out))
	case f.dryRun != "none" && out.End == pipeline.Done:
		for _, m := range f.members {
			if _, err := fmt.Fprintf(f.env.Out, "# context %s\n", m.name); err != nil {
				return err
			}
			if err := m.rollout.print(m.out); err != nil {
				return err
			}
		}
		return nil
	case f.output == "name":
		for _, m := range f.members {
			if m.started && m.out.End == pipeline.Done {
				if _, err := fmt.Fprintf(f.env.Out, "%s/%s\n", m.name, m.ref); err != nil {
					return err
				}
			}
		}
		return nil
	}
	rows := ui.NewRows(f.env.Style(f.env.Out), "CONTEXT", "IMAGE", "VERDICT", "CAUSE", "TIME", "RESTORED")
	for _, m := range f.members {
		took := "-"
		if m.started {
			took = ui.FormatDuration(m.out.Duration.Round(100 * time.Millisecond))
		}
		back := "-"
		if all := m.restored(m.out); len(all) > 0 {
			back = m.ref.String()
		}
		rows.Add(m.name, m.runs(), m.word(), m.cause(), took, back)
	}
	if err := rows.Print(f.env.Out); err != nil {
		return err
	}
	if s := f.stamped(out); s != nil {
		state := "names "
		if s.Restored {
			state = "was put back: "
		}
		return f.env.Notef("%s %s%s", f.short(s.File), state, s.Image)
	}
	return nil
}
