package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// FlagPrinter prints a flag of a help text. It is kubectl's
// templates.HelpFlagPrinter, which this package does not import because gh-sbw links
// nothing of Kubernetes.
type FlagPrinter interface{ PrintHelpFlag(f *pflag.Flag) }

// InstallKubectlHelp gives a finished command tree help that looks like `kubectl --help`,
// with flags as newPrinter's printer prints them, and the command `options`.
func InstallKubectlHelp[P FlagPrinter](root *cobra.Command, env *Env, newPrinter func(out io.Writer, width uint) P) {
	h := kubectlHelp{env: env, newPrinter: func(out io.Writer, width uint) FlagPrinter { return newPrinter(out, width) }}
	installHelp(root, env, h.text)
	root.AddCommand(h.newOptions())
	root.DisableFlagsInUseLine = true // kubectl says [options]
	for _, c := range root.Commands() {
		c.DisableFlagsInUseLine = true
	}
}

type kubectlHelp struct {
	env        *Env
	newPrinter func(out io.Writer, width uint) FlagPrinter
}

// text returns the description, examples, commands or options, the usage line, and where
// to read more (k8s.io/kubectl/pkg/util/templates). kubectl lists the options under one
// title; these have a title for each purpose if there are many.
//
// A test compares the result with kubectl's own ActsAsRootCommand. The product does not
// use that: text/template finds methods by name, so the linker would keep every method
// (17 MB), the more than forty options of a rollout would be in one list, and it leaves
// "kubectl" out of a plugin's name.
func (h kubectlHelp) text(c *cobra.Command) string {
	var b strings.Builder
	section := func(format string, args ...any) { fmt.Fprintf(&b, "\n\n"+format, args...) }
	b.WriteString(wrap(about(c), helpWidth(h.env)))
	if c.Example != "" {
		section("Examples:\n%s", strings.TrimRight(c.Example, "\n "))
	}
	for _, g := range groups(c, "Other Commands:") {
		section("%s", g.title)
		for _, sub := range g.commands {
			fmt.Fprintf(&b, "\n  %-*s   %s", sub.NamePadding(), sub.Name(), sub.Short)
		}
	}
	own := c.LocalFlags()
	if !c.HasParent() {
		own = c.LocalNonPersistentFlags()
	}
	titles, flags := FlagsByGroup(c, own)
	for _, t := range titles {
		name := "Options:"
		if t != "" {
			name = t + " Options:"
		} else if len(titles) > 1 {
			name = "Other Options:"
		}
		section("%s\n%s", name, h.flags(flags[t]))
	}
	section("Usage:\n  %s [options]\n", c.UseLine())
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\nUse \"%s <command> --help\" for more information about a given command.", h.env.Plugin)
	}
	fmt.Fprintf(&b, "\nUse \"%s options\" for a list of global command-line options (applies to all commands).\n", h.env.Plugin)
	return b.String()
}

// flags prints flags as kubectl lists them, each with its default, and its description on
// lines of its own.
func (h kubectlHelp) flags(flags []*pflag.Flag) string {
	var b strings.Builder
	p := h.newPrinter(&b, uint(helpWidth(h.env)))
	for _, f := range flags {
		p.PrintHelpFlag(kubectlFlag(f))
	}
	return strings.TrimRight(b.String(), "\n")
}

// kubectlFlag returns the flag with a sentence as its description. If that names a
// default from the configuration, the flag's own default is not shown.
func kubectlFlag(f *pflag.Flag) *pflag.Flag {
	shown := *f
	shown.Usage = capital(f.Usage)
	if !strings.HasSuffix(shown.Usage, ".") {
		shown.Usage += "."
	}
	if strings.Contains(f.Usage, "(default") {
		shown.DefValue = "<" + strings.TrimSuffix(strings.TrimSuffix(f.Value.Type(), "Slice"), "Array") + ">"
		shown.Value = named{f.Value, "placeholder"} // a string would be quoted
	}
	return &shown
}

// newOptions makes `options`, which lists the flags that every command accepts.
func (h kubectlHelp) newOptions() *cobra.Command {
	return &cobra.Command{
		Use: "options", Short: "Print the list of flags inherited by all commands", Hidden: true,
		Long: "Print the list of flags inherited by all commands",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return pipeline.UsageErrorf(pipeline.CodeUsage, "run `"+h.env.Plugin+" options` without arguments", "options takes no arguments")
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			titles, flags := FlagsByGroup(c, c.InheritedFlags())
			var b strings.Builder
			b.WriteString("The following options can be passed to any command:\n")
			for _, t := range titles {
				if t != "" {
					fmt.Fprintf(&b, "\n%s:\n", t)
				} else {
					b.WriteString("\n")
				}
				b.WriteString(h.flags(flags[t]) + "\n")
			}
			_, err := fmt.Fprint(h.env.Out, b.String())
			return err
		},
	}
}
