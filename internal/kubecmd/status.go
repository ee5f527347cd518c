package kubecmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/rollout"
	"github.com/joelhooks/gh-sbw/internal/ui"
)

type statusOptions struct {
	inngest   inngestFlags
	noInngest bool
	probe     rollout.ProbeOptions
	contexts  []string
	output    string
}

func newStatus(k *factory, runF func(context.Context, *statusOptions) error) *cobra.Command {
	o := &statusOptions{}
	c := &cobra.Command{
		Use:   "status",
		Short: "Show on one screen whether the worker is well, and whether what runs is what was shipped",
		Long: `Show on one screen whether the worker is well: the workload, the image compared with the one shipped
last, the manifest file compared with the cluster, the registered functions compared with those that
the image was built with and those that the worker serves, runs, and the last receipt.

Anything that you have no permission to read is listed and left out of the verdict. A manifest that
differs is a warning, because it may be the next version; any other difference means not well.

Exit codes: 0 well, 1 not well, 2 wrong usage. With --contexts there is one line for each cluster,
and the exit code is 1 if one of them is not well.`,
		Example: `  # is the worker well? The exit code is the verdict
  kubectl sbw status

  # one line for each cluster
  kubectl sbw status --contexts 'prod-*'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if runF != nil {
				return runF(c.Context(), o)
			}
			if len(o.contexts) > 0 {
				return o.everywhere(c.Context(), k)
			}
			s, err := o.status(c.Context(), k)
			if err != nil {
				return err
			}
			return o.print(
				k.env,
				&statusDocument{Status: s, Well: s.Well, reported: s.Findings},
				func() error { return printTable(k.env, s.Table()) },
			)
		},
	}
	o.inngest.add(c)
	addNoInngest(c, &o.noInngest)
	addProbe(c, &o.probe)
	addContexts(c, &o.contexts)
	cli.AddDocument(k.env, c, &o.output, func() cli.Document { return &statusDocument{} })
	return c
}

// statusDocument is what status prints for programs.
type statusDocument struct {
	cli.Head
	*rollout.Status
	Well     bool            `json:"well" doc:"the verdict: whether the worker is well, in every context"`
	Contexts []contextStatus `json:"contexts,omitempty" doc:"with --contexts, the status in each, with its own findings; failed says why a status is missing"`

	reported []*pipeline.Finding
}

// print calls text to write the status, or writes a document, and reports the findings
// on stderr. The verdict becomes the exit code.
func (o *statusOptions) print(env *cli.Env, d *statusDocument, text func() error) error {
	env.SetDocument(d)
	if !cli.IsDocument(o.output) {
		if err := text(); err != nil {
			return err
		}
	}
	if err := env.Report(d.reported); err != nil {
		return err
	}
	if !d.Well {
		return &cli.ExitError{Code: int(pipeline.Unchanged)}
	}
	return nil
}

// status reads the status of the worker in one context.
func (o *statusOptions) status(ctx context.Context, k *factory) (*rollout.Status, error) {
	t, io, err := o.inngest.target(k)
	if err != nil {
		return nil, err
	}
	leaveOut(&io, o.noInngest, t.Worker.Inngest)
	p := o.probe
	if err := completeProbe(&p, t.Worker.Probe); err != nil {
		return nil, err
	}
	return t.Status(ctx, io, p)
}

// printTable prints rows for people.
func printTable(env *cli.Env, t pipeline.Table) error {
	rows := ui.NewRows(env.Style(env.Out), t.Header...)
	for _, r := range t.Rows {
		rows.Add(r...)
	}
	return rows.Print(env.Out)
}
