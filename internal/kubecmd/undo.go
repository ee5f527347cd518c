package kubecmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/rollout"
)

func newUndo(k *factory, runF func(context.Context, *rolloutOptions) error) *cobra.Command {
	o := &rolloutOptions{tagOptional: true}
	o.DryRun = rollout.DryRunNone
	c := &cobra.Command{
		Use:   "undo",
		Short: "Go back to an earlier revision, wait, probe and register its functions",
		Long: `Go back to an earlier revision, wait for it, probe its pods and register its functions.

Steps that are executing are guarded as in a rollout: those that will merely be retried are listed,
and one that the restart would kill for good stops the undo. The image in the manifest file is
restored as well, and no other byte, if it is the image that ran; otherwise the file is left as it
is, with a warning.

After a run that was killed or could not restore what it had changed, the undo goes back to the
state before that run.`,
		Example: `  # back to what ran before
  kubectl sbw undo

  # back to a specific revision
  kubectl sbw history
  kubectl sbw undo --to-revision 3

  # wait up to five minutes until no step is executing
  kubectl sbw undo --wait-idle=5m`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("to-revision") && o.ToRevision < 1 {
				return pipeline.UsageErrorf(
					pipeline.CodeUsage,
					"choose one that `kubectl sbw history` lists",
					"--to-revision %d is not a revision",
					o.ToRevision,
				)
			}
			if err := o.complete(k); err != nil {
				return err
			}
			o.dropMissingManifest()
			if err := o.validate(); err != nil {
				return err
			}
			if runF != nil {
				return runF(c.Context(), o)
			}
			return o.undo(c.Context(), k.env)
		},
	}
	f := c.Flags()
	f.Int64Var(
		&o.ToRevision,
		"to-revision",
		0,
		"the revision to go back to (default: the newest one before the current revision that ran well)",
	)
	o.addFiles(c)
	f.BoolVar(&o.Manifest.NoWrite, "no-write", false, "leave the manifest file as it is")
	f.DurationVar(&o.Timeout, "timeout", 0, "how long to wait (default: deploy.timeout, 180s)")
	addNoInngest(c, &o.Inngest.Off)
	addProbe(c, &o.Probe)
	o.inngest.add(c)
	o.addRestart(c)
	f.BoolVar(&o.Force, "force", false, "continue even if running steps would be lost")
	f.DurationVar(&o.LockWait, "lock-wait", 0, "how long to wait while another rollout is running (default: not at all)")
	f.BoolVar(&o.NoSettle, "no-settle", false, "do not wait until the newer pods are gone")
	cli.AddDocument(k.env, c, &o.output, newRolloutDocument, "name")
	c.MarkFlagsMutuallyExclusive("filename", "kustomize")
	return c
}

// dropMissingManifest leaves out a manifest that does not exist and that only the
// configuration names: an undo works without it, because the cluster has the revision.
func (o *rolloutOptions) dropMissingManifest() {
	m := &o.Manifest
	if m.Named || len(m.Filenames) != 1 {
		return
	}
	if _, err := os.Stat(m.Filenames[0]); errors.Is(err, fs.ErrNotExist) {
		m.Filenames = nil
	}
}

// undo goes back and prints the result.
func (o *rolloutOptions) undo(ctx context.Context, env *cli.Env) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := rollout.NewUndo(o.Target, o.Options, cancel)
	out, err := env.Run(ctx, r.Pipeline, map[pipeline.End]string{pipeline.Left: "`kubectl sbw status` shows what is running"})
	env.Warn("cannot save the receipt", r.Record(ctx, out))
	if perr := printUndo(env, o.output, r, out); perr != nil {
		return perr
	}
	return err
}

// printUndo writes the revision in one line if there is one, and otherwise the same as
// for a rollout.
func printUndo(env *cli.Env, output string, r ran, out pipeline.Outcome) error {
	res := r.Result(out)
	if output != "" || out.End != pipeline.Done || res.Revision == 0 {
		return printRollout(env, output, r, out)
	}
	_, err := fmt.Fprintf(env.Out, "%s/%s revision %d %s\n", res.Namespace, res.Workload, res.Revision, res.Image)
	return err
}
