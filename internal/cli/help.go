package cli

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// installHelp makes a finished command tree behave like its host: help has the form of
// the host's --help, `help` and `completion` exist, and an unknown command is answered
// with suggestions.
func installHelp(root *cobra.Command, env *Env, form func(*cobra.Command) string) {
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(newCompletion(env))
	root.SetHelpCommand(newHelp(env))
	root.Args = noSuchCommand(env)
	root.SetHelpFunc(func(c *cobra.Command, _ []string) { _, env.unwritten = fmt.Fprint(env.Out, form(c)) })
}

// newHelp makes `help COMMAND`, which prints the same as COMMAND --help.
func newHelp(env *Env) *cobra.Command {
	return &cobra.Command{
		Use: "help [command]", Short: "Show help for a command", Hidden: true,
		RunE: func(c *cobra.Command, args []string) error {
			target, rest, err := c.Root().Find(args)
			if err != nil || target == nil || len(rest) > 0 {
				return unknownCommand(env, c.Root(), args[0])
			}
			// Cobra adds --help only when a command is run.
			target.InitDefaultHelpFlag()
			return target.Help()
		},
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, sub := range c.Root().Commands() {
				if len(args) == 0 && sub.IsAvailableCommand() {
					names = append(names, sub.Name()+"\t"+sub.Short)
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}

// noSuchCommand refuses anything that is not a command of root, and suggests similar
// ones.
func noSuchCommand(env *Env) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return unknownCommand(env, c, args[0])
	}
}

func unknownCommand(env *Env, root *cobra.Command, word string) error {
	root.SuggestionsMinimumDistance = 2
	fix := "`" + env.Plugin + " --help` lists the commands"
	if near := root.SuggestionsFor(word); len(near) > 0 {
		fix = "did you mean `" + env.Plugin + " " + strings.Join(near, "` or `"+env.Plugin+" ") + "`? " + fix
	}
	return pipeline.UsageErrorf(pipeline.CodeUsage, fix, "%s has no command %q", env.Plugin, word)
}

// FlagGroup is a group of flags in help.
type FlagGroup struct {
	Title string // "Build"
	Flags []string
}

// GroupsOf returns the groups without the flags that c does not have, for a list
// that several commands share. Groups that lose all their flags are left out.
func GroupsOf(c *cobra.Command, groups ...FlagGroup) []FlagGroup {
	var all []FlagGroup
	for _, g := range groups {
		kept := FlagGroup{Title: g.Title}
		for _, f := range g.Flags {
			if c.Flags().Lookup(f) != nil {
				kept.Flags = append(kept.Flags, f)
			}
		}
		if len(kept.Flags) > 0 {
			all = append(all, kept)
		}
	}
	return all
}

const (
	groupsOf  = "sbw_flag_groups" // of a command: titles in their order
	groupFlag = "sbw_flag_group"  // of a flag: its title
)

// GroupFlags sets which flags of c belong together in its help. Flags without a group
// come last. It panics if c does not have one of the flags.
func GroupFlags(c *cobra.Command, groups ...FlagGroup) {
	var titles []string
	for _, g := range groups {
		titles = append(titles, g.Title)
		for _, name := range g.Flags {
			f := c.Flags().Lookup(name)
			if f == nil {
				f = c.PersistentFlags().Lookup(name)
			}
			if f == nil {
				panic(fmt.Sprintf("%s has no flag --%s", c.CommandPath(), name))
			}
			if f.Annotations == nil {
				f.Annotations = map[string][]string{}
			}
			f.Annotations[groupFlag] = []string{g.Title}
		}
	}
	if c.Annotations == nil {
		c.Annotations = map[string]string{}
	}
	c.Annotations[groupsOf] = strings.Join(titles, "\n")
}

// FlagsByGroup sorts the flags of set into the groups of c; those without one
// come last, under the empty title. --help is left out.
func FlagsByGroup(c *cobra.Command, set *pflag.FlagSet) (titles []string, flags map[string][]*pflag.Flag) {
	flags = map[string][]*pflag.Flag{}
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		title := ""
		if t := f.Annotations[groupFlag]; len(t) == 1 {
			title = t[0]
		}
		flags[title] = append(flags[title], f)
	})
	var order []string
	for p := c; p != nil; p = p.Parent() {
		for _, t := range strings.Split(p.Annotations[groupsOf], "\n") {
			if !slices.Contains(order, t) {
				order = append(order, t)
			}
		}
	}
	for _, t := range append(order, "") {
		if len(flags[t]) > 0 && !slices.Contains(titles, t) && t != "" {
			titles = append(titles, t)
		}
	}
	if len(flags[""]) > 0 {
		titles = append(titles, "")
	}
	return titles, flags
}

// helpWidth is the width of help: the terminal's, but no wider than is easy to read.
func helpWidth(env *Env) int {
	w := env.Style(env.Out).Width
	if w <= 0 || w > maxHelpWidth {
		return maxHelpWidth
	}
	return max(w-1, 40)
}

const maxHelpWidth = 100

// about returns the description of a command, in paragraphs.
func about(c *cobra.Command) string {
	if c.Long != "" {
		return strings.TrimSpace(c.Long)
	}
	return c.Short
}

// group is a titled list of commands.
type group struct {
	title    string
	commands []*cobra.Command
}

// groups returns the commands below c in the groups that they were added to.
func groups(c *cobra.Command, rest string) []group {
	var all []group
	for _, g := range c.Groups() {
		all = append(all, group{title: g.Title})
	}
	other := group{title: rest}
	for _, sub := range c.Commands() {
		if !sub.IsAvailableCommand() || sub.Name() == "options" {
			continue
		}
		if i := slices.IndexFunc(c.Groups(), func(g *cobra.Group) bool { return g.ID == sub.GroupID }); i >= 0 {
			all[i].commands = append(all[i].commands, sub)
		} else {
			other.commands = append(other.commands, sub)
		}
	}
	all = append(all, other)
	return slices.DeleteFunc(all, func(g group) bool { return len(g.commands) == 0 })
}

// wrap fills paragraphs to w cells. Lines that begin with a space or a dash are kept as
// they are.
func wrap(text string, w int) string {
	var out []string
	var words []string
	flush := func() {
		line, n := "", 0
		for _, word := range words {
			l := utf8.RuneCountInString(word)
			if n > 0 && n+1+l > w {
				out, line, n = append(out, line), "", 0
			}
			if n > 0 {
				line, n = line+" ", n+1
			}
			line, n = line+word, n+l
		}
		if n > 0 {
			out = append(out, line)
		}
		words = nil
	}
	for line := range strings.SplitSeq(text, "\n") {
		if line == "" || line[0] == ' ' || line[0] == '-' {
			flush()
			out = append(out, line)
			continue
		}
		words = append(words, strings.Fields(line)...)
	}
	flush()
	return strings.Join(out, "\n")
}

// indented puts s before every line that is not empty.
func indented(text, s string) string {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	for i, l := range lines {
		if l != "" {
			lines[i] = s + l
		}
	}
	return strings.Join(lines, "\n")
}

func capital(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}
