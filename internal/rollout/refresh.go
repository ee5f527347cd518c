package rollout

import (
	"context"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/conn"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// ConnectLive connects to Inngest and to the running worker.
func (t *Target) ConnectLive(ctx context.Context, o InngestOptions) (*conn.Conn, *workload.Workload, error) {
	client, err := t.Conn.Kube()
	if err != nil {
		return nil, nil, err
	}
	w, err := workload.Get(ctx, client, t.Ref)
	if err != nil {
		return nil, nil, err
	}
	c, err := w.Container(t.container())
	if err != nil {
		return nil, nil, err
	}
	link, err := t.connect(ctx, c, o)
	return link, w, err
}

// RefreshOptions say which changes are allowed.
type RefreshOptions struct {
	AllowRemoval bool
	PruneStale   bool
	// Resync registers as if for the first time, so that schedules are read again.
	Resync bool
	DryRun bool
}

// Refresh makes Inngest's registration equal to what the worker serves.
type Refresh struct {
	Pipeline pipeline.Pipeline
	// Done is what was changed, Plan is what a dry run would change.
	Done *inngest.Refreshed
	Plan *inngest.Plan
}

// NewRefresh makes a refresh of a workload. It uses the connection and closes it.
func NewRefresh(c *conn.Conn, w *workload.Workload, o RefreshOptions) *Refresh {
	r := &Refresh{}
	refresh := func(ctx context.Context, rep *pipeline.Reporter) error { return r.run(ctx, rep, c, w, o) }
	r.Pipeline = pipeline.Pipeline{
		Name:    "refresh",
		Cleanup: func(context.Context, *pipeline.Reporter) error { return c.Close() },
		Stages:  []pipeline.Stage{stage("refresh", refresh, nil)},
	}
	return r
}

func (r *Refresh) run(ctx context.Context, rep *pipeline.Reporter, c *conn.Conn, w *workload.Workload, o RefreshOptions) error {
	if c.Unsigned != nil {
		rep.Finding(c.Unsigned)
	}
	sdk, err := c.WorkerAt(ctx, "")
	if err != nil {
		return err
	}
	rep.Notef("Inngest is reached through %s", c.Route())
	options := inngest.RefreshOptions{
		Client:       c.Client,
		Worker:       sdk,
		App:          c.App,
		AllowRemoval: o.AllowRemoval,
		Prune:        o.PruneStale,
		Resync:       o.Resync,
		Liveness:     c.Liveness,
		Path:         c.CheckLivePath,
		ProveCrons:   true,
		CronsSince:   c.OnServer(ctx, rolledOut(w)),
	}
	if started := c.ServerStarted(ctx); started.After(options.CronsSince) {
		options.CronsSince = started
	}
	if o.DryRun {
		if r.Plan, err = inngest.PlanRefresh(ctx, options); err != nil {
			return c.Explain("plan the refresh", err)
		}
		reportAll(rep, r.Plan.Findings)
		rep.Notef("%s would change: %s", c.App, r.Plan.Diff)
		noteFunctions(rep, r.Plan.Diff)
		noteStale(rep, r.Plan.Stale)
		return nil
	}
	if r.Done, err = inngest.Refresh(ctx, options, rep); err != nil {
		return c.Explain("refresh the registration", err)
	}
	reportAll(rep, r.Done.Findings)
	rep.Notef("%s: %s", c.App, r.Done.Diff)
	noteFunctions(rep, r.Done.Diff)
	noteStale(rep, r.Done.Stale)
	return nil
}

// noteStale lists stale registrations, and which of them --prune-stale deletes.
func noteStale(rep *pipeline.Reporter, stale []judge.Stale) {
	for _, s := range stale {
		fate := "delete it with --prune-stale"
		if !s.Prunable() {
			fate = "kept, since " + s.Kept
		}
		rep.Notef("stale: app %q at %s, %s; %s", s.App.Name, s.App.URL, s.Reason, fate)
	}
}

// noteFunctions notes, function by function, what changed. Unchanged functions are
// only named with --verbose.
func noteFunctions(rep *pipeline.Reporter, d judge.Diff) {
	for _, slug := range d.Kept {
		rep.Detailf("  = %s", slug)
	}
	for _, f := range d.Added {
		rep.Notef("  + %s", f.Slug)
	}
	for _, f := range d.Removed {
		rep.Notef("  - %s", f.Slug)
	}
	for _, c := range d.Changed {
		rep.Notef("  ~ %s %s", c.Slug, strings.Join(c.What, ", "))
	}
}
