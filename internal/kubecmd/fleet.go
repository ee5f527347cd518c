package kubecmd

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/rollout"
	"github.com/joelhooks/gh-sbw/internal/ui"
	"github.com/joelhooks/gh-sbw/internal/units"
)

// addContexts adds the flag that names several clusters.
func addContexts(c *cobra.Command, value *[]string) {
	c.Flags().
		StringSliceVar(value, "contexts", nil,
			`several clusters: names of the kubeconfig's contexts or patterns such as "prod-*", separated by commas`)
	cli.RequireNames(c, "contexts")
}

// runFleet runs a use case in every context that the flags name.
func (o *rolloutOptions) runFleet(ctx context.Context, k *factory, make func([]rollout.Each) (*rollout.Fleet, error)) error {
	all, err := o.each(ctx, k)
	if err != nil {
		return err
	}
	f, err := make(all)
	if err != nil {
		return err
	}
	out, err := k.env.RunAll(f.Pipeline, f.Next, func(sink pipeline.Sink) pipeline.Outcome { return f.Run(ctx, sink) })
	k.env.Warn("cannot save the receipt", f.Unkept())
	if perr := printFleet(k.env, o.output, f.Result(out), out); perr != nil {
		return perr
	}
	return err
}

// each completes the options for every context.
func (o *rolloutOptions) each(ctx context.Context, k *factory) ([]rollout.Each, error) {
	kubes, err := k.each(o.contexts)
	if err != nil {
		return nil, err
	}
	var all []rollout.Each
	for _, one := range kubes {
		own := *o
		own.Manifest.Filenames = slices.Clone(o.Manifest.Filenames)
		if err := own.complete(one); err != nil {
			return nil, err
		}
		o.Manifest.Stdin = own.Manifest.Stdin // read once
		if err := own.findTag(ctx); err != nil {
			return nil, rollout.Named(own.Conn.Context, pipeline.AsFindings("cannot find the running tag", err)[0])
		}
		if err := own.validate(); err != nil {
			return nil, err
		}
		all = append(all, rollout.Each{Target: own.Target, Options: own.Options})
	}
	return all, nil
}

// checkWaves checks the flags for several clusters.
func (o *rolloutOptions) checkWaves() error {
	if o.WaveSize < 1 {
		return pipeline.UsageErrorf(pipeline.CodeUsage, "give it as --wave-size 1", "--wave-size %d is not above zero", o.WaveSize)
	}
	if o.MaxFailures < 0 {
		return pipeline.UsageErrorf(pipeline.CodeUsage, "give it as --max-failures 0", "--max-failures %d is below zero", o.MaxFailures)
	}
	return nil
}

// contextDocument is the part of a document for one of several contexts.
type contextDocument struct {
	cli.Head
	End string `json:"end" enum:"done,unchanged,usage,refused,restored,left,interrupted,not-started" doc:"as above, or not-started"`
	rollout.Result
}

// notStarted is the end of a context that the run did not reach.
const notStarted = "not-started"

// endOf returns how the run ended in one context.
func endOf(c rollout.ContextResult, checksOnly bool) string {
	switch {
	case c.Outcome.Refused:
		return pipeline.RefusedByPreflight.Word()
	case checksOnly:
		return pipeline.Done.Word()
	case !c.Started:
		return notStarted
	}
	return c.Outcome.End.Word()
}

// newFleetDocument returns the document of a run in several contexts.
func newFleetDocument(res rollout.FleetResult, out pipeline.Outcome) *rolloutDocument {
	whole := rollout.Result{Tag: res.Tag, DryRun: res.DryRun, Seconds: res.Seconds, Proof: rollout.Proof{Settled: true}}
	doc := &rolloutDocument{Result: &whole, Manifest: res.Manifest}
	for _, c := range res.Contexts {
		whole.Settled = whole.Settled && c.Settled
		doc.Contexts = append(doc.Contexts, contextDocument{cli.NewHead("kubectl sbw "+out.Name, c.Outcome), endOf(c, res.ChecksOnly), c.Result})
	}
	return doc
}

func printFleetDryRun(env *cli.Env, output string, res rollout.FleetResult) error {
	for _, c := range res.Contexts {
		if _, err := fmt.Fprintf(env.Out, "# context %s\n", c.Name); err != nil {
			return err
		}
		if err := printRun(env, output, c.Run, c.Outcome); err != nil {
			return err
		}
	}
	return nil
}

func printFleetNames(env *cli.Env, res rollout.FleetResult) error {
	for _, c := range res.Contexts {
		if c.Started && c.Outcome.End == pipeline.Done {
			if _, err := fmt.Fprintf(env.Out, "%s/%s\n", c.Name, c.Workload); err != nil {
				return err
			}
		}
	}
	return nil
}

// printFleet writes one line per context, or a document.
func printFleet(env *cli.Env, output string, res rollout.FleetResult, out pipeline.Outcome) error {
	env.SetDocument(newFleetDocument(res, out))
	switch {
	case cli.IsDocument(output):
		return nil
	case res.DryRun != "" && out.End == pipeline.Done:
		return printFleetDryRun(env, output, res)
	case output == "name":
		return printFleetNames(env, res)
	}
	rows := ui.NewRows(env.Style(env.Out), "CONTEXT", "IMAGE", "VERDICT", "CAUSE", "TIME", "RESTORED")
	for _, c := range res.Contexts {
		image, known := c.Now()
		if image = shortImage(image); !known {
			image = "?"
		}
		took, back := "-", "-"
		if c.Started {
			took = units.Duration(c.Outcome.Duration.Round(100 * time.Millisecond))
		}
		if len(c.Restored) > 0 {
			back = c.Workload
		}
		rows.Add(c.Name, image, endOf(c, res.ChecksOnly), causeOf(c.Outcome), took, back)
	}
	if err := rows.Print(env.Out); err != nil {
		return err
	}
	if s := res.Manifest; s != nil {
		state := "names "
		if s.Restored {
			state = "was restored: "
		}
		return env.Notef("%s %s%s", s.File, state, s.Image)
	}
	return nil
}

// causeOf returns the code of the error that ended a run.
func causeOf(out pipeline.Outcome) string {
	if code := worst(out.All()); code != "-" || !out.Interrupted {
		return code
	}
	return "interrupted"
}

// shortImage returns NAME:TAG of a reference: the rest is the same in every row.
func shortImage(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	if ref == "" {
		return "-"
	}
	return path.Base(ref)
}
