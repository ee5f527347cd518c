package ghcmd

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/build"
	"github.com/joelhooks/gh-sbw/internal/checkout"
	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/image"
	"github.com/joelhooks/gh-sbw/internal/publish"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// completions adds completion to the flags and arguments of every command.
func completions(root *cobra.Command, env *cli.Env) {
	published := cli.CompleteBy(func(ctx context.Context, c *cobra.Command, _ []string) ([]string, error) {
		return publishedTags(ctx, env, given(c, "worker"), given(c, "image"))
	})
	words := map[string]cobra.CompletionFunc{
		"worker": cli.CompleteBy(func(context.Context, *cobra.Command, []string) ([]string, error) {
			dir, _ := worker.FindRoot(env.Dir)
			config, err := worker.Load(dir)
			if err != nil {
				return nil, err
			}
			return config.Names(), nil
		}),
		"diff":     published,
		"platform": cobra.FixedCompletions([]string{"linux/arm64", "linux/amd64"}, cobra.ShellCompDirectiveNoFileComp),
		"context":  cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs),
		"layout":   cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs),
		"secret":   cobra.FixedCompletions([]string{"id="}, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace),
	}
	for _, name := range []string{"image", "target", "build-arg", "cache-from", "cache-to", "limit"} {
		words[name] = cobra.NoFileCompletions
	}
	for _, c := range root.Commands() {
		for name, by := range words {
			if c.Flags().Lookup(name) != nil && !cli.Completed(c, name) {
				cli.CompleteFlag(c, by, name)
			}
		}
		switch {
		case c.ValidArgsFunction != nil || len(c.ValidArgs) > 0:
		case c.Name() == "publish" || c.Name() == "doctor":
			c.ValidArgsFunction = cli.CompleteBy(func(ctx context.Context, _ *cobra.Command, args []string) ([]string, error) {
				return nextTags(ctx, env, args)
			})
		default:
			c.ValidArgsFunction = cobra.NoFileCompletions
		}
	}
}

// nextTags returns tags that this checkout would likely be published with: the time and
// the commit.
func nextTags(ctx context.Context, env *cli.Env, args []string) ([]string, error) {
	if len(args) > 0 {
		return nil, nil
	}
	tags := []string{time.Now().Format(tagLayout) + "\tthe time, the default"}
	dir, _ := worker.FindRoot(env.Dir)
	state, err := checkout.Inspect(ctx, checkout.Options{Dir: dir, Env: os.Environ()})
	if err != nil {
		return tags, err
	}
	if len(state.Revision) > 9 {
		about := "the commit"
		if state.Dirty {
			about += ", without this checkout's changes"
		}
		tags = append(tags, fmt.Sprintf("%s\t%s", state.Revision[:7], about))
	}
	return tags, nil
}

func publishedTags(ctx context.Context, env *cli.Env, workerName, repository string) ([]string, error) {
	f := flags{worker: workerName, image: repository, builder: build.Auto}
	o, err := f.options(env, nil, time.Now)
	if err != nil {
		return nil, err
	}
	client, err := publish.NewFacts(o).Registry(ctx)
	if err != nil {
		return nil, err
	}
	return image.Names(ctx, client)
}

// given returns the value of a flag, or "" if the command has no such flag.
func given(c *cobra.Command, name string) string {
	if f := c.Flags().Lookup(name); f != nil {
		return f.Value.String()
	}
	return ""
}
