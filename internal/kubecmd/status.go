package kubecmd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/cluster/lock"
	"github.com/joelhooks/gh-sbw/internal/cluster/preflight"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/ui"
)

func newStatus(k *kube) *cobra.Command {
	var flags inngestFlags
	var output string
	c := &cobra.Command{
		Use:   "status [flags]",
		Short: "Say on one screen whether the worker is well: workload, server, registration, runs",
		Example: `  # is all well? The exit code says so, too
  kubectl sbw status`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			e, err := k.liveEnds(c.Context(), flags)
			if err != nil {
				return err
			}
			err = showStatus(c.Context(), e, output)
			if cerr := e.close(); err == nil {
				err = cerr
			}
			return err
		},
	}
	flags.add(c)
	cli.AddOutput(c, &output, "json", "yaml")
	return c
}

// statusReport is everything that status knows.
type statusReport struct {
	Workload  string              `json:"workload"`
	Namespace string              `json:"namespace"`
	Context   string              `json:"context,omitempty"`
	Image     string              `json:"image"`
	Verdict   verdict.Verdict     `json:"verdict"`
	Lock      string              `json:"lock,omitempty"`
	Inngest   *inngest.Look       `json:"inngest,omitempty"`
	Findings  []*pipeline.Finding `json:"findings,omitempty"`
	Well      bool                `json:"well"`
}

func look(ctx context.Context, e *ends) (*statusReport, error) {
	kube, err := e.conn.Kube()
	if err != nil {
		return nil, err
	}
	w, err := workload.Get(ctx, kube, e.ref)
	if err != nil {
		return nil, err
	}
	s := &statusReport{Workload: e.ref.String(), Namespace: e.ref.Namespace, Context: e.conn.Context}
	if c, err := w.Container(e.scope.worker.Deploy.Container); err == nil {
		s.Image = c.Image
	}
	if s.Verdict, err = preflight.Status(ctx, kube, w); err != nil {
		return nil, err
	}
	if s.Verdict.Cause != nil {
		s.Findings = append(s.Findings, s.Verdict.Cause.Finding())
	}
	if who, tag, err := lock.Holder(ctx, kube, e.ref); err == nil && who != "" {
		s.Lock = fmt.Sprintf("%s rolls out %s", who, tag)
	}
	f, err := e.scope.earlier(w, e.scope.left)
	if err != nil {
		return nil, err
	}
	if f != nil {
		f.Severity, f.Fix = pipeline.Warning, "run it again to go on from there, or `kubectl sbw undo` to go back"
		s.Findings = append(s.Findings, f)
	}
	gone, err := e.gone(ctx)
	if err != nil {
		s.Findings = append(s.Findings, pipeline.AsFindings("ask Inngest", err)...)
		return s, nil
	}
	sdk, err := e.workerAt(ctx, "")
	if err != nil {
		s.Findings = append(s.Findings, pipeline.AsFindings("reach the worker", err)...)
	}
	if e.unsigned != nil {
		s.Findings = append(s.Findings, e.unsigned)
	}
	s.Inngest, err = inngest.Status(ctx, inngest.LookOptions{
		Client: e.client, Worker: sdk, App: e.app, Gone: gone, Allowed: allowed(e.scope.worker.Allow.ZeroRetries),
		CronsSince: rolledOut(w), URL: e.wanted().URL, Way: e.way,
	})
	if err != nil {
		s.Findings = append(s.Findings, pipeline.AsFindings("ask Inngest", e.explain("ask Inngest", err))...)
		return s, nil
	}
	s.Findings = append(s.Findings, s.Inngest.Findings...)
	return s, nil
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

func showStatus(ctx context.Context, e *ends, output string) error {
	s, err := look(ctx, e)
	if err != nil {
		return err
	}
	s.Well = s.Verdict.State == verdict.Complete && s.Inngest != nil
	for _, f := range s.Findings {
		s.Well = s.Well && f.Severity != pipeline.Error
	}
	env := e.scope.kube.env
	if output != "" {
		err = cli.PrintObject(env.Out, output, s)
	} else {
		err = printStatus(env, s)
	}
	if err == nil && !s.Well {
		err = &cli.ExitError{Code: int(pipeline.Unchanged)}
	}
	return err
}

func printStatus(env *cli.Env, s *statusReport) error {
	rows := ui.NewRows(env.Style(env.Out))
	v := s.Verdict
	rows.Add("workload", fmt.Sprintf("%s/%s: %s, %d of %d ready", s.Namespace, s.Workload, v.State, v.Ready, v.Wanted))
	rows.Add("image", s.Image)
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
	if !s.Well {
		verdictLine = "not well"
	}
	rows.Add("verdict", verdictLine)
	if err := rows.Print(env.Out); err != nil {
		return err
	}
	return ui.PrintFindings(env.Err, env.Style(env.Err), s.Findings)
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}
