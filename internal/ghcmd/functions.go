package ghcmd

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/catalog"
	"github.com/joelhooks/gh-sbw/internal/catalog/reader"
	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/image"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/ui"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

func newFunctions(env *cli.Env) *cobra.Command {
	o := newOptions(env)
	var diff string
	c := &cobra.Command{
		Use:   "functions [flags]",
		Short: "List the Inngest functions that the sources register, and what is wrong with them",
		Long: `Read from the TypeScript sources alone which Inngest functions each index of the worker registers:
ids, triggers, retries and where they are written. What cannot be decided without running the
program is said with its place. Exit code 3 says that an error was found.`,
		Example: `  # what this checkout would register
  gh sbw functions

  # with concurrency and places
  gh sbw functions -o wide

  # what a rollout of this checkout would change against a published tag
  gh sbw functions --diff latest`,
		Args: cobra.NoArgs,
	}
	o.addTarget(c)
	c.Flags().StringVar(&diff, "diff", "", "compare with the catalog that this published tag carries")
	cli.AddOutput(c, &o.output, "name", "wide", "json")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := o.complete(nil); err != nil {
			return err
		}
		if err := o.validate(); err != nil {
			return err
		}
		p := &publish{publishOptions: o}
		p.lazies()
		found, err := p.functions.Get(c.Context())
		if err != nil {
			return err
		}
		if found.Empty() {
			return &pipeline.Finding{Code: "catalog-empty", Severity: pipeline.Error, What: "no Inngest functions were found",
				Why: "looked into " + strings.Join(o.worker.Catalog.Indexes, ", "), Fix: "name the worker's indexes as catalog.indexes in " + worker.ConfigName}
		}
		if diff != "" {
			return p.printDiff(c.Context(), found, diff)
		}
		return p.printFunctions(found)
	}
	return c
}

// readCatalog reads what the sources register; an empty catalog where there is
// nothing of Inngest's.
func (p *publish) readCatalog(ctx context.Context) (*catalog.Catalog, error) {
	return reader.Read(ctx, reader.Options{Root: p.root, Indexes: p.worker.Catalog.Indexes})
}

func (p *publish) judge(c *catalog.Catalog) []*pipeline.Finding {
	return catalog.Check(c, catalog.CheckOptions{
		ZeroRetries: p.worker.Allow.ZeroRetries, Severity: p.worker.Catalog.Checks, SameServer: true,
	})
}

func (p *publish) checkCatalog(ctx context.Context, r *pipeline.Reporter) ([]*pipeline.Finding, error) {
	c, err := p.functions.Get(ctx)
	if err != nil || c.Empty() {
		return nil, err
	}
	for _, i := range c.Indexes {
		r.Detailf("%s registers %d functions", i.Path, len(i.Functions))
	}
	return p.judge(c), nil
}

func (p *publish) printFunctions(c *catalog.Catalog) error {
	out := p.env.Out
	found := p.judge(c)
	switch p.output {
	case "json":
		if err := cli.PrintObject(out, "json", struct {
			*catalog.Catalog
			Findings []*pipeline.Finding `json:"findings,omitempty"`
		}{c, found}); err != nil {
			return err
		}
	case "name":
		for _, i := range c.Indexes {
			for _, f := range i.Functions {
				if _, err := fmt.Fprintln(out, f.ID); err != nil {
					return err
				}
			}
		}
	default:
		if err := p.printTable(c); err != nil {
			return err
		}
	}
	if err := p.env.Report(found); err != nil {
		return err
	}
	for _, f := range found {
		if f.Severity == pipeline.Error {
			return &cli.ExitError{Code: int(pipeline.RefusedByPreflight)}
		}
	}
	return nil
}

func (p *publish) printTable(c *catalog.Catalog) error {
	header := []string{"INDEX", "FUNCTION", "TRIGGERS", "RETRIES"}
	if p.output == "wide" {
		header = append(header, "CONCURRENCY", "WRITTEN AT")
	}
	style := p.env.Style(p.env.Out)
	rows := ui.NewRows(style, header...)
	for _, i := range c.Indexes {
		index := i.Path[strings.LastIndex(i.Path, "/")+1:]
		for _, f := range i.Functions {
			cells := []string{index, f.ID, joined(f.Triggers), strconv.Itoa(f.Retries.Value)}
			if p.output == "wide" {
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
		return rows.PrintTabs(p.env.Out)
	}
	return rows.Print(p.env.Out)
}

func joined(all []catalog.Trigger) string {
	texts := make([]string, len(all))
	for i, t := range all {
		texts[i] = t.String()
	}
	return strings.Join(texts, ", ")
}

// printDiff compares the working tree with a published image, index by index.
func (p *publish) printDiff(ctx context.Context, now *catalog.Catalog, tag string) error {
	repo, err := p.repo.Get(ctx)
	if err != nil {
		return err
	}
	client, err := p.reader(ctx, repo)
	if err != nil {
		return err
	}
	img, err := image.Resolve(ctx, client, tag)
	if err != nil {
		return err
	}
	text := img.Label(worker.LabelCatalog)
	if text == "" {
		return &pipeline.Finding{Code: "catalog-absent", Severity: pipeline.Error, What: repo.At(tag).String() + " carries no function catalog",
			Fix: "compare with a tag that `gh sbw publish` has built"}
	}
	then, err := catalog.Decode(text)
	if err != nil {
		return err
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
	if p.output == "json" {
		return cli.PrintObject(p.env.Out, "json", diffs)
	}
	for _, i := range now.Indexes {
		d := diffs[i.Path]
		if _, err := fmt.Fprintf(p.env.Out, "%s: %s\n", i.Path, d.Summary()); err != nil {
			return err
		}
		for _, part := range []struct {
			sign    string
			changes []catalog.Change
		}{{"+", d.Added}, {"-", d.Removed}, {"~", d.Changed}} {
			for _, c := range part.changes {
				if _, err := fmt.Fprintf(p.env.Out, "  %s %s %s\n", part.sign, c.ID, strings.Join(c.What, ", ")); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
