package ghcmd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/image"
	"github.com/joelhooks/gh-sbw/internal/imageref"
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

// newTags makes the command. In tests, runF gets the options instead of the use case.
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
	cli.AddDocument(env, c, &o.output, func() cli.Document { return &tagsDocument{} }, "name")
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		if o.limit < 0 {
			return pipeline.UsageErrorf(pipeline.CodeUsage, "write it as --limit 20", "--limit %d is below zero", o.limit)
		}
		if o.Options, err = f.options(env, nil, time.Now); err != nil {
			return err
		}
		if runF != nil {
			return runF(c.Context(), o)
		}
		return runTags(c.Context(), env, o)
	}
	return c
}

// tagsDocument is what tags prints for programs.
type tagsDocument struct {
	cli.Head
	Repository string      `json:"repository,omitempty" doc:"the repository that the tags are in"`
	Tags       []image.Tag `json:"tags" doc:"the tags, the newest first, each with tag, digest, commit, dirty, source, created, publisher, worker, size (bytes), platforms, problem"`
}

func runTags(ctx context.Context, env *cli.Env, o *tagsOptions) error {
	facts := publish.NewFacts(o.Options)
	client, err := facts.Registry(ctx)
	if err != nil {
		return err
	}
	tags, err := image.List(ctx, client, image.ListOptions{Limit: o.limit, CacheDir: facts.ConfigsDir()})
	if err != nil {
		return err
	}
	return printTags(env, o, client.Repository(), tags)
}

// printTags writes the result to stdout: a table, names, or a document.
func printTags(env *cli.Env, o *tagsOptions, repo imageref.Repository, tags []image.Tag) error {
	env.SetDocument(&tagsDocument{Repository: repo.String(), Tags: tags})
	if len(tags) == 0 {
		return env.Report([]*pipeline.Finding{{
			Code: codeImageNotFound, Severity: pipeline.Note, What: "nothing is published as " + repo.String(),
			Fix: "publish it with `gh sbw publish`, or name another repository with --image",
		}})
	}
	out := env.Out
	switch {
	case cli.IsDocument(o.output):
		return nil
	case o.output == "name":
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
		rows.Add(
			t.Tag,
			strings.TrimPrefix(t.Digest, "sha256:")[:12],
			commit,
			age,
			t.Publisher,
			units.Bytes(t.Size),
			strings.Join(t.Platforms, ","),
		)
	}
	if style.Width == 0 {
		return rows.PrintTabs(out)
	}
	return rows.Print(out)
}

// ageOf prints an age in one unit, as kubectl's and gh's lists do: 40s, 12m, 5h, 3d, 4y.
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
