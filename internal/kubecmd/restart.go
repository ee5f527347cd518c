package kubecmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/rollout"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

func newRestart(k *factory, runF func(context.Context, *rolloutOptions) error) *cobra.Command {
	o := &rolloutOptions{tagOptional: true}
	o.Restart, o.Manifest.ImageOnly, o.DryRun = true, true, rollout.DryRunNone
	c := &cobra.Command{
		Use:   "restart",
		Short: "Replace the pods with new ones of the same image, so that they read changed Secrets and ConfigMaps",
		Long: `Replace the pods with new ones of the image that is running.

A pod reads the Secrets and ConfigMaps of its environment once, when it starts. After one of them has
changed, restart brings up new pods in the same way as a rollout: with the same checks, strategies
and proofs, and the old pods come back if the new ones fail. No manifest is read or written.`,
		Example: `  # after a Secret has changed
  kubectl sbw restart

  # in every production cluster, one after the other
  kubectl sbw restart --contexts 'prod-*'

  # prove the new pods before they serve, and refuse where that is not possible
  kubectl sbw restart --strategy switch`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return o.runHere(c, k, runF, func() error { return o.run(c.Context(), k.env, rollout.NewRestart) })
		},
	}
	f := c.Flags()
	addContexts(c, &o.contexts)
	o.addWaves(c)
	f.DurationVar(&o.Timeout, "timeout", 0, "how long to wait for the new pods (default: deploy.timeout of "+worker.ConfigName+", 180s)")
	o.addDryRun(c)
	addProbe(c, &o.Probe)
	o.addCare(c)
	addNoInngest(c, &o.Inngest.Off)
	f.BoolVar(&o.Inngest.AllowRemoval, "allow-removal", false, "let functions vanish from Inngest if the new pods do not have them")
	o.inngest.add(c)
	o.addStrategy(c)
	o.addSwitch(c)
	o.addRestart(c)
	cli.AddDocument(k.env, c, &o.output, newRolloutDocument, "name")
	return c
}
