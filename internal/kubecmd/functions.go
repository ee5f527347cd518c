package kubecmd

import (
	"context"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/ui"
)

func newFunctions(k *kube) *cobra.Command {
	var flags inngestFlags
	var output string
	var all bool
	c := &cobra.Command{
		Use:   "functions [NAME] [flags]",
		Short: "List the functions that Inngest has registered",
		Example: `  # the worker's functions
  kubectl sbw functions

  # those with a text in their name, of all apps
  kubectl sbw functions approval --all`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			e, err := k.liveEnds(c.Context(), flags)
			if err != nil {
				return err
			}
			err = printFunctions(c.Context(), e, args, all, output)
			if cerr := e.close(); err == nil {
				err = cerr
			}
			return err
		},
	}
	flags.add(c)
	c.Flags().BoolVarP(&all, "all", "A", false, "of every app, not of this worker's alone")
	cli.AddOutput(c, &output, "name", "wide", "json", "yaml")
	return c
}

// functionRow is one function as it is printed.
type functionRow struct {
	inngest.Function
	// Twice lists other functions that share its id or a trigger, in other apps.
	Twice []string `json:"alsoIn,omitempty"`
}

func printFunctions(ctx context.Context, e *ends, args []string, all bool, output string) error {
	apps, err := e.client.Apps(ctx)
	if err != nil {
		return e.explain("read Inngest's registrations", err)
	}
	rows := functionRows(apps, e.app, args, all)
	out := e.scope.kube.env.Out
	switch output {
	case "json", "yaml":
		return cli.PrintObject(out, output, rows)
	case "name":
		for _, f := range rows {
			if _, err := fmt.Fprintln(out, f.Slug); err != nil {
				return err
			}
		}
		return nil
	}
	if len(rows) == 0 {
		what := "no function is registered for app " + e.app
		if len(args) == 1 {
			what = "no registered function is named like " + strconv.Quote(args[0])
		}
		return &pipeline.Finding{Code: "function-missing", Severity: pipeline.Error, What: what,
			Fix: "is it exported from the worker's index? `kubectl sbw refresh` registers what the worker serves; --all looks into other apps"}
	}
	header := []string{"FUNCTION", "TRIGGERS", "RETRIES", "APP"}
	if output == "wide" {
		header = append(header, "CONCURRENCY", "ALSO IN")
	}
	table := ui.NewRows(e.scope.kube.env.Style(out), header...)
	for _, f := range rows {
		cells := []string{f.LocalID(), joined(f.Triggers), strconv.Itoa(f.Retries), f.App}
		if len(f.Twice) > 0 && output != "wide" {
			cells[0] += " (!)"
		}
		if output == "wide" {
			cells = append(cells, joined(f.Concurrency), strings.Join(f.Twice, ", "))
		}
		table.Add(cells...)
	}
	return table.Print(out)
}

// functionRows are the functions of the wanted apps, sorted, those marked that
// another app has too.
func functionRows(apps []inngest.App, own string, args []string, all bool) []functionRow {
	twice := map[string][]string{}
	for _, d := range inngest.Duplicates(apps) {
		for _, slug := range d.Slugs {
			for _, other := range d.Slugs {
				if other != slug {
					twice[slug] = append(twice[slug], other)
				}
			}
		}
	}
	rows := []functionRow{}
	for _, a := range apps {
		if !all && a.Name != own {
			continue
		}
		for _, f := range a.Functions {
			if len(args) == 0 || strings.Contains(f.Slug, args[0]) || strings.Contains(f.Name, args[0]) {
				rows = append(rows, functionRow{Function: f, Twice: twice[f.Slug]})
			}
		}
	}
	sort.Slice(rows, func(i, j int) bool { return rows[i].Slug < rows[j].Slug })
	return rows
}

func joined[T fmt.Stringer](all []T) string {
	texts := make([]string, len(all))
	for i, t := range all {
		texts[i] = t.String()
	}
	return strings.Join(texts, ", ")
}
