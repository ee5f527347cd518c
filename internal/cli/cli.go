// Package cli is what the command layers of both plugins share: the process's
// frame (signals, exit code), the flags that say how a run is told, and the
// commands that are the same in both.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/release"
	"github.com/joelhooks/gh-sbw/internal/ui"
)

// Env is the world a command runs in. Tests make their own.
type Env struct {
	// Plugin is how users call the program: "gh sbw", "kubectl sbw".
	Plugin  string
	Version string
	In      io.Reader
	Out     io.Writer
	Err     io.Writer
	Getenv  func(string) string
	// Dir is the directory that relative paths are meant from.
	Dir  string
	Tell Telling

	mu    sync.Mutex
	shown *ui.UI // the one that tells of a run right now
	last  *pipeline.Outcome

	// outputs are the commands that print documents, document what the one that
	// runs has handed over, and reported what it has found outside of a run.
	outputs  map[*cobra.Command]output
	document Document
	reported []*pipeline.Finding
	// schemasOnly says that stdout holds schemas, and no document follows.
	schemasOnly bool
}

// restore gives the terminal back as it was, whatever is being shown on it.
func (e *Env) restore() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.shown != nil {
		// The process is about to end; there is nobody left to tell of a fault.
		_ = e.shown.Stop()
	}
}

func (e *Env) show(u *ui.UI) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.shown = u
}

// tellInterrupted says in the midst of a run that it has understood: what is
// put back may take its time.
func (e *Env) tellInterrupted() {
	e.mu.Lock()
	u := e.shown
	e.mu.Unlock()
	if u != nil {
		// A run that has just ended has said so itself.
		_, _ = fmt.Fprintln(u.Log(), "interrupted: ending in order; a second interrupt ends at once and puts nothing back")
	}
}

// Telling is how a run is told on stderr.
type Telling struct {
	Quiet, Verbose, Events bool
	// Logs tells the log lines of libraries, which Verbose does too.
	Logs bool
}

// ExitError ends the process with a code without a word: all has been said.
type ExitError struct{ Code int }

func (e *ExitError) Error() string { return fmt.Sprintf("exit code %d", e.Code) }

// Main runs the command that build makes, in the real world, and returns the
// process's exit code.
func Main(plugin string, build func(*Env) *cobra.Command) int {
	dir, err := os.Getwd()
	if err != nil {
		fmt.Fprintf(os.Stderr, "error: the current directory is gone: %v; change to one that exists\n", err)
		return int(pipeline.Usage)
	}
	env := &Env{Plugin: plugin, Version: release.Version().Version, In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, Dir: dir}
	release := env.adoptStrays()
	defer release()
	ctx, stop := withSignals(context.Background(), env)
	defer stop()
	surviveClosedPipes()
	args := completionRequest(os.Args[0], os.Args[1:])
	hint := newerRelease(ctx, env, args)
	code := Execute(ctx, env, build(env), args)
	if hint != "" && !env.Tell.Quiet && !env.Tell.Events {
		fmt.Fprintln(env.Err, hint)
	}
	return code
}

// oneInterrupt is how far apart two signals are that are meant as two.
const oneInterrupt = 300 * time.Millisecond

// endingSignals are those that end a run in order. A closed terminal sends SIGHUP;
// nohup has it ignored, and that stays so.
func endingSignals() []os.Signal {
	all := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		all = append(all, syscall.SIGHUP)
	}
	return all
}

// surviveClosedPipes keeps a reader that goes away (`… | head`) from killing the
// process: without this, Go ends it at the next write to its stdout or stderr.
// Writes fail instead, and a run goes on to its end. The signal is not ignored,
// because children would inherit that.
func surviveClosedPipes() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// isClosed reports that whoever read an output has gone: a pipe's reader (EPIPE)
// or a terminal (EIO).
func isClosed(err error) bool { return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.EIO) }

// withSignals ends the context with the cause pipeline.ErrInterrupted at the
// first SIGINT, SIGTERM or SIGHUP. A second one ends the process there and then: the
// user does not want to wait for what is being put back.
// The terminal is given back before that.
//
// Signals that come together are one: timeout(1) and process managers tell the
// process and then its whole group, and nobody has asked for the end twice.
func withSignals(parent context.Context, env *Env) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, endingSignals()...)
	done := make(chan struct{})
	go func() {
		select {
		case <-signals:
			cancel(pipeline.ErrInterrupted)
			env.tellInterrupted()
		case <-done:
			return
		}
		for first := time.Now(); ; {
			select {
			case <-signals:
				if time.Since(first) < oneInterrupt {
					continue
				}
				env.restore()
				fmt.Fprintln(env.Err, "interrupted twice: ended without putting anything back; run the same command again to go on")
				os.Exit(int(pipeline.Interrupted))
			case <-done:
				return
			}
		}
	}()
	return ctx, func() { signal.Stop(signals); close(done); cancel(nil) }
}

