package kubecmd

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

type refreshOptions struct {
	inngestFlags
	allowRemoval bool
	pruneStale   bool
	resync       bool
	dryRun       bool
	output       string
}

func newRefresh(k *kube) *cobra.Command {
	o := &refreshOptions{}
	c := &cobra.Command{
		Use:   "refresh [flags]",
		Short: "Make Inngest's registration equal to what the worker serves",
		Long: `Make Inngest's registration equal to what the worker serves.

The worker is asked what it serves, the server what it has; functions that would vanish stop the
refresh. Then the worker registers, and the server's own list proves it. Stale registrations are
listed, and deleted only with --prune-stale; another worker's are never touched.`,
		Example: `  # register again, and see what changed
  kubectl sbw refresh

  # see what it would do
  kubectl sbw refresh --dry-run

  # let go of functions that the worker no longer has, and of stale registrations
  kubectl sbw refresh --allow-removal --prune-stale`,
		Args: cobra.NoArgs,
	}
	o.add(c)
	f := c.Flags()
	f.BoolVar(&o.allowRemoval, "allow-removal", false, "let functions vanish that the worker no longer serves")
	f.BoolVar(&o.pruneStale, "prune-stale", false, "delete registrations that are stale by rule")
	f.BoolVar(&o.resync, "resync", false, "register as if for the first time, so that schedules are read again")
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would change, and change nothing")
	cli.AddOutput(c, &o.output, "json", "yaml")
	c.RunE = func(c *cobra.Command, _ []string) error { return o.run(c.Context(), k) }
	return c
}

func (o *refreshOptions) run(ctx context.Context, k *kube) (err error) {
	e, err := k.liveEnds(ctx, o.inngestFlags)
	if err != nil {
		return err
	}
	var done *inngest.Refreshed
	var plan *inngest.Plan
	stage := pipeline.Stage{Name: "refresh", Run: func(ctx context.Context, r *pipeline.Reporter) error {
		if e.unsigned != nil {
			r.Finding(e.unsigned)
		}
		w, err := e.workerAt(ctx, "")
		if err != nil {
			return err
		}
		r.Notef("Inngest is reached by %s", e.way())
		gone, err := e.gone(ctx)
		if err != nil {
			return err
		}
		options := inngest.RefreshOptions{
			Client: e.client, Worker: w, App: e.app, AllowRemoval: o.allowRemoval, Prune: o.pruneStale, Resync: o.resync, Gone: gone,
		}
		if o.dryRun {
			if plan, err = inngest.PlanRefresh(ctx, options); err != nil {
				return e.explain("plan the refresh", err)
			}
			tell(r, plan.Findings)
			r.Notef("%s would change: %s", e.app, plan.Diff)
			tellFunctions(r, plan.Diff)
			return nil
		}
		if done, err = inngest.Refresh(ctx, options, r); err != nil {
			return e.explain("refresh the registration", err)
		}
		tell(r, done.Findings)
		r.Notef("%s: %s", e.app, done.Diff)
		tellFunctions(r, done.Diff)
		for _, s := range done.Stale {
			r.Notef("stale: app %s at %s, %s", s.App.Name, s.App.URL, s.Reason)
		}
		return nil
	}}
	p := pipeline.Pipeline{Name: "refresh", Stages: []pipeline.Stage{stage},
		Cleanup: func(context.Context, *pipeline.Reporter) error { return e.close() }}
	_, err = k.env.Run(ctx, p, nil)
	if err != nil {
		return err
	}
	switch {
	case o.output != "" && plan != nil:
		return cli.PrintObject(k.env.Out, o.output, plan)
	case o.output != "":
		return cli.PrintObject(k.env.Out, o.output, done)
	case done != nil:
		_, err = fmt.Fprintf(k.env.Out, "app/%s %d functions\n", done.App.Name, len(done.App.Functions))
	}
	return err
}

// tellFunctions says function by function what changed; those that stay are
// named for --verbose only.
func tellFunctions(r *pipeline.Reporter, d judge.Diff) {
	for _, slug := range d.Kept {
		r.Detailf("  = %s", slug)
	}
	for _, f := range d.Added {
		r.Notef("  + %s", f.Slug)
	}
	for _, f := range d.Removed {
		r.Notef("  - %s", f.Slug)
	}
	for _, c := range d.Changed {
		r.Notef("  ~ %s %s", c.Slug, strings.Join(c.What, ", "))
	}
}

func tell(r *pipeline.Reporter, found []*pipeline.Finding) {
	for _, f := range found {
		r.Finding(f)
	}
}

// gone proves of Services that registrations point to that they do not exist.
// Hosts that are not names of Services are nobody's to judge from here.
func (e *ends) gone(ctx context.Context) (map[string]string, error) {
	apps, err := e.client.Apps(ctx)
	if err != nil {
		return nil, e.explain("read Inngest's registrations", err)
	}
	kube, err := e.conn.Kube()
	if err != nil {
		return nil, err
	}
	proof := map[string]string{}
	for _, app := range apps {
		u, err := url.Parse(app.URL)
		if err != nil {
			continue // not a URL, so it names no Service
		}
		namespace, name, ok := serviceOf(u.Hostname(), e.serverTarget().Namespace)
		if !ok {
			continue
		}
		_, err = kube.CoreV1().Services(namespace).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			proof[u.Hostname()] = fmt.Sprintf("there is no Service %s in namespace %s", name, namespace)
		}
	}
	return proof, nil
}

// serviceOf reads a host as Inngest's pod resolves it: NAME in its own
// namespace, NAME.NAMESPACE, NAME.NAMESPACE.svc[.cluster.local].
func serviceOf(host, own string) (namespace, name string, ok bool) {
	host = strings.TrimSuffix(strings.TrimSuffix(host, ".cluster.local"), ".svc")
	parts := strings.Split(host, ".")
	switch {
	case host == "" || host == "localhost" || strings.ContainsAny(host, ":"):
		return "", "", false
	case len(parts) == 1:
		return own, parts[0], true
	case len(parts) == 2:
		return parts[1], parts[0], true
	}
	return "", "", false
}
