package ghcmd

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/image"
	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/registry"
	"github.com/joelhooks/gh-sbw/internal/ui"
)

func newTags(env *cli.Env) *cobra.Command {
	o := newOptions(env)
	var limit int
	c := &cobra.Command{
		Use:   "tags [flags]",
		Short: "List what is published: tag, digest, commit, when, by whom, size",
		Example: `  # the newest tags
  gh sbw tags

  # every tag, for a program
  gh sbw tags --limit 0 -o json`,
		Args: cobra.NoArgs,
	}
	o.addTarget(c)
	c.Flags().IntVarP(&limit, "limit", "L", 20, "how many at most; 0: all")
	cli.AddOutput(c, &o.output, "name", "json")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if limit < 0 {
			return pipeline.UsageErrorf("usage", "give it as --limit 20", "--limit %d is below zero", limit)
		}
		if err := o.complete(nil); err != nil {
			return err
		}
		if err := o.validate(); err != nil {
			return err
		}
		tags, err := o.published(c.Context(), limit)
		if err != nil {
			return err
		}
		return o.printTags(tags)
	}
	return c
}

// published reads the tags of the worker's repository.
func (o *publishOptions) published(ctx context.Context, limit int) ([]image.Tag, error) {
	p := &publish{publishOptions: o}
	p.lazies()
	repo, err := p.repo.Get(ctx)
	if err != nil {
		return nil, err
	}
	client, err := p.reader(ctx, repo)
	if err != nil {
		return nil, err
	}
	list := image.ListOptions{Limit: limit}
	if base, err := p.cacheDir(); err == nil {
		list.CacheDir = filepath.Join(base, "sbw", "configs") // without one it is only slower
	}
	return image.List(ctx, client, list)
}

// reader is a client that reads the repository.
func (p *publish) reader(ctx context.Context, repo imageref.Repository) (*registry.Client, error) {
	id, err := p.identity.Get(ctx)
	if err != nil {
		return nil, err
	}
	return registry.New(repo, registry.Options{Auth: id.Authenticator(), Credential: id.Source, UserAgent: userAgent}), nil
}

func (o *publishOptions) printTags(tags []image.Tag) error {
	out := o.env.Out
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
	style := o.env.Style(out)
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
			age = ageOf(o.now().Sub(t.Created))
		}
		rows.Add(t.Tag, strings.TrimPrefix(t.Digest, "sha256:")[:12], commit, age, t.Publisher, ui.FormatBytes(t.Size), strings.Join(t.Platforms, ","))
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
