package kubecmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/rollout"
)

type refreshOptions struct {
	inngestFlags
	rollout.RefreshOptions
	output string
}

func newRefresh(k *factory, runF func(context.Context, *refreshOptions) error) *cobra.Command {
	o := &refreshOptions{}
	c := &cobra.Command{
		Use:   "refresh [flags]",
		Short: "Make Inngest's registration equal to what the worker serves",
		Long: `Make Inngest's registration equal to what the worker serves.

The worker is asked what it serves, the server what it has; functions that would vanish stop the
refresh. Then the worker registers, and the server's own list proves it. Stale registrations are
listed, and deleted only with --prune-stale; another worker's are never touched.`,
		Example: `  # register again, and see what changed
  kubectl sbw refresh

  # see what it would do
  kubectl sbw refresh --dry-run

  # drop functions that the worker no longer has, and of stale registrations
  kubectl sbw refresh --allow-removal --prune-stale`,
		Args: cobra.NoArgs,
	}
	o.add(c)
	f := c.Flags()
	f.BoolVar(&o.AllowRemoval, "allow-removal", false, "let functions vanish that the worker no longer serves")
	f.BoolVar(&o.PruneStale, "prune-stale", false, "delete registrations that are stale by rule")
	f.BoolVar(&o.Resync, "resync", false, "register as if for the first time, so that schedules are read again")
	f.BoolVar(&o.DryRun, "dry-run", false, "say what would change, and change nothing")
	cli.AddOutput(c, &o.output, "json", "yaml")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if runF != nil {
			return runF(c.Context(), o)
		}
		return o.run(c.Context(), k)
	}
	return c
}

func (o *refreshOptions) run(ctx context.Context, k *factory) error {
	t, inngest, err := o.target(k)
	if err != nil {
		return err
	}
	if err := needsInngest(t); err != nil {
		return err
	}
	c, _, err := t.ConnectLive(ctx, inngest)
	if err != nil {
		return err
	}
	r := rollout.NewRefresh(c, o.RefreshOptions)
	if _, err = k.env.Run(ctx, r.Pipeline, nil); err != nil {
		return err
	}
	return printRefresh(k.env, o.output, r)
}

// printRefresh writes the registration in one line, or the whole result as asked.
func printRefresh(env *cli.Env, output string, r *rollout.Refresh) (err error) {
	switch {
	case output != "" && r.Plan != nil:
		return cli.PrintObject(env.Out, output, r.Plan)
	case output != "":
		return cli.PrintObject(env.Out, output, r.Done)
	case r.Done != nil:
		_, err = fmt.Fprintf(env.Out, "app/%s %d functions\n", r.Done.App.Name, len(r.Done.App.Functions))
	}
	return err
}