// Execute runs root with args and returns the exit code. Every error that no
// run has told is printed here, in the one shape.
func Execute(ctx context.Context, env *Env, root *cobra.Command, args []string) int {
	out := &stdout{Writer: env.Out}
	env.Out, env.last, env.document, env.reported, env.schemasOnly = out, nil, nil, nil, false
	defer func() { env.Out = out.Writer }()
	root.SetArgs(args)
	root.SetIn(env.In)
	root.SetOut(env.Out)
	root.SetErr(env.Err)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return pipeline.UsageErrorf(
			CodeUsage,
			fmt.Sprintf("see `%s --help`", commandName(env, c)),
			"%s",
			parsing.ReplaceAllString(err.Error(), ""),
		)
	})
	ran, err := root.ExecuteContextC(ctx)
	if isClosed(err) {
		// Nobody reads the result any more. What became of a run is its exit code.
		if env.last != nil {
			return env.last.ExitCode()
		}
		return int(pipeline.Unchanged)
	}
	code, found := env.verdict(ctx, ran, err)
	if code != 0 {
		env.writeFailure(ran, code, found)
	}
	if err := env.printDocument(ctx, ran, args, code, found); err != nil && code == 0 && (env.last == nil || !isClosed(err)) {
		// Findings of a broken stdout go the way of all others.
		_ = env.fail(pipeline.AsFindings("cannot write the result", err))
		return int(pipeline.Unchanged)
	}
	return code
}

// verdict is the exit code that a command's error means, with the findings that
// no run has reported. They are printed here.
func (env *Env) verdict(ctx context.Context, ran *cobra.Command, err error) (int, []*pipeline.Finding) {
	if err == nil {
		return 0, nil
	}
	if exit, ok := errors.AsType[*ExitError](err); ok {
		return exit.Code, nil
	}
	findings := pipeline.AsFindings(env.Plugin, err)
	if isCobraUsage(err) {
		findings = []*pipeline.Finding{usageError(env, ran, err)}
	}
	if err := env.fail(findings); err != nil {
		return int(pipeline.Unchanged), findings // stderr is gone: nobody reads it
	}
	code := int(pipeline.Unchanged)
	for _, f := range findings {
		if f.End != 0 {
			code = int(f.End)
		}
	}
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), pipeline.ErrInterrupted) {
		code = int(pipeline.Interrupted)
	}
	return code, findings
}

// fail tells what ended a command outside of a run.
func (e *Env) fail(findings []*pipeline.Finding) error {
	if e.Tell.Events {
		return ui.New(e.ui()).Fail(findings)
	}
	return ui.PrintFindings(e.Err, e.Style(e.Err), findings)
}

// parsing is how the library that reads numbers begins its errors; the text that
// it quotes has been quoted before.
var parsing = lazyregexp.New(`strconv\.\w+: parsing "(\\.|[^"\\])*": `)

// together is what cobra says of flags that exclude each other.
var together = lazyregexp.New(`^if any flags in the group .* none of the others can be; \[(.*)\] were all set$`)

// usageError words what cobra has said of a command line.
func usageError(env *Env, c *cobra.Command, err error) *pipeline.Finding {
	what := err.Error()
	// What cobra calls an unknown command is an argument too many where there
	// are no commands below.
	if rest, ok := strings.CutPrefix(what, "unknown command "); ok && !c.HasSubCommands() {
		if quoted, qerr := strconv.QuotedPrefix(rest); qerr == nil {
			what = fmt.Sprintf("`%s` takes no argument, and %s is one", commandName(env, c), quoted)
		}
	}
	if m := together.FindStringSubmatch(what); m != nil {
		what = "--" + strings.ReplaceAll(m[1], " ", " and --") + " exclude each other"
	}
	return pipeline.UsageErrorf(CodeUsage, "see `"+commandName(env, c)+" --help`", "%s", what)
}

