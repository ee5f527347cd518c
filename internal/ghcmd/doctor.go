package ghcmd

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/publish"
)

// newDoctor runs the checks of publish and nothing else.
func newDoctor(env *cli.Env, runF func(context.Context, *publishOptions) error) *cobra.Command {
	var f flags
	o := &publishOptions{}
	c := &cobra.Command{
		Use:   "doctor [TAG] [flags]",
		Short: "Run the checks of publish, change nothing, and exit with their verdict",
		Example: `  # could this checkout be published?
  gh sbw doctor`,
		Args: cobra.MaximumNArgs(1),
	}
	f.addTarget(c)
	f.addBuild(c)
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		if o.Options, err = f.options(env, args, time.Now); err != nil {
			return err
		}
		if runF != nil {
			return runF(c.Context(), o)
		}
		return runDoctor(c.Context(), env, o)
	}
	return c
}

func runDoctor(ctx context.Context, env *cli.Env, o *publishOptions) error {
	r := publish.New(o.Options)
	out, err := env.Run(ctx, r.Preflight(), nil)
	if err != nil || out.End != pipeline.Done {
		return err
	}
	repo, err := r.Facts.Repository.Get(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.Out, "%s can be published\n", repo.At(o.Tag))
	return err
}
