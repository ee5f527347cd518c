// Package cli contains what the command lines of both plugins share: signals and exit
// codes, the flags that control the output, help in the style of each plugin's host, and
// the commands that both plugins have.
//
// A plugin's main calls Main with a function that makes its command tree; tests call
// Execute with an Env of their own. A command prints its result for people itself, and
// passes the document for programs to Env.SetDocument. There is no other way to print a
// document, so there is always exactly one, even if the command fails.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/release"
	"github.com/joelhooks/gh-sbw/internal/ui"
)

// Env is the environment that a command runs in. Tests make their own.
type Env struct {
	// Plugin is how users call the program: "gh sbw", "kubectl sbw".
	Plugin  string
	Version string
	In      io.Reader
	Out     io.Writer
	Err     io.Writer
	Getenv  func(string) string
	// Dir is the directory that relative paths start from.
	Dir  string
	Mode OutputMode

	mu    sync.Mutex
	shown *ui.UI // the view of the current run
	last  *pipeline.Outcome

	// outputs lists the commands that print documents. document was set by the
	// current command, and reported holds its findings outside of a run.
	outputs  map[*cobra.Command]output
	document Document
	reported []*pipeline.Finding
	// unwritten is the error of writing help: cobra's help functions return none.
	unwritten error
	// noDocument means that the command has written a schema to stdout instead of a
	// document.
	noDocument bool
}

// ExitError ends the process with a code and prints nothing, because everything has
// been reported.
type ExitError struct{ Code int }

func (e *ExitError) Error() string { return fmt.Sprintf("exit code %d", e.Code) }

// Main runs the command that build makes with the process's arguments and environment,
// and returns the exit code.
func Main(plugin string, build func(*Env) *cobra.Command) int {
	dir, err := os.Getwd()
	if err != nil {
		fmt.Fprintf(os.Stderr, "error: the current directory is gone: %v; change to one that exists\n", err)
		return int(pipeline.Usage)
	}
	env := &Env{Plugin: plugin, Version: release.Version().Version, In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, Dir: dir}
	release := env.captureStderr()
	defer release()
	ctx, stop := withSignals(context.Background(), env)
	defer stop()
	surviveClosedPipes()
	args := completionRequest(os.Args[0], os.Args[1:])
	hint := releaseNotice(ctx, env, args)
	code := Execute(ctx, env, build(env), args)
	if hint != "" && !env.Mode.Quiet && !env.Mode.Events {
		fmt.Fprintln(env.Err, hint)
	}
	return code
}

// Execute runs root with args and returns the exit code. It prints every error that
// no run has reported, and the command's document if -o asks for one.
func Execute(ctx context.Context, env *Env, root *cobra.Command, args []string) int {
	env.last, env.document, env.reported, env.noDocument, env.unwritten = nil, nil, nil, false, nil
	root.SetArgs(args)
	root.SetIn(env.In)
	root.SetOut(env.Out)
	root.SetErr(env.Err)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return pipeline.UsageErrorf(
			pipeline.CodeUsage,
			fmt.Sprintf("see `%s --help`", commandName(env, c)),
			"%s",
			parsing.ReplaceAllString(err.Error(), ""),
		)
	})
	ran, err := root.ExecuteContextC(ctx)
	if err == nil {
		err = env.unwritten
	}
	if isClosed(err) {
		// Nobody reads the result any more. The exit code still reports the run's outcome.
		if env.last != nil {
			return env.last.ExitCode()
		}
		return int(pipeline.Unchanged)
	}
	code, found := env.verdict(ctx, ran, err)
	if err := env.printDocument(ctx, ran, args, code, found); err != nil && code == 0 && (env.last == nil || !isClosed(err)) {
		code, _ = env.verdict(ctx, ran, err)
	}
	return code
}

// verdict prints the findings in a command's error that no run has reported, and returns
// them with the exit code.
func (e *Env) verdict(ctx context.Context, ran *cobra.Command, err error) (int, []*pipeline.Finding) {
	if err == nil {
		return 0, nil
	}
	if exit, ok := errors.AsType[*ExitError](err); ok {
		return exit.Code, nil
	}
	findings := pipeline.AsFindings(e.Plugin, err)
	interrupted := ctx.Err() != nil && errors.Is(context.Cause(ctx), pipeline.ErrInterrupted)
	if interrupted && !slices.ContainsFunc(findings, func(f *pipeline.Finding) bool { return !f.Unexplained() }) {
		e.interrupted()
		return int(pipeline.Interrupted), nil
	}
	switch {
	case isCobraUsage(err):
		findings = []*pipeline.Finding{usageError(e, ran, err)}
	case e.isUnwritable(err):
		findings = []*pipeline.Finding{e.unwritable(err)}
	}
	if err := e.fail(findings); err != nil {
		return int(pipeline.Unchanged), findings // stderr is gone: nobody reads it
	}
	code := int(pipeline.Unchanged)
	for _, f := range findings {
		if f.End != 0 {
			code = int(f.End)
		}
	}
	if interrupted {
		code = int(pipeline.Interrupted)
	}
	return code, findings
}

