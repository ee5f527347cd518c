package kubecmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/rollout"
	"github.com/joelhooks/gh-sbw/internal/ui"
)

// rolloutOptions are the options of rollout, restart, undo and doctor.
type rolloutOptions struct {
	*rollout.Target
	rollout.Options

	imageFlag   string // --image
	inngest     inngestFlags
	waitIdle    cli.OptionalDuration
	confirmData string
	contexts    []string
	rollout.FleetOptions
	// tagOptional means that the running image is used if no tag is given.
	tagOptional bool
	output      string
}

const rolloutExamples = `  # roll out what 'gh sbw publish' has just published
  kubectl sbw rollout --tag 20260102-030405

  # another cluster and namespace
  kubectl sbw rollout --tag a6de1e0 --context staging --namespace joelclaw

  # several clusters, one after the other, and stop after the first failure
  kubectl sbw rollout --tag a6de1e0 --contexts 'staging,prod-*'

  # see what would change, and change nothing
  kubectl sbw rollout --tag a6de1e0 --dry-run=server --diff

  # without a checkout: change the image of what runs, and nothing else
  kubectl sbw rollout --tag a6de1e0 --image-only

  # publish and roll out in one line
  gh sbw publish -o name | xargs -I{} kubectl sbw rollout --image {}`

func newRollout(k *factory, runF func(context.Context, *rolloutOptions) error) *cobra.Command {
	o := &rolloutOptions{}
	c := &cobra.Command{
		Use:   "rollout --tag TAG",
		Short: "Stamp and apply the manifest, wait, probe the new pods, refresh Inngest, verify",
		Long: `Roll out a published image.

Before anything changes, the image, the cluster, your permissions and Inngest are checked; all
problems are reported at once. Then the manifest is stamped with the image and applied, the rollout
is followed to its end, every new pod is probed, and Inngest's registration is made equal to what
the worker serves. If one of these fails, the evidence is kept and the previous version is restored.

The new version comes up next to the old one without traffic, is probed and asked for its functions,
and then gets the Services in one patch; steps that are running on the old pods finish there before
the old pods are terminated. A version that fails these checks never serves a request. Where the
cluster does not allow this, a rolling update is done instead, and the reason is printed;
--strategy switch refuses to do that, and --strategy rolling asks for it.

With --contexts, all of this happens in several clusters: the preflight runs in every cluster before
anything is changed in any, then the clusters follow in waves until more than --max-failures have
failed. Each cluster that fails is restored on its own; the manifest file is restored if no cluster
keeps the new image. A table shows the result of each, and the exit code is the worst of them.

Exit codes: 0 done, 1 failed and nothing changed, 2 wrong usage, 3 refused by the preflight,
4 failed, changed and restored, 5 failed, changed and left, 130 interrupted.`,
		Example: rolloutExamples,
		Args:    cobra.NoArgs,
	}
	o.addTarget(c)
	o.addRollout(c)
	o.addRestart(c)
	cli.AddDocument(k.env, c, &o.output, newRolloutDocument, "name")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return o.runHere(c, k, runF, func() error {
			if err := o.findTag(c.Context()); err != nil { // with --resume, the tag that is being rolled out
				return err
			}
			return o.run(c.Context(), k.env, rollout.NewRollout)
		})
	}
	return c
}

// runHere completes and checks the options and calls one, for the current context. With
// --contexts, it runs a rollout in each of those instead.
func (o *rolloutOptions) runHere(c *cobra.Command, k *factory, runF func(context.Context, *rolloutOptions) error, one func() error) error {
	if len(o.contexts) > 0 {
		if err := o.checkWaves(); err != nil {
			return err
		}
		if runF != nil {
			return runF(c.Context(), o)
		}
		return o.runFleet(c.Context(), k, func(all []rollout.Each) (*rollout.Fleet, error) { return rollout.NewFleet(all, o.FleetOptions) })
	}
	if c.Flags().Changed("wave-size") || c.Flags().Changed("max-failures") {
		return pipeline.UsageErrorf(pipeline.CodeUsage, "name them with --contexts", "--wave-size and --max-failures need several clusters")
	}
	if err := o.complete(k); err != nil {
		return err
	}
	if err := o.validate(); err != nil {
		return err
	}
	if runF != nil {
		return runF(c.Context(), o)
	}
	return one()
}

