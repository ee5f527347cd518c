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

// rolloutOptions are those of rollout, doctor and undo.
type rolloutOptions struct {
	*rollout.Target
	rollout.Options

	imageFlag   string // --image
	inngest     inngestFlags
	waitIdle    optionalDuration
	confirmData string
	contexts    []string
	rollout.FleetOptions
	// tagOptional: the image that runs is what is asked about.
	tagOptional bool
	output      string
}

const rolloutExamples = `  # roll out what 'gh sbw publish' has just published
  kubectl sbw rollout --tag 20260102-030405

  # another cluster and namespace
  kubectl sbw rollout --tag a6de1e0 --context staging --namespace joelclaw

  # several clusters, one after the other, and no further one after the first failure
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
		Use:   "rollout --tag TAG [flags]",
		Short: "Stamp and apply the manifest, wait, probe the new pods, refresh Inngest, verify",
		Long: `Roll out a published image.

Before anything is changed, the image, the cluster, the rights and Inngest are asked whether the
rollout can end well; all that stands against it is told at once. Then the manifest is stamped with
the image and applied, the rollout is followed to its end, every new pod is asked for its page, and
Inngest's registration is made equal to what the worker serves. When one of these fails, the
evidence is kept and what ran before is put back.

With --strategy switch the new version comes up next to the old one without traffic, is asked for its
page and its functions, and then gets the Services in one patch; steps that are running on the old
pods finish there before the old pods go. A version that cannot prove itself has served no request.
--strategy auto does this where the cluster allows it, and says why where it does not.

With --contexts all of that is done in several clusters: the preflight of every one before anything
is changed in any, then wave after wave, until more than --max-failures have failed. Each cluster
that fails goes back by itself; the manifest's file is put back if none is left with the new image.
A table says what became of each, and the exit code is the worst of theirs.

Exit codes: 0 done, 1 failed and nothing changed, 2 wrong usage, 3 refused by the preflight,
4 failed, changed and restored, 5 failed, changed and left, 130 interrupted.`,
		Example: rolloutExamples,
		Args:    cobra.NoArgs,
	}
	o.addTarget(c)
	o.addRollout(c)
	o.addRestart(c)
	cli.AddOutput(c, &o.output, "name", "json", "yaml")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if len(o.contexts) > 0 {
			if err := o.checkWaves(); err != nil {
				return err
			}
			return o.runFleet(c.Context(), k, func(all []rollout.Each) (*rollout.Fleet, error) { return rollout.NewFleet(all, o.FleetOptions) })
		}
		if c.Flags().Changed("wave-size") || c.Flags().Changed("max-failures") {
			return pipeline.UsageErrorf("usage", "name them with --contexts", "--wave-size and --max-failures are about several clusters")
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
		if o.Image.Tag == "" && o.Image.Digest == "" { // --resume: the tag that is being rolled out
			tag, err := o.RunningTag(c.Context())
			if err != nil {
				return err
			}
			o.Image.Tag = tag
		}
		return o.run(c.Context(), k.env)
	}
	return c
}

// run rolls out and prints the result.
func (o *rolloutOptions) run(ctx context.Context, env *cli.Env) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := rollout.NewRollout(o.Target, o.Options, cancel)
	out, err := env.Run(ctx, r.Pipeline, map[pipeline.End]string{
		pipeline.Left: "`kubectl sbw status` says what runs, `kubectl sbw undo` goes back",
	})
	env.Warn("keep the receipt", r.Record(ctx, out))
	if perr := printRollout(env, o.output, r, out); perr != nil {
		return perr
	}
	return err
}

// document is what a command that ran a pipeline prints with -o json or yaml. It
// has the fields of cli.Failure.
type document struct {
	Command  string                 `json:"command"`
	End      string                 `json:"end"`
	ExitCode int                    `json:"exitCode"`
	Error    string                 `json:"error,omitempty"`
	Findings []*pipeline.Finding    `json:"findings"`
	Stages   []pipeline.StageRecord `json:"stages"`
}

func newDocument(command string, out pipeline.Outcome) document {
	d := document{
		Command:  "kubectl sbw " + command,
		End:      out.End.Word(),
		ExitCode: out.ExitCode(),
		Findings: cli.Findings(out),
		Stages:   out.Stages,
	}
	if out.Err != nil {
		d.Error = out.Err.Error()
	}
	return d
}

// rolloutDocument is that of rollout, undo and doctor.
type rolloutDocument struct {
	document
	rollout.Result
}

// ran is a run as its output needs it.
type ran interface {
	Result(pipeline.Outcome) rollout.Result
	Rendered() []apply.Object
	DiffText() (string, error)
}

// printRollout writes the result to stdout: one line, what a dry run would do,
// or the whole of it as asked.
func printRollout(env *cli.Env, output string, r ran, out pipeline.Outcome) error {
	res := r.Result(out)
	if output == "json" || output == "yaml" {
		return cli.PrintObject(env.Out, output, rolloutDocument{newDocument(out.Name, out), res})
	}
	diff, err := r.DiffText()
	if err != nil {
		return err
	}
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

// printDryRun says what would be, as kubectl's dry runs do.
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
	if len(objects) == 0 && output != "name" { // the image alone
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

// noteDiff writes a diff to stderr, as the flags say.
func noteDiff(env *cli.Env, diff string) error {
	switch {
	case diff == "":
		return nil
	case env.Tell.Events:
		return env.Notef("%s", diff)
	}
	return ui.PrintDiff(env.Err, env.Style(env.Err), diff)
}
