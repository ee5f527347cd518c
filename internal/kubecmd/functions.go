package kubecmd

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/catalog"
	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/ui"
)

type functionsOptions struct {
	inngestFlags
	name   string
	all    bool
	output string
}

func newFunctions(k *kube) *cobra.Command {
	o := &functionsOptions{}
	c := &cobra.Command{
		Use:   "functions [NAME] [flags]",
		Short: "List the functions that Inngest has registered",
		Long: `List the functions that Inngest has registered, with their triggers, retries and limits, and where
the catalog of the image that runs says they are defined. A function that another app has as well, or
whose event starts functions of another app, is marked.`,
		Example: `  # the worker's functions
  kubectl sbw functions

  # those with a text in their name, of all apps
  kubectl sbw functions approval --all`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			o.name = strings.Join(args, "")
			e, err := k.liveEnds(c.Context(), o.inngestFlags)
			if err != nil {
				return err
			}
			err = o.run(c.Context(), e)
			if cerr := e.close(); err == nil {
				err = cerr
			}
			return err
		},
	}
	o.add(c)
	c.Flags().BoolVarP(&o.all, "all", "A", false, "of every app, not of this worker's alone")
	cli.AddOutput(c, &o.output, "name", "wide", "json", "yaml")
	return c
}

// functionRow is one function as it is printed.
type functionRow struct {
	model.Function
	// Defined is where the catalog of the image that runs has it: FILE:LINE.
	Defined string `json:"defined,omitempty"`
	// Also are the same function in other apps, Shared other apps' functions
	// that the same event starts.
	Also   []string `json:"alsoIn,omitempty"`
	Shared []string `json:"sharesTriggerWith,omitempty"`
}

func (o *functionsOptions) run(ctx context.Context, e *ends) error {
	env := e.scope.kube.env
	read := make(chan definitions, 1)
	go func() { read <- e.definitions(ctx, o.output != "name") }()
	apps, err := e.client.Apps(ctx)
	known := <-read
	if err != nil {
		return e.explain("read Inngest's registrations", err)
	}
	if err := e.tellWay(); err != nil {
		return err
	}
	if known.err != nil {
		env.Warn("read where the functions are defined", known.err)
	}
	rows := functionRows(apps, e.app, o.name, o.all, known.catalog)
	switch {
	case o.output == "json" || o.output == "yaml":
		return cli.PrintObject(env.Out, o.output, rows)
	case len(rows) == 0:
		what := "no function is registered for app " + e.app
		if o.name != "" {
			what = "no registered function is named like " + strconv.Quote(o.name)
		}
		return &pipeline.Finding{Code: "function-missing", Severity: pipeline.Error, What: what, Why: alternatives(apps, e.app, o),
			Fix: "is it exported from the worker's index? `kubectl sbw refresh` registers what the worker serves; --all looks into other apps"}
	case o.output == "name":
		for _, f := range rows {
			if _, err := fmt.Fprintln(env.Out, f.Slug); err != nil {
				return err
			}
		}
		return nil
	}
	return o.print(env, rows)
}

// alternatives says where else the server has it.
func alternatives(apps []model.App, own string, o *functionsOptions) string {
	if o.name == "" || o.all {
		return ""
	}
	var others []string
	for _, f := range functionRows(apps, own, o.name, true, nil) {
		others = append(others, f.LocalID()+" of app "+f.App)
	}
	if len(others) == 0 {
		return ""
	}
	return "other apps have " + strings.Join(others, ", ")
}

func (o *functionsOptions) print(env *cli.Env, rows []functionRow) error {
	has := func(what func(functionRow) bool) bool { return o.output == "wide" || slices.ContainsFunc(rows, what) }
	defined := has(func(f functionRow) bool { return f.Defined != "" })
	twice := has(func(f functionRow) bool { return len(f.Also)+len(f.Shared) > 0 })
	header := []string{"FUNCTION", "TRIGGERS", "RETRIES", "CONCURRENCY", "APP"}
	if defined {
		header = append(header, "DEFINED")
	}
	if twice {
		header = append(header, "TWICE")
	}
	table := ui.NewRows(env.Style(env.Out), header...)
	for _, f := range rows {
		cells := []string{f.LocalID(), joined(f.Triggers), strconv.Itoa(f.Retries), joined(f.Concurrency), f.App}
		if defined {
			cells = append(cells, f.Defined)
		}
		if twice {
			cells = append(cells, f.twice())
		}
		table.Add(cells...)
	}
	return table.Print(env.Out)
}

// twice says in one cell with what a function is mixed up.
func (f functionRow) twice() string {
	var parts []string
	if len(f.Also) > 0 {
		parts = append(parts, "is "+strings.Join(f.Also, ", ")+" too")
	}
	if len(f.Shared) > 0 {
		parts = append(parts, "same event starts "+strings.Join(f.Shared, ", "))
	}
	return strings.Join(parts, "; ")
}

// functionRows are the functions of the wanted apps, sorted, those marked that
// another app has too.
func functionRows(apps []model.App, own, name string, all bool, defined *catalog.Catalog) []functionRow {
	also, shared := map[string][]string{}, map[string][]string{}
	for _, d := range judge.Duplicates(apps) {
		into := also
		if d.Trigger != "" {
			into = shared
		}
		for _, slug := range d.Slugs {
			for _, other := range d.Slugs {
				if other != slug && !slices.Contains(into[slug], other) {
					into[slug] = append(into[slug], other)
				}
			}
		}
	}
	rows := []functionRow{}
	for _, a := range apps {
		if !all && a.Name != own {
			continue
		}
		places := placesOf(a, defined)
		for _, f := range a.Functions {
			if strings.Contains(f.Slug, name) || strings.Contains(f.Name, name) {
				rows = append(rows, functionRow{Function: f, Defined: places[f.Slug], Also: also[f.Slug], Shared: shared[f.Slug]})
			}
		}
	}
	slices.SortFunc(rows, func(a, b functionRow) int { return strings.Compare(a.Slug, b.Slug) })
	return rows
}

// placesOf are FILE:LINE of an app's functions by slug, from the index of the
// catalog that it comes from.
func placesOf(a model.App, c *catalog.Catalog) map[string]string {
	if c == nil {
		return nil
	}
	index, ok := c.Match(registered(a.Functions))
	if !ok {
		return nil
	}
	places := map[string]string{}
	for _, f := range index.Functions {
		for _, slug := range f.Slugs(a.Name) {
			places[slug] = fmt.Sprintf("%s:%d", f.File, f.Line)
		}
	}
	return places
}

// definitions is the catalog of the image that runs; nil where it has none.
type definitions struct {
	catalog *catalog.Catalog
	err     error
}

// definitions reads the catalog of the image that runs, with the pod's own
// pull secrets.
func (e *ends) definitions(ctx context.Context, wanted bool) definitions {
	if !wanted {
		return definitions{}
	}
	c, err := e.runningCatalog(ctx, e.live)
	return definitions{c, err}
}

func joined[T fmt.Stringer](all []T) string {
	texts := make([]string, len(all))
	for i, t := range all {
		texts[i] = t.String()
	}
	return strings.Join(texts, ", ")
}