// isCobraUsage tells cobra's own complaints, which have no type of their own
// (cobra command.go, args.go).
func isCobraUsage(err error) bool {
	for _, prefix := range []string{"unknown command", "accepts ", "requires ", "required flag", "if any flags in the group", "at least one of the flags"} {
		if strings.HasPrefix(err.Error(), prefix) {
			return true
		}
	}
	return false
}

// commandName is the command as the user types it: "gh sbw publish".
func commandName(env *Env, c *cobra.Command) string {
	below := strings.TrimPrefix(c.CommandPath(), c.Root().CommandPath())
	return env.Plugin + below
}

// AddTelling adds the flags that say how a run is told.
func AddTelling(c *cobra.Command, env *Env) {
	f := c.PersistentFlags()
	f.BoolVarP(&env.Tell.Quiet, "quiet", "q", false, "tell nothing but errors and the result")
	f.BoolVar(&env.Tell.Verbose, "verbose", false, "tell every detail")
	f.BoolVar(&env.Tell.Events, "events", false, "tell the story as JSON lines on stderr")
	c.MarkFlagsMutuallyExclusive("quiet", "verbose")
}

func (e *Env) flags() ui.Flags {
	return ui.Flags{Program: e.Plugin, Quiet: e.Tell.Quiet, Verbose: e.Tell.Verbose, Events: e.Tell.Events}
}

// ui are the options of how a run is told on e.Err.
func (e *Env) ui() ui.Options {
	if f, ok := e.Err.(*os.File); ok {
		return ui.FromEnv(f, e.flags())
	}
	o := ui.Options{Err: e.Err, Style: e.Style(e.Err), Verbose: e.Tell.Verbose}
	if e.Tell.Events {
		o.Mode = ui.Events
	} else if e.Tell.Quiet {
		o.Mode = ui.Quiet
	}
	return o
}

// Style is how text written to w is dressed: as its terminal can show it, or
// plainly.
func (e *Env) Style(w io.Writer) ui.Style {
	if s, ok := w.(*stdout); ok {
		w = s.Writer
	}
	if f, ok := w.(*os.File); ok {
		return ui.StyleOf(f, e.flags())
	}
	return ui.Style{Program: e.Plugin}
}

// Warn tells what went wrong after the work was done: it is a warning, however
// grave it would have been before.
func (e *Env) Warn(during string, err error) {
	found := pipeline.AsFindings(during, err)
	for i, f := range found {
		found[i] = f.WithSeverity(pipeline.Warning)
	}
	// Nobody is left to tell when stderr is gone.
	_ = e.Report(found)
}

// Report tells findings outside of a run.
func (e *Env) Report(found []*pipeline.Finding) error {
	e.reported = append(e.reported, found...)
	if !e.Tell.Events {
		return ui.PrintFindings(e.Err, e.Style(e.Err), found)
	}
	told := ui.New(e.ui())
	for _, f := range found {
		told.Emit(pipeline.Event{Kind: pipeline.Found, Finding: f})
	}
	return told.Stop()
}

// Notef tells a line outside of a run.
func (e *Env) Notef(format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if !e.Tell.Events {
		_, err := fmt.Fprintln(e.Err, text)
		return err
	}
	told := ui.New(e.ui())
	told.Emit(pipeline.Event{Kind: pipeline.Noted, Text: text})
	return told.Stop()
}

// Run runs p, telling it as the flags say, and returns its outcome with the
// error that ends the process with the outcome's exit code, nil when done.
// next says, for an end that leaves something to do, what to type.
func (e *Env) Run(ctx context.Context, p pipeline.Pipeline, next map[pipeline.End]string) (pipeline.Outcome, error) {
	return e.RunAll(p, next, func(sink pipeline.Sink) pipeline.Outcome { return pipeline.Run(ctx, p, sink) })
}

// RunAll is Run for a command that is made of several pipelines: run tells sink
// of all of them and returns what they came to together. p is what is planned.
// run may still write into next.
func (e *Env) RunAll(
	p pipeline.Pipeline,
	next map[pipeline.End]string,
	run func(pipeline.Sink) pipeline.Outcome,
) (pipeline.Outcome, error) {
	o := e.ui()
	o.Next = next
	told := ui.New(o)
	e.show(told)
	defer func() {
		e.restore()
		e.show(nil)
	}()
	told.Plan(p)
	out := run(told)
	e.last = &out
	if err := told.Close(out); err != nil && out.Err == nil && !isClosed(err) {
		return out, err
	}
	if out.ExitCode() != 0 {
		return out, &ExitError{out.ExitCode()}
	}
	return out, nil
}
