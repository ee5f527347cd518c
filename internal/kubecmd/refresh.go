package kubecmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/conn"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
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
		options := inngest.RefreshOptions{
			Client: e.client, Worker: w, App: e.app, AllowRemoval: o.allowRemoval, Prune: o.pruneStale, Resync: o.resync, Liveness: e.liveness,
		}
		if o.dryRun {
			if plan, err = inngest.PlanRefresh(ctx, options); err != nil {
				return e.explain("plan the refresh", err)
			}
			tell(r, plan.Findings)
			r.Notef("%s would change: %s", e.app, plan.Diff)
			tellFunctions(r, plan.Diff)
			tellStale(r, plan.Stale)
			return nil
		}
		if done, err = inngest.Refresh(ctx, options, r); err != nil {
			return e.explain("refresh the registration", err)
		}
		tell(r, done.Findings)
		r.Notef("%s: %s", e.app, done.Diff)
		tellFunctions(r, done.Diff)
		tellStale(r, done.Stale)
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

// tellStale lists stale registrations, and which of them --prune-stale deletes.
func tellStale(r *pipeline.Reporter, stale []judge.Stale) {
	for _, s := range stale {
		fate := "--prune-stale deletes it"
		if !s.Prunable() {
			fate = "kept, since " + s.Kept
		}
		r.Notef("stale: app %q at %s, %s; %s", s.App.Name, s.App.URL, s.Reason, fate)
	}
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

// liveness judges the workers of other registrations.
func (e *ends) liveness(ctx context.Context, apps []model.App) (map[string]judge.Worker, error) {
	c := conn.Conn{Options: conn.Options{Cluster: e.conn, Ref: e.ref, Worker: e.scope.worker, URL: e.url}}
	return c.Liveness(ctx, apps)
}
