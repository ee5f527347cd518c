package kubecmd

import (
	"context"
	"fmt"
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
		Use:   "status [flags]",
		Short: "Show on one screen whether the worker is well, and whether what runs is what was shipped",
		Long: `Show on one screen whether the worker is well: the workload, the image compared with the one shipped
last, the manifest file compared with the cluster, the registered functions compared with those that
the image was built with and those that the worker serves, runs, and the last receipt.

Whatever you have no permission to read is listed and left out of the verdict. A manifest that
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
			return o.print(k.env, &statusDocument{Status: s, Well: s.Well, reported: s.Findings}, func() error { return printStatus(k.env, s) })
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
	Contexts []contextStatus `json:"contexts,omitempty" doc:"with --contexts, the status in each, with its own findings, and failed if there is none"`

	reported []*pipeline.Finding
}

// print writes the status by text, or as a document, and its findings to stderr. The
// verdict becomes the exit code.
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

// status reads how the worker of one context is.
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

func printStatus(env *cli.Env, s *rollout.Status) error {
	rows := ui.NewRows(env.Style(env.Out))
	v := s.Verdict
	rows.Add("workload", fmt.Sprintf("%s/%s: %s, %d of %d ready", s.Namespace, s.Workload, v.State, v.Ready, v.Wanted))
	rows.Add("image", s.Image)
	if last := s.LastRun; last != nil {
		rows.Add("last run", fmt.Sprintf(
			"%s %s: %s in %s, %s ago by %s",
			last.Command,
			orDash(last.Tag),
			last.End,
			units.Duration(
				time.Duration(last.Seconds*float64(time.Second)),
			),
			units.Duration(time.Since(last.Started).Round(time.Second)),
			orDash(last.By),
		))
	}
	if m := s.Manifest; m != nil {
		rows.Add("manifest", m.String())
	}
	if s.Lock != "" {
		rows.Add("lock", s.Lock)
	}
	if s.Handover != "" {
		rows.Add("switch", s.Handover+": not finished")
	}
	if s.Pods != "" {
		rows.Add("probe", s.Pods)
	}
	if s.NoInngest != "" {
		rows.Add("Inngest", "left out ("+s.NoInngest+")")
	}
	if l := s.Inngest; l != nil {
		rows.Add("server", fmt.Sprintf("kind %s, reached by %s", orUnknown(l.Health.Kind), l.Way))
		registered := "not registered"
		if l.App != nil {
			registered = fmt.Sprintf("%s, %s at %s", l.App.Name, units.Count(len(l.App.Functions), "function", "functions"), l.App.URL)
		}
		rows.Add("registration", registered)
		if l.Served != nil {
			rows.Add("worker", fmt.Sprintf("serves %s with %s: %s", units.Count(len(l.Served.Functions), "function", "functions"), l.Served.SDK, l.Diff))
		}
		if s.Functions != "" {
			rows.Add("built with", s.Functions)
		}
		inFlight := 0
		for _, n := range l.InFlight {
			inFlight += n
		}
		rows.Add("runs", fmt.Sprintf("%d in flight, %s executing, %d failed lately", inFlight, units.Count(len(l.Steps), "step", "steps"), len(l.Failed)))
		for _, st := range l.Steps {
			rows.Add("", fmt.Sprintf("%s %s for %s", st.Slug, st.Step, units.Duration(st.Elapsed(time.Now()))))
		}
		var foreign []string
		for _, a := range l.Foreign {
			foreign = append(foreign, a.Name)
		}
		if len(foreign) > 0 {
			rows.Add("other apps", strings.Join(foreign, ", "))
		}
		for _, st := range l.Stale {
			rows.Add("stale", fmt.Sprintf("%s at %s: %s", st.App.Name, st.App.URL, st.Reason))
		}
	}
	verdictLine := "all is well"
	blind := slices.ContainsFunc(s.Findings, func(f *pipeline.Finding) bool { return f.Code == rollout.CodeNotChecked })
	warned := slices.ContainsFunc(s.Findings, func(f *pipeline.Finding) bool { return f.Severity == pipeline.Warning })
	switch {
	case !s.Well:
		verdictLine = "not well"
	case blind:
		verdictLine = "well, as far as it can be read"
	case warned:
		verdictLine = "well, with warnings"
	}
	rows.Add("verdict", verdictLine)
	return rows.Print(env.Out)
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}
