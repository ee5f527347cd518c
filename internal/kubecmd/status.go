package kubecmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/cluster/lock"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/ui"
)

type statusOptions struct {
	inngest   inngestFlags
	noInngest bool
	contexts  []string
	output    string
}

func newStatus(k *kube) *cobra.Command {
	o := &statusOptions{}
	c := &cobra.Command{
		Use:   "status [flags]",
		Short: "Say on one screen whether the worker is well, and whether what runs is what was shipped",
		Long: `Say on one screen whether the worker is well: the workload, the image against what was shipped
last, the manifest's file against the cluster, the functions that are registered against those that
the image was built with and those that the worker serves, runs, and the last receipt.

What this user may not read is said and left out of the verdict. A manifest that differs is a
warning, as it may be the next version; everything else that differs is not well.

Exit codes: 0 well, 1 not well, 2 wrong usage. With --contexts it is one line a cluster, and 1 when
one of them is not well.`,
		Example: `  # is all well? The exit code says so, too
  kubectl sbw status

  # a line for each cluster
  kubectl sbw status --contexts 'prod-*'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if len(o.contexts) > 0 {
				return o.everywhere(c.Context(), k)
			}
			s, err := o.look(c.Context(), k)
			if err != nil {
				return err
			}
			return o.print(k.env, s, s.Well, func() error { return printStatus(k.env, s) })
		},
	}
	o.inngest.add(c)
	c.Flags().BoolVar(&o.noInngest, "no-inngest", false, "the worker registers nothing: leave Inngest out")
	addContexts(c, &o.contexts)
	cli.AddOutput(c, &o.output, "json", "yaml")
	return c
}

// print prints a report, as an object or by text, and makes the verdict the exit
// code.
func (o *statusOptions) print(env *cli.Env, report any, well bool, text func() error) (err error) {
	if o.output != "" {
		err = cli.PrintObject(env.Out, o.output, report)
	} else {
		err = text()
	}
	if err == nil && !well {
		err = &cli.ExitError{Code: int(pipeline.Unchanged)}
	}
	return err
}

// statusReport is everything that status knows. Fields are added and never
// renamed.
type statusReport struct {
	Workload  string          `json:"workload"`
	Namespace string          `json:"namespace"`
	Context   string          `json:"context,omitempty"`
	Image     string          `json:"image"`
	Verdict   verdict.Verdict `json:"verdict"`
	// Shipped is the image that was shipped last with success, as the workload
	// itself says; LastRun is the last run, whatever became of it.
	Shipped  string         `json:"shipped,omitempty"`
	LastRun  *past          `json:"lastRun,omitempty"`
	Receipt  string         `json:"receipt,omitempty"` // its file, if it was run from here
	Manifest *manifestState `json:"manifest,omitempty"`
	// Functions is how what is registered differs from what the image was built
	// with.
	Functions string              `json:"functions,omitempty"`
	Lock      string              `json:"lock,omitempty"`
	Inngest   *inngest.Report     `json:"inngest,omitempty"`
	Findings  []*pipeline.Finding `json:"findings"`
	Well      bool                `json:"well"`
}

// find adds findings. What may not be read is said and does not count.
func (s *statusReport) find(during string, err error) {
	for _, f := range pipeline.AsFindings(during, err) {
		if isForbidden(f) {
			f = unreadable(during, f)
		}
		s.Findings = append(s.Findings, f)
	}
}

// unreadable is a lack of rights as a note.
func unreadable(what string, err error) *pipeline.Finding {
	f := &pipeline.Finding{Code: "preflight-blind", Severity: pipeline.Note, Err: err, What: "not checked: " + what, Why: err.Error(),
		Fix: "nothing; with the right to read it, it would be in the verdict"}
	if found, ok := errors.AsType[*pipeline.Finding](err); ok {
		f.Why = strings.TrimSuffix(found.What+": "+found.Why, ": ")
	}
	return f
}

// look asks the cluster, the registry and Inngest. It fails only where the
// workload itself cannot be read.
func (o *statusOptions) look(ctx context.Context, k *kube) (*statusReport, error) {
	flags := o.inngest
	if err := flags.validate(); err != nil {
		return nil, err
	}
	scope, err := k.complete()
	if err != nil {
		return nil, err
	}
	if err := flags.complete(scope.worker.Inngest); err != nil {
		return nil, err
	}
	kube, err := scope.conn.Kube()
	if err != nil {
		return nil, err
	}
	w, err := workload.Get(ctx, kube, scope.ref)
	if err != nil {
		return nil, err
	}
	if w, err = scope.caughtUp(ctx, w); err != nil {
		return nil, err
	}
	s := &statusReport{Workload: scope.ref.String(), Namespace: scope.ref.Namespace, Context: scope.conn.Context,
		Image: imageIn(w.Template(), scope.worker.Deploy.Container), Findings: []*pipeline.Finding{}}
	scope.stateOf(ctx, kube, w, s)
	who, tag, err := lock.Holder(ctx, kube, scope.ref)
	s.find("whether somebody rolls out", err)
	if who != "" {
		s.Lock = fmt.Sprintf("%s rolls out %s", who, tag)
	}
	f, err := scope.earlier(w, scope.left)
	if err != nil {
		return nil, err
	}
	if f != nil {
		f.Severity, f.Fix = pipeline.Warning, "run it again to go on from there, or `kubectl sbw undo` to go back"
		s.Findings = append(s.Findings, f)
	}
	scope.shippedOf(w, s)
	scope.manifestOf(ctx, w, s)
	if !o.noInngest {
		o.inngestOf(ctx, scope, w, flags, s)
	}
	s.Well = s.Verdict.State == verdict.Complete && !slices.ContainsFunc(s.Findings, func(f *pipeline.Finding) bool { return f.Severity == pipeline.Error })
	return s, ctx.Err()
}

// inngestOf looks at the server and the worker, and holds what is registered
// against what the image was built with.
func (o *statusOptions) inngestOf(ctx context.Context, scope *scope, w *workload.Workload, flags inngestFlags, s *statusReport) {
	c, err := w.Container(scope.worker.Deploy.Container)
	if err != nil {
		s.find("read the worker", err)
		return
	}
	e, err := scope.newEnds(ctx, c, flags)
	if err != nil {
		s.find("the way to Inngest", err)
		return
	}
	defer func() { s.find("close the way to Inngest", e.close()) }()
	e.live = w
	sdk, err := e.workerAt(ctx, "")
	s.find("what the worker serves", err)
	if e.unsigned != nil {
		s.Findings = append(s.Findings, e.unsigned)
	}
	s.Inngest, err = inngest.Status(ctx, inngest.ReportOptions{
		Client: e.client, Worker: sdk, App: e.app, Liveness: e.liveness, Allowed: allowed(scope.worker.Allow.ZeroRetries),
		CronsSince: rolledOut(w), URL: e.wanted().URL, Way: e.way,
	})
	if err != nil {
		s.find("Inngest", e.explain("ask Inngest", err))
		return
	}
	s.Findings = append(s.Findings, s.Inngest.Findings...)
	scope.functionsOf(ctx, w, s)
}

// rolledOut is when a Deployment's last rollout got on the last time: since
// then the worker has had its present functions. Zero where it is not known.
func rolledOut(w *workload.Workload) time.Time {
	if w.Deployment == nil {
		return time.Time{}
	}
	for _, c := range w.Deployment.Status.Conditions {
		if c.Type == appsv1.DeploymentProgressing {
			return c.LastUpdateTime.Time
		}
	}
	return time.Time{}
}

func printStatus(env *cli.Env, s *statusReport) error {
	rows := ui.NewRows(env.Style(env.Out))
	v := s.Verdict
	rows.Add("workload", fmt.Sprintf("%s/%s: %s, %d of %d ready", s.Namespace, s.Workload, v.State, v.Ready, v.Wanted))
	rows.Add("image", s.Image)
	if last := s.LastRun; last != nil {
		rows.Add("last run", fmt.Sprintf("%s %s: %s in %s, %s ago by %s", last.Command, orDash(last.Tag), last.End,
			ui.FormatDuration(time.Duration(last.Seconds*float64(time.Second))), ui.FormatDuration(time.Since(last.Started).Round(time.Second)), orDash(last.By)))
	}
	if m := s.Manifest; m != nil {
		rows.Add("manifest", m.String())
	}
	if s.Lock != "" {
		rows.Add("lock", s.Lock)
	}
	if l := s.Inngest; l != nil {
		rows.Add("server", fmt.Sprintf("kind %s, reached by %s", orUnknown(l.Health.Kind), l.Way))
		registered := "not registered"
		if l.App != nil {
			registered = fmt.Sprintf("%s, %d functions at %s", l.App.Name, len(l.App.Functions), l.App.URL)
		}
		rows.Add("registration", registered)
		if l.Served != nil {
			rows.Add("worker", fmt.Sprintf("serves %d functions by %s: %s", len(l.Served.Functions), l.Served.SDK, l.Diff))
		}
		if s.Functions != "" {
			rows.Add("built with", s.Functions)
		}
		inFlight := 0
		for _, n := range l.InFlight {
			inFlight += n
		}
		rows.Add("runs", fmt.Sprintf("%d in flight, %d steps executing, %d failed lately", inFlight, len(l.Steps), len(l.Failed)))
		for _, st := range l.Steps {
			rows.Add("", fmt.Sprintf("%s %s for %s", st.Slug, st.Step, ui.FormatDuration(st.Elapsed(time.Now()))))
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
	blind := slices.ContainsFunc(s.Findings, func(f *pipeline.Finding) bool { return f.Code == "preflight-blind" })
	switch {
	case !s.Well:
		verdictLine = "not well"
	case blind:
		verdictLine = "well, as far as it may be read"
	}
	rows.Add("verdict", verdictLine)
	if err := rows.Print(env.Out); err != nil {
		return err
	}
	return env.Report(s.Findings)
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}
