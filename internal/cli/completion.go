package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// newCompletion makes the command that writes a shell's completion script.
//
// Cobra's script completes a program by its own name. Users type `gh sbw` and
// `kubectl sbw`, which the hosts complete only up to the plugin's name (kubectl
// completes more with a second executable, see completionRequest). So a few lines are
// added to each script: they complete the host's command line if it is for this plugin,
// and leave it to the host's own completion otherwise.
func newCompletion(env *Env) *cobra.Command {
	host, _, _ := strings.Cut(env.Plugin, " ")
	var shells []string
	for _, s := range completionScripts {
		shells = append(shells, s.shell)
	}
	example := strings.NewReplacer("HOST", host).Replace(`  # bash, in ~/.bashrc, after HOST's own completion
  source <(HOST sbw completion bash)

  # zsh, in ~/.zshrc, after compinit and HOST's own completion
  source <(HOST sbw completion zsh)

  # fish, in ~/.config/fish/config.fish
  HOST sbw completion fish | source

  # PowerShell, in $PROFILE
  HOST sbw completion powershell | Out-String | Invoke-Expression`)
	about := `Write the script that makes a shell complete 'HOST sbw': commands, flags, and their values
(workers, published tags, error codes%s). It waits up to two seconds for values that
come from a server.`
	more := ""
	if host == "kubectl" {
		more = ", contexts, namespaces, functions, revisions"
		about += `

kubectl's own completion (1.26 and newer) does the same without this script once this program is on
PATH under a second name, kubectl_complete-sbw. --install puts it there, beside kubectl-sbw; an upgrade by
krew leaves it in place.`
		example = `  # with kubectl's own completion, once
  kubectl sbw completion --install

` + example
	}
	install, output := false, ""
	c := &cobra.Command{
		Use:       "completion (" + strings.Join(shells, "|") + ")",
		Short:     "Write the completion script of a shell",
		Long:      fmt.Sprintf(strings.ReplaceAll(about, "HOST", host), more),
		Example:   example,
		ValidArgs: shells,
		Args: func(_ *cobra.Command, args []string) error {
			if install && len(args) > 0 {
				return pipeline.UsageErrorf(pipeline.CodeUsage, "leave one of them out", "--install is for every shell, and %s is named", args[0])
			}
			if len(args) != 1 && !install {
				return pipeline.UsageErrorf(
					pipeline.CodeUsage,
					"name one of "+strings.Join(shells, ", "),
					"completion takes one shell, and %d are named",
					len(args),
				)
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if install {
				return env.install(IsDocument(output))
			}
			for _, s := range completionScripts {
				if s.shell == args[0] {
					text, err := s.script(host)
					env.SetDocument(&completionDocument{Shell: s.shell, Script: text})
					if err == nil && !IsDocument(output) {
						_, err = io.WriteString(env.Out, text)
					}
					return err
				}
			}
			return pipeline.UsageErrorf(pipeline.CodeUsage, "use one of "+strings.Join(shells, ", "), "there is no completion for %q", args[0])
		},
	}
	if host == "kubectl" {
		c.Flags().BoolVar(&install, "install", false, "put kubectl_complete-sbw beside kubectl-sbw, for kubectl's own completion")
	}
	AddDocument(env, c, &output, func() Document { return &completionDocument{} })
	return c
}

// completionDocument is what completion prints for programs.
type completionDocument struct {
	Head
	Shell  string `json:"shell,omitempty" doc:"the shell that the script is for"`
	Script string `json:"script,omitempty" doc:"the script"`
	Path   string `json:"path,omitempty" doc:"with --install, the file that was made"`
}

// shellScript says how the script of one shell is made from cobra's.
type shellScript struct {
	shell string
	gen   func(c *cobra.Command, w io.Writer) error
	// edit lists pairs: a text in cobra's script and what replaces it.
	edit []string
	// more is appended.
	more string
}

// In edit and more, HOST is gh or kubectl, PROG the plugin's program, ASK the command
// that returns the completions, and SELF the program's name in a form that variable names
// allow.
var completionScripts = []shellScript{
	{
		shell: "bash", gen: func(c *cobra.Command, w io.Writer) error { return c.GenBashCompletionV2(w, true) },
		edit: []string{`requestComp="${words[0]} __complete`, `requestComp="ASK __complete`},
		more: `
# HOST sbw: HOST's own completion for all else.
declare -F __start_HOST >/dev/null || source <(HOST HOSTARGS bash 2>/dev/null)

__HOST_with_sbw()
{
    if [[ ${COMP_CWORD} -lt 2 || ${COMP_WORDS[1]} != sbw ]]; then
        declare -F __start_HOST >/dev/null && __start_HOST "$@"
        return
    fi
    local cur prev words cword split out directive
    COMPREPLY=()
    if declare -F _init_completion >/dev/null 2>&1; then
        _init_completion -n =: || return
    else
        __PROG_init_completion -n =: || return
    fi
    words=(PROG "${words[@]:2:$cword-1}")
    __PROG_get_completion_results
    __PROG_process_completion_results
}

if [[ $(type -t compopt) = "builtin" ]]; then
    complete -o default -F __HOST_with_sbw HOST
else
    complete -o default -o nospace -F __HOST_with_sbw HOST
fi
`,
	},
	{
		shell: "zsh", gen: func(c *cobra.Command, w io.Writer) error { return c.GenZshCompletion(w) },
		edit: []string{`requestComp="${words[1]} __complete`, `requestComp="ASK __complete`},
		more: `
# HOST sbw: HOST's own completion for all else.
(( $+functions[_HOST] )) || source <(HOST HOSTARGS zsh 2>/dev/null)

_HOST_with_sbw()
{
    if (( CURRENT > 2 )) && [[ ${words[2]} == sbw ]]; then
        words=(PROG "${words[@]:2}")
        (( CURRENT -= 1 ))
        _PROG
    elif (( $+functions[_HOST] )); then
        _HOST "$@"
    fi
}

compdef _HOST_with_sbw HOST
`,
	},
	{
		shell: "fish", gen: func(c *cobra.Command, w io.Writer) error { return c.GenFishCompletion(w, true) },
		edit: []string{
			"    set -l args (commandline -opc)\n",
			"    set -l args (commandline -opc)\n    test \"$args[2]\" = sbw; and set args PROG $args[3..-1]\n",
			`$args[1] __complete`,
			`ASK __complete`,
		},
		more: `
# HOST sbw: in addition to HOST's own completion.
function __SELF_asked
    set -l args (commandline -opc)
    test (count $args) -ge 2; and test "$args[2]" = sbw
end

complete -c HOST -n '__SELF_asked; and __SELF_clear_perform_completion_once_result'
complete -c HOST -n '__SELF_asked; and not __SELF_requires_order_preservation; and __SELF_prepare_completions' -f -a '$__SELF_comp_results'
complete -k -c HOST -n '__SELF_asked; and __SELF_requires_order_preservation; and __SELF_prepare_completions' -f -a '$__SELF_comp_results'
`,
	},
	{
		shell: "powershell", gen: func(c *cobra.Command, w io.Writer) error { return c.GenPowerShellCompletionWithDesc(w) },
		edit: []string{
			"$Program,$Arguments = $Command.Split(\" \",2)\n", "$Program,$Arguments = $Command.Split(\" \",2)\n" +
				"    if (\"$Arguments\" -match '^sbw( |$)') { $Arguments = \"$Arguments\" -replace '^sbw ?','' }\n",
			`$RequestComp="$Program __complete`, `$RequestComp="ASK __complete`,
		},
		more: `
# HOST sbw: HOST's own completion, if it is loaded already, for everything else.
Register-ArgumentCompleter -Native -CommandName 'HOST' -ScriptBlock {
    param($WordToComplete, $CommandAst, $CursorPosition)
    if ($CommandAst.CommandElements.Count -gt 1 -and "$($CommandAst.CommandElements[1])" -eq 'sbw') {
        & ${__SELFCompleterBlock} $WordToComplete $CommandAst $CursorPosition
    } elseif (${__HOSTCompleterBlock}) {
        & ${__HOSTCompleterBlock} $WordToComplete $CommandAst $CursorPosition
    }
}
`,
	},
}

// script returns the script for one host.
func (s shellScript) script(host string) (string, error) {
	program := host + "-sbw"
	// gh's extensions are not on PATH; kubectl's plugins are.
	ask, hostArgs := program, "completion"
	if host == "gh" {
		ask, hostArgs = "gh sbw", "completion -s"
	}
	fill := strings.NewReplacer("HOSTARGS", hostArgs, "HOST", host, "PROG", program, "ASK", ask, "SELF", strings.ReplaceAll(program, "-", "_"))
	var made bytes.Buffer
	if err := s.gen(&cobra.Command{Use: program}, &made); err != nil {
		return "", err
	}
	text := made.String()
	for i := 0; i < len(s.edit); i += 2 {
		old := fill.Replace(s.edit[i])
		if !strings.Contains(text, old) {
			return "", fmt.Errorf("cobra's %s script has changed: it has no %q", s.shell, old)
		}
		text = strings.ReplaceAll(text, old, fill.Replace(s.edit[i+1]))
	}
	return text + fill.Replace(s.more), nil
}

// completionRequest translates a call by kubectl's own completion into arguments:
// kubectl runs kubectl_complete-sbw with the words so far (k8s.io/kubectl
// pkg/cmd/plugin/plugin_completion.go). A link of that name to the plugin is enough,
// because the plugin knows the name under which it was called.
func completionRequest(argv0 string, args []string) []string {
	// A path may have either kind of slash on Windows.
	name := strings.TrimSuffix(filepath.Base(filepath.ToSlash(argv0)), ".exe")
	if strings.HasPrefix(name, "kubectl_complete-") {
		return append([]string{cobra.ShellCompRequestCmd}, args...)
	}
	return args
}

// asksCompletion reports whether a shell requests completions. Nothing else may be printed.
func asksCompletion(args []string) bool {
	return len(args) > 0 && (args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd)
}

// patience is how long a key press may wait for a server.
const patience = 2 * time.Second

// CompleteBy completes with the words that find returns within two seconds, each with an
// optional description after a tab. Errors are not printed: the words are just not
// offered. It does not wait for find after the context has ended, because client
// libraries may hang if a credential helper does.
func CompleteBy(find func(ctx context.Context, c *cobra.Command, args []string) ([]string, error)) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		parent := c.Context()
		if parent == nil {
			parent = context.Background()
		}
		ctx, cancel := context.WithTimeout(parent, patience)
		defer cancel()
		found := make(chan []string, 1)
		go func() {
			words, err := find(ctx, c, args)
			if err != nil {
				cobra.CompDebugln(err.Error(), false)
			}
			found <- words
		}()
		var words []string
		select {
		case words = <-found:
		case <-ctx.Done():
			// It may have returned what it had just when the context ended.
			select {
			case words = <-found:
			case <-time.After(patience / 10):
			}
		}
		var fit []string
		for _, w := range words {
			if strings.HasPrefix(w, prefix) {
				fit = append(fit, w)
			}
		}
		return fit, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// CompleteFlag makes flags of c complete with a function. It panics if c lacks one.
func CompleteFlag(c *cobra.Command, by cobra.CompletionFunc, flags ...string) {
	for _, f := range flags {
		if err := c.RegisterFlagCompletionFunc(f, by); err != nil {
			panic(err) // a mistake in this program
		}
	}
}

// CompleteLast makes a completion of one word complete the last word of a list with
// commas.
func CompleteLast(one cobra.CompletionFunc) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
		before := toComplete[:strings.LastIndex(toComplete, ",")+1]
		words, how := one(c, args, toComplete[len(before):])
		var all []cobra.Completion
		for _, w := range words {
			all = append(all, before+w)
		}
		return all, how
	}
}

// Completed reports whether a flag of c has a completion.
func Completed(c *cobra.Command, flag string) bool {
	_, ok := c.GetFlagCompletionFunc(flag)
	return ok
}
