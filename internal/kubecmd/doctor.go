package kubecmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// newDoctor runs the checks of a rollout and nothing else.
func newDoctor(k *kube) *cobra.Command {
	o := &rolloutOptions{tagOptional: true}
	c := &cobra.Command{
		Use:   "doctor [flags]",
		Short: "Run a rollout's checks, change nothing, and exit with their verdict",
		Long: `Run the checks of 'kubectl sbw rollout' without rolling out. Without --tag the image that runs
is asked about.`,
		Example: `  # could this tag be rolled out?
  kubectl sbw doctor --tag a6de1e0

  # in every cluster?
  kubectl sbw doctor --tag a6de1e0 --contexts 'prod-*'`,
		Args: cobra.NoArgs,
	}
	o.addTarget(c)
	cli.AddOutput(c, &o.output, "json", "yaml")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if len(o.contexts) > 0 {
			o.waveSize = 1
			return runFleet(c.Context(), k, o, "doctor")
		}
		if err := o.complete(k); err != nil {
			return err
		}
		if err := o.findRunningTag(c.Context()); err != nil {
			return err
		}
		if err := o.validate(); err != nil {
			return err
		}
		r := &rollout{rolloutOptions: o, command: "doctor"}
		p := r.pipeline()
		p.Name, p.Stages, p.Journal = "doctor", nil, nil
		out, err := o.env.Run(c.Context(), p, nil)
		switch {
		case o.output != "":
			if perr := cli.PrintObject(o.env.Out, o.output, r.result(out)); perr != nil {
				return perr
			}
		case err == nil && out.End == pipeline.Done:
			_, err = fmt.Fprintf(o.env.Out, "%s/%s can be rolled out at %s\n", o.ref.Namespace, o.ref, o.tag)
		}
		return err
	}
	return c
}

// findRunningTag takes the tag that runs where none was given.
func (o *rolloutOptions) findRunningTag(ctx context.Context) (err error) {
	if o.tag == "" {
		o.tag, err = o.runningTag(ctx)
	}
	return err
}