// findTag sets the tag to the running one if none is given.
func (o *rolloutOptions) findTag(ctx context.Context) (err error) {
	if o.Image.Tag == "" && o.Image.Digest == "" {
		o.Image.Tag, err = o.RunningTag(ctx)
	}
	return err
}

// useCase makes a run, which calls cancel to end early when it loses its lock.
type useCase func(t *rollout.Target, o rollout.Options, cancel func(error)) *rollout.Run

// run carries out a use case and prints the result.
func (o *rolloutOptions) run(ctx context.Context, env *cli.Env, make useCase) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := make(o.Target, o.Options, cancel)
	out, err := env.Run(ctx, r.Pipeline, map[pipeline.End]string{
		pipeline.Left: "`kubectl sbw status` shows what is running, `kubectl sbw undo` goes back",
	})
	env.Warn("cannot save the receipt", r.Record(ctx, out))
	if perr := printRollout(env, o.output, r, out); perr != nil {
		return perr
	}
	return err
}

// rolloutDocument is what rollout, undo and doctor print for programs.
type rolloutDocument struct {
	cli.Head
	*rollout.Result
	Manifest *rollout.StampResult `json:"manifest,omitempty" doc:"with --contexts, the manifest file, with file, image (that it names now), restored"`
	Contexts []contextDocument    `json:"contexts,omitempty" doc:"with --contexts, one document for each, whose end may be not-started, too"`
}

func newRolloutDocument() cli.Document { return &rolloutDocument{} }

// ran is what the output needs to know about a finished run.
type ran interface {
	Result(pipeline.Outcome) rollout.Result
	Rendered() []apply.Object
	DiffText() (string, error)
}

// printRollout writes the result to stdout: one line, what a dry run would do,
// or a document.
func printRollout(env *cli.Env, output string, r ran, out pipeline.Outcome) error {
	res := r.Result(out)
	env.SetDocument(&rolloutDocument{Result: &res})
	return printRun(env, output, r, out)
}

// printRun writes the result of one run for people.
func printRun(env *cli.Env, output string, r ran, out pipeline.Outcome) error {
	diff, err := r.DiffText()
	if err != nil || cli.IsDocument(output) {
		return err
	}
	res := r.Result(out)
	if res.DryRun == "" {
		if err := noteDiff(env, diff); err != nil {
			return err
		}
	}
	switch {
	case out.End != pipeline.Done:
		return nil
	case res.DryRun != "":
		return printDryRun(env, output, r, res, diff)
	case output == "name":
		_, err = fmt.Fprintln(env.Out, res.Workload)
		return err
	}
	_, err = fmt.Fprintf(env.Out, "%s/%s %s\n", res.Namespace, res.Workload, res.Image)
	return err
}

// printDryRun writes what would change, as kubectl's dry runs do.
func printDryRun(env *cli.Env, output string, r ran, res rollout.Result, diff string) error {
	w := env.Out
	if res.DryRun == string(rollout.DryRunServer) && diff != "" && output != "name" {
		return ui.PrintDiff(w, env.Style(w), diff)
	}
	for _, one := range res.Changes {
		line := one.Object
		if output != "name" {
			line += fmt.Sprintf(" %s (server dry run)", one.Action)
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	if res.DryRun != string(rollout.DryRunClient) {
		return nil
	}
	objects := r.Rendered()
	if len(objects) == 0 && output != "name" { // only the image changes
		_, err := fmt.Fprintf(w, "%s/%s: container %s would get %s\n", res.Namespace, res.Workload, res.Container, res.Image)
		return err
	}
	for _, o := range objects {
		text, err := yaml.Marshal(o.Object)
		if err != nil {
			return err
		}
		if output == "name" {
			text = fmt.Appendf(nil, "%s/%s\n", o.GroupVersionKind().GroupKind(), o.GetName())
		} else {
			text = append([]byte("---\n"), text...)
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
	}
	return nil
}

// noteDiff writes a diff to stderr, or as an event.
func noteDiff(env *cli.Env, diff string) error {
	switch {
	case diff == "":
		return nil
	case env.Mode.Events:
		return env.Notef("%s", diff)
	}
	return ui.PrintDiff(env.Err, env.Style(env.Err), diff)
}
