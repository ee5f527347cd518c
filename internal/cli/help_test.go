package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"k8s.io/kubectl/pkg/util/templates"
)

// tree is a small plugin with two commands in a group and one outside of it.
func tree(plugin string) (*Env, *cobra.Command, *bytes.Buffer, *bytes.Buffer) {
	out, errs := new(bytes.Buffer), new(bytes.Buffer)
	env := &Env{Plugin: plugin, Out: out, Err: errs, Getenv: func(string) string { return "" }}
	root := &cobra.Command{Use: "sbw <command> [flags]", Short: "Ship a worker", Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: plugin},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	nothing := func(*cobra.Command, []string) error { return nil }
	ship := &cobra.Command{Use: "ship TAG", Short: "Ship it", GroupID: "work", RunE: nothing, Args: cobra.NoArgs,
		Example: "  # ship\n  " + plugin + " ship a",
		Long:    "Ship it to where it runs. " + strings.Repeat("It is a long way there. ", 10) + "\n\n  laid out\n    as it is"}
	ship.Flags().StringP("file", "f", "", "the file (default: ship.file)")
	ship.Flags().Bool("force", false, "go on")
	ship.Flags().String("mode", "fast", "how")
	ship.Flags().StringArray("arg", nil, "an argument")
	ship.Flags().Bool("secret", false, "not shown")
	if err := ship.Flags().MarkHidden("secret"); err != nil {
		panic(err)
	}
	GroupFlags(ship, FlagGroup{"Input", []string{"file", "arg"}})
	root.AddGroup(&cobra.Group{ID: "work", Title: "Work"})
	root.AddCommand(ship, &cobra.Command{Use: "look", Short: "Look at it", GroupID: "work", RunE: nothing},
		&cobra.Command{Use: "other", Short: "Something else", RunE: nothing})
	AddOutputFlags(root, env)
	if plugin == "kubectl sbw" {
		InstallKubectlHelp(root, env, templates.NewHelpFlagPrinter)
	} else {
		InstallGhHelp(root, env)
	}
	return env, root, out, errs
}

const kubectlShip = `

  laid out
    as it is

Examples:
  # ship
  kubectl sbw ship a

Input Options:
    --arg=[]:
	An argument.

    -f, --file=<string>:
	The file (default: ship.file).

Other Options:
    --force=false:
	Go on.

    --mode='fast':
	How.

Usage:
  kubectl sbw ship TAG [options]

Use "kubectl sbw options" for a list of global command-line options (applies to all commands).
`

const ghShip = `

  laid out
    as it is

USAGE
  gh sbw ship TAG [flags]

INPUT FLAGS
      --arg strings   An argument
  -f, --file string   The file (default: ship.file)

FLAGS
  --force         Go on
  --mode string   How (default "fast")

INHERITED FLAGS
      --events    Print progress as JSON lines on stderr
  -h, --help      Show help for command
  -q, --quiet     Print only warnings, errors and the result
      --verbose   Print every detail

EXAMPLES
  # ship
  $ gh sbw ship a

LEARN MORE
`

func TestHelpHasTheHostsForm(t *testing.T) {
	for _, c := range []struct{ plugin, want string }{{"kubectl sbw", kubectlShip}, {"gh sbw", ghShip}} {
		for _, argv := range [][]string{{"ship", "--help"}, {"help", "ship"}} {
			env, root, out, errs := tree(c.plugin)
			if code := Execute(t.Context(), env, root, argv); code != 0 || errs.Len() > 0 {
				t.Errorf("%s %v: exit code %d, %s", c.plugin, argv, code, errs)
			}
			head, rest, _ := strings.Cut(out.String(), "\n\n")
			if !strings.HasPrefix("\n\n"+rest, c.want) {
				t.Errorf("%s %v:\n%s\nwant:\n%s", c.plugin, argv, rest, c.want)
			}
			for line := range strings.SplitSeq(head, "\n") {
				if len(line) > maxHelpWidth || len(line) < 20 {
					t.Errorf("badly filled: %q", line)
				}
			}
		}
	}
}

func TestRootHelpListsCommandsByGroup(t *testing.T) {
	for plugin, want := range map[string]string{
		"kubectl sbw": "\nWork\n  look          Look at it\n  ship          Ship it\n\nOther Commands:\n  completion    Write the completion script of a shell\n  other         Something else\n",
		"gh sbw":      "\nWORK\n  look:       Look at it\n  ship:       Ship it\n\nADDITIONAL COMMANDS\n  completion: Write the completion script of a shell\n  other:      Something else\n",
	} {
		env, root, out, _ := tree(plugin)
		if code := Execute(t.Context(), env, root, nil); code != 0 || !strings.Contains(out.String(), want) {
			t.Errorf("%s: exit code %d\n%s\nwant in it:\n%s", plugin, code, out, want)
		}
	}
}

func TestOptionsAreThoseOfEveryCommand(t *testing.T) {
	env, root, out, _ := tree("kubectl sbw")
	if code := Execute(t.Context(), env, root, []string{"options"}); code != 0 {
		t.Fatal(code)
	}
	for _, want := range []string{"The following options can be passed to any command:\n", "    --events=false:\n\tPrint progress", "    -q, --quiet=false:\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out.String(), "--force") {
		t.Error("a flag of one command is listed among the common flags")
	}
}

func TestWrongWordsAreAnswered(t *testing.T) {
	for _, c := range []struct {
		argv []string
		want []string
	}{
		{[]string{"shp"}, []string{`gh sbw has no command "shp"`, "did you mean `gh sbw ship`?"}},
		{[]string{"help", "shp"}, []string{"did you mean `gh sbw ship`?"}},
		{[]string{"zzz"}, []string{"fix:   `gh sbw --help` lists the commands"}},
		{[]string{"ship", "a"}, []string{"`gh sbw ship` takes no arguments, but \"a\" was given", "see `gh sbw ship --help`"}},
		{[]string{"ship", "--zzz"}, []string{"unknown flag: --zzz", "see `gh sbw ship --help`"}},
		{[]string{"ship", "-q", "--verbose"}, []string{"--quiet and --verbose exclude each other", "see `gh sbw ship --help`"}},
		{[]string{"completion"}, []string{"name one of bash, zsh, fish, powershell"}},
		{[]string{"completion", "tcsh"}, []string{`there is no completion for "tcsh"`}},
	} {
		env, root, out, errs := tree("gh sbw")
		if code := Execute(t.Context(), env, root, c.argv); code != 2 || out.Len() > 0 {
			t.Errorf("%v: exit code %d, stdout %q", c.argv, code, out)
		}
		for _, want := range append(c.want, "more:  gh sbw explain usage") {
			if !strings.Contains(errs.String(), want) {
				t.Errorf("%v: no %q in\n%s", c.argv, want, errs)
			}
		}
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"a b c", "a b c"},
		{"aaaa bbbb cccc", "aaaa bbbb\ncccc"},
		{"aaaa\nbbbb cccc", "aaaa bbbb\ncccc"},
		{"a\n\nb", "a\n\nb"},
		{"averylongwordthatfitsnowhere b", "averylongwordthatfitsnowhere\nb"},
		{"a\n  laid   out and longer\nb", "a\n  laid   out and longer\nb"},
		{"…… …… ……", "…… …… ……"},
	} {
		if got := wrap(c.in, 10); got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
}
