package kubecmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/rollout"
	"github.com/joelhooks/gh-sbw/internal/units"
)

type refreshOptions struct {
	inngestFlags
	rollout.RefreshOptions
	output string
}

func newRefresh(k *factory, runF func(context.Context, *refreshOptions) error) *cobra.Command {
	o := &refreshOptions{}
	c := &cobra.Command{
		Use:   "refresh",
		Short: "Make Inngest's registration match what the worker serves",
		Long: `Make Inngest's registration match what the worker serves.

The command compares what the worker serves with what the server has, and stops if functions would
vanish. Then the worker registers, and the server's own list confirms it. Stale registrations are
listed, and deleted only with --prune-stale; those of other workers are never touched.`,
		Example: `  # register again, and see what changed
  kubectl sbw refresh

  # see what would change
  kubectl sbw refresh --dry-run

  # drop functions that the worker no longer has, and stale registrations
  kubectl sbw refresh --allow-removal --prune-stale`,
		Args: cobra.NoArgs,
	}
	o.add(c)
	f := c.Flags()
	f.BoolVar(&o.AllowRemoval, "allow-removal", false, "let functions vanish if the worker no longer serves them")
	f.BoolVar(&o.PruneStale, "prune-stale", false, "delete stale registrations")
	f.BoolVar(&o.Resync, "resync", false, "register as if for the first time, so that schedules are read again")
	f.BoolVar(&o.DryRun, "dry-run", false, "show what would change, and change nothing")
	cli.AddDocument(k.env, c, &o.output, func() cli.Document { return &refreshDocument{} })
	c.RunE = func(c *cobra.Command, _ []string) error {
		if runF != nil {
			return runF(c.Context(), o)
		}
		return o.run(c.Context(), k)
	}
	return c
}

func (o *refreshOptions) run(ctx context.Context, k *factory) error {
	_, c, w, err := o.connect(ctx, k)
	if err != nil {
		return err
	}
	r := rollout.NewRefresh(c, w, o.RefreshOptions)
	if _, err = k.env.Run(ctx, r.Pipeline, nil); err != nil {
		return err
	}
	return printRefresh(k.env, o.output, r.Done, r.Plan)
}

// refreshDocument is what refresh prints for programs.
type refreshDocument struct {
	cli.Head
	App        *model.App    `json:"app,omitempty" doc:"the app as it is registered now"`
	Want       *model.Wanted `json:"want,omitempty" doc:"with --dry-run, what would be registered"`
	Registered *model.App    `json:"registered,omitempty" doc:"with --dry-run, the app as it is registered, if it is"`
	Diff       *judge.Diff   `json:"diff,omitempty" doc:"the functions that were, or would be, added, removed, changed, kept"`
	Modified   bool          `json:"modified" doc:"whether the server has changed the registration"`
	Stale      []judge.Stale `json:"stale" doc:"stale registrations"`
	Pruned     []judge.Stale `json:"pruned" doc:"stale registrations that were deleted"`
	Foreign    []model.App   `json:"foreign" doc:"the apps of other workers"`
}

// printRefresh writes what was registered in one line, or a document. plan is only set
// after a dry run.
func printRefresh(env *cli.Env, output string, done *inngest.Refreshed, plan *inngest.Plan) error {
	if plan != nil {
		env.SetDocument(&refreshDocument{Want: &plan.Want, Registered: plan.Own, Diff: &plan.Diff, Stale: plan.Stale})
		return nil
	}
	env.SetDocument(
		&refreshDocument{
			App:      &done.App,
			Diff:     &done.Diff,
			Modified: done.Modified,
			Stale:    done.Stale,
			Pruned:   done.Pruned,
			Foreign:  done.Foreign,
		},
	)
	if cli.IsDocument(output) {
		return nil
	}
	_, err := fmt.Fprintf(env.Out, "app/%s %s\n", done.App.Name, units.Count(len(done.App.Functions), "function", "functions"))
	return err
}
