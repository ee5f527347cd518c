package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/joelhooks/gh-sbw/internal/release"
)

// InstallGhHelp gives a finished command tree help that looks like `gh --help`. gh's own
// code for that is internal, so the format is copied from its output.
func InstallGhHelp(root *cobra.Command, env *Env) {
	if root.PersistentFlags().Lookup("help") == nil {
		// gh has one -h for all commands.
		root.PersistentFlags().BoolP("help", "h", false, "show help for command")
	}
	installHelp(root, env, func(c *cobra.Command) string { return ghHelp(env, c) })
}

// ghHelp returns help with titles in capitals, flags in columns, and examples that begin
// with a dollar sign (cli/cli pkg/cmd/root/help.go).
func ghHelp(env *Env, c *cobra.Command) string {
	w := helpWidth(env)
	style := env.Style(env.Out)
	var b strings.Builder
	section := func(title, body string) {
		fmt.Fprintf(&b, "\n%s\n%s\n", style.Bold(strings.ToUpper(title)), indented(body, "  "))
	}
	b.WriteString(wrap(about(c), w) + "\n")
	section("Usage", c.UseLine())
	list := groups(c, "Additional commands")
	for _, g := range list {
		var lines []string
		for _, sub := range g.commands {
			lines = append(lines, fmt.Sprintf("%-*s %s", longest(list)+1, sub.Name()+":", sub.Short))
		}
		section(g.title, strings.Join(lines, "\n"))
	}
	own := c.LocalFlags()
	if !c.HasParent() {
		own = c.LocalNonPersistentFlags()
	}
	titles, flags := FlagsByGroup(c, own)
	for _, t := range titles {
		name := "Flags"
		if t != "" {
			name = t + " flags"
		}
		section(name, ghFlags(flags[t], w))
	}
	everywhere := c.InheritedFlags()
	name := "Inherited flags"
	if !c.HasParent() {
		everywhere, name = c.PersistentFlags(), "Flags of every command"
	}
	var inherited []*pflag.Flag
	everywhere.VisitAll(func(f *pflag.Flag) { inherited = append(inherited, f) })
	section(name, ghFlags(inherited, w))
	if c.Example != "" {
		section("Examples", ghExamples(c.Example))
	}
	section("Learn more", "Use `"+env.Plugin+" <command> --help` for more information about a command.\n"+
		"Use `"+env.Plugin+" explain CODE` to see what an error's code means.\n"+
		"Read the manual at https://github.com/"+release.Repository+"#readme")
	return b.String()
}

// longest returns the length of the longest name.
func longest(groups []group) int {
	n := 0
	for _, g := range groups {
		for _, c := range g.commands {
			n = max(n, len(c.Name()))
		}
	}
	return n
}

// ghFlags prints flags in pflag's columns, wrapped.
func ghFlags(flags []*pflag.Flag, w int) string {
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	set.SortFlags = false
	for _, f := range flags {
		shown := *f
		shown.Usage = capital(f.Usage)
		switch f.Value.Type() {
		case "stringArray", "stringSlice":
			// pflag prints Go's type name.
			shown.Value, shown.DefValue = named{f.Value, "strings"}, ""
		case "bool":
			// From 1.1 on pflag adds [=true|false] to a boolean flag. gh does not
			// show it, and neither does kubectl.
			shown.Value = named{f.Value, "bool"}
		}
		set.AddFlag(&shown)
	}
	text := set.FlagUsagesWrapped(w - 2)
	if !strings.Contains(text, "  -") || strings.HasPrefix(text, "  -") || strings.Contains(text, "\n  -") {
		return dedented(text, 2)
	}
	return dedented(text, 6) // no flag has a shorthand, so leave out its column
}

// named is a flag's value with another name for its type.
type named struct {
	pflag.Value
	name string
}

func (n named) Type() string { return n.name }

func dedented(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, l := range lines {
		lines[i] = l[min(n, len(l)-len(strings.TrimLeft(l, " "))):]
	}
	return strings.Join(lines, "\n")
}

// ghExamples puts a prompt before commands, as in gh's examples.
func ghExamples(text string) string {
	lines := strings.Split(dedented(text, 2), "\n")
	for i, l := range lines {
		if l != "" && !strings.HasPrefix(l, "#") && !strings.HasPrefix(l, " ") {
			lines[i] = "$ " + l
		}
	}
	return strings.Join(lines, "\n")
}