// interrupted prints that a command outside of a run was interrupted. What it was doing at
// that moment says nothing.
func (e *Env) interrupted() {
	if !e.Mode.Events {
		fmt.Fprintln(e.Err, pipeline.ErrInterrupted)
	}
}

// parsing matches the beginning of strconv's errors. The text that it quotes is also
// quoted by pflag.
var parsing = lazyregexp.New(`strconv\.\w+: parsing "(\\.|[^"\\])*": `)

// together matches cobra's message about flags that exclude each other.
var together = lazyregexp.New(`^if any flags in the group .* none of the others can be; \[(.*)\] were all set$`)

// arguments matches cobra's message about the number of arguments (cobra args.go).
var arguments = lazyregexp.New(`^(?:accepts|requires) (.*?) ?arg\(s\), (?:only )?received (\d+)$`)

// usageError rewords cobra's complaint about a command line.
func usageError(env *Env, c *cobra.Command, err error) *pipeline.Finding {
	what := err.Error()
	// If there are no subcommands, what cobra calls an unknown command is an
	// unexpected argument.
	if rest, ok := strings.CutPrefix(what, "unknown command "); ok && !c.HasSubCommands() {
		if quoted, qerr := strconv.QuotedPrefix(rest); qerr == nil {
			if word, qerr := strconv.Unquote(quoted); qerr == nil {
				if flag := valueOf(c, word); flag != "" {
					return pipeline.UsageErrorf(pipeline.CodeUsage, "write --"+flag+"="+word,
						"the value of --%s is optional, so it cannot follow after a space", flag)
				}
			}
			what = fmt.Sprintf("`%s` takes no arguments, but %s was given", commandName(env, c), quoted)
		}
	}
	if m := together.FindStringSubmatch(what); m != nil {
		what = "--" + strings.ReplaceAll(m[1], " ", " and --") + " exclude each other"
	}
	if m := arguments.FindStringSubmatch(what); m != nil {
		unit := "arguments"
		if strings.HasSuffix(m[1], "1") && !strings.HasSuffix(m[1], "11") {
			unit = "argument"
		}
		given := m[2] + " were"
		if m[2] == "1" {
			given = "1 was"
		}
		use := strings.TrimPrefix(c.UseLine(), c.Root().CommandPath()+" ")
		return pipeline.UsageErrorf(pipeline.CodeUsage, fmt.Sprintf("write `%s %s`; see `%s --help`", env.Plugin, use, commandName(env, c)),
			"`%s` takes %s %s, but %s given", commandName(env, c), m[1], unit, given)
	}
	return pipeline.UsageErrorf(pipeline.CodeUsage, "see `"+commandName(env, c)+" --help`", "%s", what)
}

// valueOf returns the flag that a word seems to be the value of: one with an optional
// value that was given without one. Setting it does no harm, because the command ends.
func valueOf(c *cobra.Command, word string) (name string) {
	c.Flags().Visit(func(f *pflag.Flag) {
		if name == "" && f.NoOptDefVal != "" && f.Value.String() == f.NoOptDefVal && f.Value.Set(word) == nil {
			name = f.Name
		}
	})
	return name
}

// isCobraUsage recognises cobra's own complaints, which have no type of their own
// (cobra command.go, args.go).
func isCobraUsage(err error) bool {
	for _, prefix := range []string{
		"unknown command", "accepts ", "requires ", "required flag", "if any flags in the group", "at least one of the flags",
	} {
		if strings.HasPrefix(err.Error(), prefix) {
			return true
		}
	}
	return false
}

// commandName returns the command as the user types it: "gh sbw publish".
func commandName(env *Env, c *cobra.Command) string {
	below := strings.TrimPrefix(c.CommandPath(), c.Root().CommandPath())
	return env.Plugin + below
}
