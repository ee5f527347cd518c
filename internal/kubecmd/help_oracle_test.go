package kubecmd

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"

	"k8s.io/kubectl/pkg/util/templates"

	"github.com/joelhooks/gh-sbw/internal/cli"
)

// TestHelpIsWhatKubectlWouldPrint renders every command's help with kubectl's own
// templates.ActsAsRootCommand as well. Intentional differences are left out of the
// comparison: options have a title for each purpose, their descriptions are sentences,
// and defaults that come from the configuration are not shown as the flags' own.
func TestHelpIsWhatKubectlWouldPrint(t *testing.T) {
	names := []string{""}
	for _, c := range NewRoot(helpEnv(nil)).Commands() {
		if !c.Hidden {
			names = append(names, c.Name())
		}
	}
	for _, name := range names {
		t.Run(strings.TrimSpace("kubectl sbw "+name), func(t *testing.T) {
			argv := append(strings.Fields(name), "--help")
			var ours, theirs bytes.Buffer
			env := helpEnv(&ours)
			if code := cli.Execute(t.Context(), env, NewRoot(env), argv); code != 0 {
				t.Fatal("exit code", code)
			}
			root := NewRoot(helpEnv(&theirs))
			var groups templates.CommandGroups
			for _, g := range root.Groups() {
				one := templates.CommandGroup{Message: g.Title}
				for _, c := range root.Commands() {
					if c.GroupID == g.ID {
						one.Commands = append(one.Commands, c)
					}
				}
				groups = append(groups, one)
			}
			templates.ActsAsRootCommand(root, []string{"options"}, groups...)
			root.SetOut(&theirs)
			root.SetErr(&theirs)
			root.SetArgs(argv)
			if err := root.ExecuteContext(t.Context()); err != nil {
				t.Fatal(err)
			}
			got, want := parseHelp(ours.String()), parseHelp(theirs.String())
			for _, part := range []struct {
				name      string
				got, want string
			}{
				{"text", got.text, want.text},
				{"examples", got.examples, want.examples},
				{"commands", got.commands, want.commands},
				{"usage", got.usage, want.usage},
				// kubectl calls a plugin by its last word only.
				{"hints", got.hints, strings.ReplaceAll(want.hints, `"sbw `, `"kubectl sbw `)},
			} {
				if part.got != part.want {
					t.Errorf("%s:\n%s\nkubectl would print:\n%s", part.name, part.got, part.want)
				}
			}
			for _, flag := range slices.Sorted(maps.Keys(want.flags)) {
				if got.flags[flag] != want.flags[flag] {
					t.Errorf("%s:\n%q\nkubectl would print:\n%q", flag, got.flags[flag], want.flags[flag])
				}
			}
			if len(got.flags) != len(want.flags) || len(want.flags) == 0 {
				t.Errorf("%d flags, kubectl would print %d", len(got.flags), len(want.flags))
			}
		})
	}
}

func helpEnv(out *bytes.Buffer) *cli.Env {
	if out == nil {
		out = new(bytes.Buffer)
	}
	return &cli.Env{Plugin: "kubectl sbw", Out: out, Err: out, Getenv: func(string) string { return "" }}
}

// help is a help text split into parts. Line breaks in prose are ignored.
type help struct {
	text, examples, commands, usage, hints string
	flags                                  map[string]string // "-f, --file": its description
}

func parseHelp(text string) help {
	h := help{flags: map[string]string{}}
	var last string
	add := func(to *string, block string) { *to += strings.TrimRight(block, " \n") + "\n" }
	for block := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		block = strings.Trim(block, "\n")
		title, body, _ := strings.Cut(block, "\n")
		if strings.HasSuffix(title, "Options:") {
			last, block = "options", body
		} else if title == "Examples:" || title == "Usage:" {
			last = title
		} else if strings.HasSuffix(title, " Commands:") {
			last = "commands"
		} else if strings.HasPrefix(title, "Use \"") {
			last = "hints"
		}
		switch last {
		case "":
			h.text += strings.Join(strings.Fields(block), " ") + "\n"
		case "Examples:":
			add(&h.examples, block)
		case "Usage:":
			add(&h.usage, block)
		case "commands":
			add(&h.commands, block)
		case "hints":
			add(&h.hints, block)
		case "options":
			name, usage, _ := strings.Cut(block, "\n")
			name, def, _ := strings.Cut(name, "=")
			usage = strings.Join(strings.Fields(usage), " ")
			if usage != "" {
				usage = strings.TrimSuffix(strings.ToUpper(usage[:1])+usage[1:], ".")
			}
			if !strings.Contains(usage, "(default") {
				usage = def + " " + usage
			}
			h.flags[strings.TrimSpace(name)] = usage
		}
	}
	return h
}
