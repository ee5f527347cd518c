package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// kubectl is help as kubectl has it: what it does, examples, commands or
// options, the usage line, and where to read on
// (k8s.io/kubectl/pkg/util/templates). Its options stand in one list; these
// have a title for each purpose where there are many.
func (h helper) kubectl(c *cobra.Command) string {
	w := h.width()
	var b strings.Builder
	section := func(format string, args ...any) { fmt.Fprintf(&b, "\n\n"+format, args...) }
	b.WriteString(wrap(about(c), w))
	if c.Example != "" {
		section("Examples:\n%s", strings.TrimRight(c.Example, "\n "))
	}
	list := groups(c, "Other Commands:")
	for _, g := range list {
		section("%s", g.title)
		for _, sub := range g.commands {
			fmt.Fprintf(&b, "\n  %-*s   %s", longest(list), sub.Name(), sub.Short)
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
		section("%s\n%s", name, kubectlFlags(flags[t], w))
	}
	usage := strings.TrimSuffix(c.UseLine(), " [flags]")
	if !c.HasParent() {
		usage = h.env.Plugin + " <command>"
	}
	section("Usage:\n  %s [options]\n", usage)
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\nUse \"%s <command> --help\" for more information about a given command.", h.env.Plugin)
	}
	fmt.Fprintf(&b, "\nUse \"%s options\" for a list of global command-line options (applies to all commands).\n", h.env.Plugin)
	return b.String()
}

// kubectlFlags are flags as kubectl lists them, each with its default and its
// text on lines of its own.
func kubectlFlags(flags []*pflag.Flag, w int) string {
	var all []string
	for _, f := range flags {
		value := f.DefValue
		switch {
		case elsewhere(f):
			value = "<" + strings.TrimSuffix(strings.TrimSuffix(f.Value.Type(), "Slice"), "Array") + ">"
		case f.Value.Type() == "string":
			value = "'" + value + "'"
		}
		name := "    "
		if f.Shorthand != "" {
			name += "-" + f.Shorthand + ", "
		}
		text := wrap(capital(f.Usage), w-8)
		if !strings.HasSuffix(text, ".") {
			text += "."
		}
		all = append(all, name+"--"+f.Name+"="+value+":\n"+indented(text, "\t"))
	}
	return strings.Join(all, "\n\n")
}

// newOptions is `options`: the flags that every command takes.
func newOptions(h helper) *cobra.Command {
	c := &cobra.Command{
		Use: "options", Short: "Print the list of flags inherited by all commands", Hidden: true,
		Long: "Print the list of flags inherited by all commands",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return pipeline.UsageErrorf(CodeUsage, "run `"+h.env.Plugin+" options` alone", "options takes no arguments")
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
				b.WriteString(kubectlFlags(flags[t], h.width()) + "\n")
			}
			_, err := fmt.Fprint(h.env.Out, b.String())
			return err
		},
	}
	return c
}
