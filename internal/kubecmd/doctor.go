package kubecmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/rollout"
)

// newDoctor makes the command that runs the checks of a rollout and nothing else.
func newDoctor(k *factory, runF func(context.Context, *rolloutOptions) error) *cobra.Command {
	o := &rolloutOptions{tagOptional: true}
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Run a rollout's checks, change nothing, and exit with their verdict",
		Long: `Run the checks of 'kubectl sbw rollout' without rolling out. Without --tag they are run for the
image that is running.`,
		Example: `  # could this tag be rolled out?
  kubectl sbw doctor --tag a6de1e0

  # in every cluster?
  kubectl sbw doctor --tag a6de1e0 --contexts 'prod-*'`,
		Args: cobra.NoArgs,
	}
	o.addTarget(c)
	cli.AddDocument(k.env, c, &o.output, newRolloutDocument)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if len(o.contexts) > 0 && runF == nil {
			return o.runFleet(c.Context(), k, rollout.NewFleetDoctor)
		}
		if err := o.complete(k); err != nil {
			return err
		}
		if runF != nil {
			return runF(c.Context(), o)
		}
		if err := o.findTag(c.Context()); err != nil {
			return err
		}
		if err := o.validate(); err != nil {
			return err
		}
		r := rollout.NewDoctor(o.Target, o.Options)
		out, err := k.env.Run(c.Context(), r.Pipeline, nil)
		if perr := printDoctor(k.env, o.output, r.Result(out), out); perr != nil {
			return perr
		}
		return err
	}
	return c
}

// printDoctor writes the verdict in one line, or a document.
func printDoctor(env *cli.Env, output string, res rollout.Result, out pipeline.Outcome) error {
	env.SetDocument(&rolloutDocument{Result: &res})
	if cli.IsDocument(output) || out.End != pipeline.Done {
		return nil
	}
	_, err := fmt.Fprintf(env.Out, "%s/%s can be rolled out at %s\n", res.Namespace, res.Workload, res.Tag)
	return err
}
