package ghcmd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/image"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/publish"
	"github.com/joelhooks/gh-sbw/internal/ui"
	"github.com/joelhooks/gh-sbw/internal/units"
)

type tagsOptions struct {
	publish.Options
	limit  int
	output string
}

// newTags makes the command. runF takes the options in place of the use case,
// in tests.
func newTags(env *cli.Env, runF func(context.Context, *tagsOptions) error) *cobra.Command {
	var f flags
	o := &tagsOptions{}
	c := &cobra.Command{
		Use:   "tags [flags]",
		Short: "List what is published: tag, digest, commit, age, publisher, size",
		Example: `  # the newest tags
  gh sbw tags

  # every tag, for a program
  gh sbw tags --limit 0 -o json`,
		Args: cobra.NoArgs,
	}
	f.addTarget(c)
	c.Flags().IntVarP(&o.limit, "limit", "L", 20, "list at most this many; 0 lists all")
	cli.AddOutput(c, &o.output, "name", "json")
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		if o.limit < 0 {
			return pipeline.UsageErrorf(codeUsage, "write it as --limit 20", "--limit %d is below zero", o.limit)
		}
		if o.Options, err = f.options(env, nil, time.Now); err != nil {
			return err
		}
		if runF != nil {
			return runF(c.Context(), o)
		}
		tags, err := published(c.Context(), o)
		if err != nil {
			return err
		}
		return printTags(env, o, tags)
	}
	return c
}

// published reads the tags of the worker's repository.
func published(ctx context.Context, o *tagsOptions) ([]image.Tag, error) {
	facts := publish.NewFacts(o.Options)
	client, err := facts.Registry(ctx)
	if err != nil {
		return nil, err
	}
	return image.List(ctx, client, image.ListOptions{Limit: o.limit, CacheDir: facts.ConfigsDir()})
}

func printTags(env *cli.Env, o *tagsOptions, tags []image.Tag) error {
	out := env.Out
	switch o.output {
	case "json":
		return cli.PrintObject(out, "json", tags)
	case "name":
		for _, t := range tags {
			if _, err := fmt.Fprintln(out, t.Tag); err != nil {
				return err
			}
		}
		return nil
	}
	style := env.Style(out)
	rows := ui.NewRows(style, "TAG", "DIGEST", "COMMIT", "AGE", "BY", "SIZE", "PLATFORMS")
	for _, t := range tags {
		if t.Problem != "" {
			rows.Add(t.Tag, t.Problem)
			continue
		}
		commit := t.Commit
		if len(commit) > 9 {
			commit = commit[:9]
		}
		if t.Dirty {
			commit += "+"
		}
		age := ""
		if !t.Created.IsZero() {
			age = ageOf(o.Now().Sub(t.Created))
		}
		rows.Add(t.Tag, strings.TrimPrefix(t.Digest, "sha256:")[:12], commit, age, t.Publisher, units.Bytes(t.Size), strings.Join(t.Platforms, ","))
	}
	if style.Width == 0 {
		return rows.PrintTabs(out)
	}
	return rows.Print(out)
}

// ageOf writes a time that has passed in one unit, as kubectl's and gh's lists
// do: 40s, 12m, 5h, 3d, 4y.
func ageOf(d time.Duration) string {
	const day = 24 * time.Hour
	for _, u := range []struct {
		from, unit time.Duration
		name       string
	}{{2 * 365 * day, 365 * day, "y"}, {2 * day, day, "d"}, {2 * time.Hour, time.Hour, "h"}, {2 * time.Minute, time.Minute, "m"}} {
		if d >= u.from {
			return fmt.Sprintf("%d%s", d/u.unit, u.name)
		}
	}
	return fmt.Sprintf("%ds", max(0, d)/time.Second)
}
