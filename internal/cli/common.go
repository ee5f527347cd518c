package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/joelhooks/gh-sbw/internal/explain"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/ui"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// explainDocument is what explain prints for programs.
type explainDocument struct {
	Head
	Entries []explain.Entry `json:"entries" doc:"the pages, each with code, title, symptom, cause, remedy, aliases, docs"`
}

// NewExplain returns the command `explain`, which both plugins have.
func NewExplain(env *Env) *cobra.Command {
	var output string
	var schemas bool
	c := &cobra.Command{
		Use:   "explain [CODE or words of an error]",
		Short: "Explain an error's code: what it means, what causes it, what to do",
		Example: "  # what an error's code means\n  " + env.Plugin + " explain exec-format\n\n" +
			"  # find it by what you see\n  " + env.Plugin + " explain \"Unable to reach SDK URL\"\n\n" +
			"  # list all codes\n  " + env.Plugin + " explain\n\n" +
			"  # the JSON schemas of what the commands print with -o json\n  " + env.Plugin + " explain --schema\n\n" +
			"  # the JSON schema of .sbw.yaml, for an editor\n  " + env.Plugin + " explain --schema config > sbw.schema.json",
		RunE: func(c *cobra.Command, args []string) error {
			if schemas {
				return printSchemas(env, c.Root(), output, args)
			}
			entries := explain.List()
			if len(args) > 0 {
				var err error
				if entries, err = lookUp(env, strings.Join(args, " ")); err != nil {
					return err
				}
			}
			env.SetDocument(&explainDocument{Entries: entries})
			switch {
			case IsDocument(output):
				return nil
			case len(args) == 0:
				return listCodes(env, entries)
			case len(entries) > 1:
				return printSeveral(env, entries)
			}
			return printEntry(env, entries[0])
		},
		ValidArgsFunction: func(_ *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
			var codes []string
			for _, e := range explain.List() {
				// Shells filter by prefix, too, but zsh's script is slow.
				if strings.HasPrefix(e.Code, prefix) {
					codes = append(codes, e.Code+"\t"+e.Title)
				}
			}
			return codes, cobra.ShellCompDirectiveNoFileComp
		},
	}
	c.Flags().
		BoolVar(&schemas, "schema", false, "print the JSON schema of what each command prints with -o json, "+
			"of the one that is named, or of .sbw.yaml (config)")
	AddDocument(env, c, &output, func() Document { return &explainDocument{} })
	return c
}

// lookUp returns the pages for a code or for the message of an error.
func lookUp(env *Env, query string) ([]explain.Entry, error) {
	if found := explain.Candidates(query); len(found) > 0 {
		return found, nil
	}
	fix := "`" + env.Plugin + " explain` lists all codes"
	if near := explain.Suggest(query); len(near) > 0 {
		fix = "did you mean " + strings.Join(near, " or ") + "? " + fix
	}
	return nil, pipeline.UsageErrorf(CodeUnknown, fix, "no page explains %q", query)
}

// printSchemas prints an object with a schema for each command, or the schema of the
// command that words name. The output is not a Document: it has no head.
func printSchemas(env *Env, root *cobra.Command, format string, words []string) error {
	env.SetDocument(nil)
	if len(words) == 1 && (words[0] == "config" || words[0] == worker.ConfigName) {
		env.noDocument = true
		return PrintObject(env.Out, format, worker.Schema())
	}
	all := map[string]any{}
	for command, d := range Documents(env, root) {
		all[command] = Schema(command, d)
	}
	env.noDocument = true
	if len(words) == 0 {
		return PrintObject(env.Out, format, all)
	}
	name := env.Plugin + " " + strings.TrimPrefix(strings.Join(words, " "), env.Plugin+" ")
	s, ok := all[name]
	if !ok {
		env.noDocument = false
		names := slices.Sorted(maps.Keys(all))
		return pipeline.UsageErrorf(CodeUnknown, "choose one of "+strings.Join(names, ", "), "`%s` does not print a document", name)
	}
	return PrintObject(env.Out, format, s)
}

// printSeveral lists the pages for a message that several components can print.
func printSeveral(env *Env, entries []explain.Entry) error {
	const head = "This message can come from several places. Choose the page for what was being called:\n\n"
	if _, err := fmt.Fprint(env.Out, head); err != nil {
		return err
	}
	if err := listCodes(env, entries); err != nil {
		return err
	}
	_, err := fmt.Fprintf(env.Out, "\n`%s explain CODE` shows a page.\n", env.Plugin)
	return err
}

func listCodes(env *Env, entries []explain.Entry) error {
	rows := ui.NewRows(env.Style(env.Out), "CODE", "MEANING")
	for _, e := range entries {
		rows.Add(e.Code, e.Title)
	}
	return rows.Print(env.Out)
}

func printEntry(env *Env, e explain.Entry) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", e.Code, e.Title)
	for _, part := range []struct{ name, text string }{
		{"What you see", e.Symptom}, {"Cause", e.Cause}, {"What to do", e.Remedy}, {"Example", e.Example},
		{"Read on", strings.Join(e.Docs, "\n")},
	} {
		if part.text != "" {
			fmt.Fprintf(&b, "\n%s\n  %s\n", part.name, strings.ReplaceAll(strings.TrimSpace(part.text), "\n", "\n  "))
		}
	}
	_, err := io.WriteString(env.Out, b.String())
	return err
}

// Complete makes a flag of c complete to fixed words. It panics if c has no such flag.
func Complete(c *cobra.Command, flag string, words ...string) {
	if err := c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // a mistake in this program
	}
}

// PrintObject writes v as JSON or YAML. YAML output has JSON's field names.
func PrintObject(w io.Writer, format string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if format == "yaml" {
		// JSON is valid YAML: parsing it as YAML keeps the names and the order.
		var n yaml.Node
		if err := yaml.Unmarshal(text, &n); err != nil {
			return err
		}
		plain(&n)
		if text, err = yaml.Marshal(&n); err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	}
	_, err = fmt.Fprintln(w, string(text))
	return err
}

// plain removes JSON's braces and quotes from a YAML tree unless YAML needs them.
func plain(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		plain(c)
	}
}
