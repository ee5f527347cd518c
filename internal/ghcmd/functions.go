package ghcmd

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/catalog"
	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/image"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/publish"
	"github.com/joelhooks/gh-sbw/internal/ui"
	"github.com/joelhooks/gh-sbw/internal/units"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

type functionsOptions struct {
	publish.Options
	diff   string
	output string
}

// newFunctions makes the command. In tests, runF gets the options instead of the use case.
func newFunctions(env *cli.Env, runF func(context.Context, *functionsOptions) error) *cobra.Command {
	var f flags
	o := &functionsOptions{}
	c := &cobra.Command{
		Use:   "functions [flags]",
		Short: "List the Inngest functions that the sources register, and what is wrong with them",
		Long: `Read from the TypeScript sources which Inngest functions each index of the worker registers:
ids, triggers, retries and where they are defined. What cannot be decided without running the
program is reported with its location. Exit code 3 means that an error was found.`,
		Example: `  # what this checkout would register
  gh sbw functions

  # with concurrency and locations
  gh sbw functions -o wide

  # what a rollout of this checkout would change against a published tag
  gh sbw functions --diff latest`,
		Args: cobra.NoArgs,
	}
	f.addTarget(c)
	c.Flags().StringVar(&o.diff, "diff", "", "compare with the catalog that this published tag carries")
	cli.AddDocument(env, c, &o.output, func() cli.Document { return &functionsDocument{} }, "name", "wide")
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		if o.Options, err = f.options(env, nil, time.Now); err != nil {
			return err
		}
		if runF != nil {
			return runF(c.Context(), o)
		}
		return runFunctions(c.Context(), env, o)
	}
	return c
}

func runFunctions(ctx context.Context, env *cli.Env, o *functionsOptions) error {
	facts := publish.NewFacts(o.Options)
	found, err := facts.Functions.Get(ctx)
	if err != nil {
		return err
	}
	if found.Empty() {
		return &pipeline.Finding{
			Code:     codeCatalogEmpty,
			Severity: pipeline.Error,
			What:     "no Inngest functions were found",
			Why:      "looked into " + units.List(o.Worker.Catalog.Indexes),
			Fix:      "list the worker's indexes in " + worker.ConfigName + ": workers." + o.Worker.Name + ".catalog.indexes",
		}
	}
	if o.diff == "" {
		return printFunctions(env, o.output, found, facts.Judge(found))
	}
	diffs, err := compare(ctx, o.diff, facts, found)
	if err != nil {
		env.SetDocument(newFunctionsDocument(found))
		return err
	}
	return printDiff(env, o.output, found, diffs)
}

// printFunctions writes the functions to stdout, and what is wrong with them to stderr. An
// error makes the command fail.
func printFunctions(env *cli.Env, output string, found *catalog.Catalog, judged []*pipeline.Finding) error {
	env.SetDocument(newFunctionsDocument(found))
	if err := listFunctions(env, output, found); err != nil {
		return err
	}
	if err := env.Report(judged); err != nil {
		return err
	}
	for _, f := range judged {
		if f.Severity == pipeline.Error {
			return &cli.ExitError{Code: int(pipeline.RefusedByPreflight)}
		}
	}
	return nil
}

// functionsDocument is what functions prints for programs.
type functionsDocument struct {
	cli.Head
	Version    int                           `json:"version" doc:"the version of the catalog's format"`
	Indexes    []catalog.Index               `json:"indexes" doc:"the indexes, each with path, functions and incomplete; a function has the ids of its steps, and open if there may be other steps"`
	Unresolved []catalog.Unresolved          `json:"unresolved" doc:"what could not be decided, each with index, file, line, what and why"`
	Orphans    []catalog.Function            `json:"orphans" doc:"functions that no index registers"`
	Others     []catalog.Other               `json:"others,omitempty" doc:"modules that register functions but are not indexes of this worker, each with path, line, worker, functions, only, perhaps and incomplete"`
	Diff       map[string]catalog.Difference `json:"diff,omitempty" doc:"with --diff, what changes in each index: added, removed, changed"`
}

