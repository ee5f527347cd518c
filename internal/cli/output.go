package cli

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/ui"
)

// OutputMode says how much of a run is written to stderr, and in which form.
type OutputMode struct {
	Quiet, Verbose, Events bool
	// Logs includes the log lines of libraries, as Verbose does.
	Logs bool
}

// AddOutputFlags adds --quiet, --verbose and --events to c and the commands below it.
func AddOutputFlags(c *cobra.Command, env *Env) {
	f := c.PersistentFlags()
	f.BoolVarP(&env.Mode.Quiet, "quiet", "q", false, "print only warnings, errors and the result")
	f.BoolVar(&env.Mode.Verbose, "verbose", false, "print every detail")
	f.BoolVar(&env.Mode.Events, "events", false, "print progress as JSON lines on stderr")
	c.MarkFlagsMutuallyExclusive("quiet", "verbose")
}

func (e *Env) flags() ui.Flags {
	return ui.Flags{Program: e.Plugin, Quiet: e.Mode.Quiet, Verbose: e.Mode.Verbose, Events: e.Mode.Events}
}

// ui returns the options for the view on e.Err.
func (e *Env) ui() ui.Options {
	if f, ok := e.Err.(*os.File); ok {
		return ui.FromEnv(f, e.flags())
	}
	o := ui.Options{Err: e.Err, Style: e.Style(e.Err), Verbose: e.Mode.Verbose}
	if e.Mode.Events {
		o.Mode = ui.Events
	} else if e.Mode.Quiet {
		o.Mode = ui.Quiet
	}
	return o
}

// Style returns the style for text that is written to w: with the colours and the width
// of its terminal, or plain.
func (e *Env) Style(w io.Writer) ui.Style {
	if f, ok := w.(*os.File); ok {
		return ui.StyleOf(f, e.flags())
	}
	return ui.Style{Program: e.Plugin}
}

// fail reports the findings that ended a command outside of a run.
func (e *Env) fail(findings []*pipeline.Finding) error {
	if e.Mode.Events {
		return ui.New(e.ui()).Fail(findings)
	}
	return ui.PrintFindings(e.Err, e.Style(e.Err), findings)
}

// Warn reports an error that came up after the work was done. It becomes a warning,
// whatever its severity.
func (e *Env) Warn(during string, err error) {
	found := pipeline.AsFindings(during, err)
	for i, f := range found {
		found[i] = f.WithSeverity(pipeline.Warning)
	}
	// If stderr is gone, nobody would see the error either.
	_ = e.Report(found)
}

// Report prints findings outside of a run, and puts them into the document.
func (e *Env) Report(found []*pipeline.Finding) error {
	e.reported = append(e.reported, found...)
	if !e.Mode.Events {
		return ui.PrintFindings(e.Err, e.Style(e.Err), found)
	}
	events := ui.New(e.ui())
	for _, f := range found {
		events.Emit(pipeline.Event{Kind: pipeline.Found, Finding: f})
	}
	return events.Stop()
}

// Notef prints a line on stderr outside of a run.
func (e *Env) Notef(format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if !e.Mode.Events {
		_, err := fmt.Fprintln(e.Err, text)
		return err
	}
	events := ui.New(e.ui())
	events.Emit(pipeline.Event{Kind: pipeline.Noted, Text: text})
	return events.Stop()
}

// Run runs p, reports it as the flags say, and returns its outcome. The error is nil
// after success; otherwise it makes the process exit with the outcome's code. next has a
// hint about what to do for ends that leave something to do.
func (e *Env) Run(ctx context.Context, p pipeline.Pipeline, next map[pipeline.End]string) (pipeline.Outcome, error) {
	return e.RunAll(p, next, func(sink pipeline.Sink) pipeline.Outcome { return pipeline.Run(ctx, p, sink) })
}

// RunAll is Run for a command that consists of several pipelines: run sends the events of
// all of them to sink and returns one combined outcome. p is the plan. run may still add
// to next.
func (e *Env) RunAll(
	p pipeline.Pipeline,
	next map[pipeline.End]string,
	run func(pipeline.Sink) pipeline.Outcome,
) (pipeline.Outcome, error) {
	o := e.ui()
	o.Next = next
	view := ui.New(o)
	e.show(view)
	defer func() {
		e.restoreTerminal()
		e.show(nil)
	}()
	view.Plan(p)
	out := run(view)
	e.last = &out
	if err := view.Close(out); err != nil && out.Err == nil && !isClosed(err) {
		return out, err
	}
	if out.ExitCode() != 0 {
		return out, &ExitError{out.ExitCode()}
	}
	return out, nil
}

func (e *Env) show(u *ui.UI) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.shown = u
}