func newFunctionsDocument(c *catalog.Catalog) *functionsDocument {
	return &functionsDocument{Version: c.Version, Indexes: c.Indexes, Unresolved: c.Unresolved, Orphans: c.Orphans, Others: c.Others}
}

func listFunctions(env *cli.Env, output string, c *catalog.Catalog) error {
	switch {
	case cli.IsDocument(output):
		return nil
	case output != "name":
		return printTable(env, output, c)
	}
	for _, i := range c.Indexes {
		for _, f := range i.Functions {
			if _, err := fmt.Fprintln(env.Out, f.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

func printTable(env *cli.Env, output string, c *catalog.Catalog) error {
	header := []string{"INDEX", "FUNCTION", "TRIGGERS", "RETRIES"}
	if output == "wide" {
		header = append(header, "CONCURRENCY", "WRITTEN AT")
	}
	style := env.Style(env.Out)
	rows := ui.NewRows(style, header...)
	for _, i := range c.Indexes {
		index := i.Path[strings.LastIndex(i.Path, "/")+1:]
		for _, f := range i.Functions {
			cells := []string{index, f.ID, joined(f.Triggers), strconv.Itoa(f.Retries.Value)}
			if output == "wide" {
				var limits []string
				for _, l := range f.Concurrency {
					limits = append(limits, strings.TrimSpace(strconv.Itoa(l.Limit)+" "+l.Key))
				}
				cells = append(cells, strings.Join(limits, ", "), fmt.Sprintf("%s:%d", f.File, f.Line))
			}
			rows.Add(cells...)
		}
	}
	if style.Width == 0 {
		return rows.PrintTabs(env.Out)
	}
	return rows.Print(env.Out)
}

func joined(all []catalog.Trigger) string {
	texts := make([]string, len(all))
	for i, t := range all {
		texts[i] = t.String()
	}
	return strings.Join(texts, ", ")
}

// compare compares the working tree with a published image, index by index.
func compare(ctx context.Context, tag string, facts *publish.Facts, now *catalog.Catalog) (map[string]catalog.Difference, error) {
	client, err := facts.Registry(ctx)
	if err != nil {
		return nil, err
	}
	img, err := image.Resolve(ctx, client, tag)
	if err != nil {
		return nil, err
	}
	text := img.Label(worker.LabelCatalog)
	if text == "" {
		return nil, &pipeline.Finding{
			Code:     codeCatalogAbsent,
			Severity: pipeline.Error,
			What:     client.Repository().At(tag).String() + " carries no function catalog",
			Fix:      "compare with a tag that `gh sbw publish` has built",
		}
	}
	then, err := catalog.Decode(text)
	if err != nil {
		return nil, err
	}
	diffs := map[string]catalog.Difference{}
	for _, i := range now.Indexes {
		var before []catalog.Function
		for _, j := range then.Indexes {
			if j.Path == i.Path {
				before = j.Functions
			}
		}
		diffs[i.Path] = catalog.Diff(before, i.Functions)
	}
	return diffs, nil
}

// printDiff writes what changes in each index.
func printDiff(env *cli.Env, output string, now *catalog.Catalog, diffs map[string]catalog.Difference) error {
	d := newFunctionsDocument(now)
	d.Diff = diffs
	env.SetDocument(d)
	if cli.IsDocument(output) {
		return nil
	}
	for _, i := range now.Indexes {
		d := diffs[i.Path]
		if _, err := fmt.Fprintf(env.Out, "%s: %s\n", i.Path, d.Summary()); err != nil {
			return err
		}
		for _, part := range []struct {
			sign    string
			changes []catalog.Change
		}{{"+", d.Added}, {"-", d.Removed}, {"~", d.Changed}} {
			for _, c := range part.changes {
				if _, err := fmt.Fprintf(env.Out, "  %s %s %s\n", part.sign, c.ID, strings.Join(c.What, ", ")); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
