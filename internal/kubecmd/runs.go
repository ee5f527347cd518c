package kubecmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/client"
	"github.com/joelhooks/gh-sbw/internal/inngest/conn"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/ui"
)

type runsOptions struct {
	inngestFlags
	count  int
	status []string
	since  time.Duration
	all    bool
	watch  bool
	rerun  string
	cancel string
	output string
}

func newRuns(k *factory, runF func(context.Context, *runsOptions) error) *cobra.Command {
	o := &runsOptions{}
	c := &cobra.Command{
		Use:   "runs [flags]",
		Short: "List recent runs of the worker's functions, with their current step",
		Long: `List recent runs, the newest first. Times are those of the runs' traces, since the server's
list gives the time of queueing for a start, and an end to runs that go on.`,
		Example: `  # the last three runs
  kubectl sbw runs --count 3

  # what failed today
  kubectl sbw runs --status failed --since 24h

  # look on
  kubectl sbw runs --watch

  # start a failed run again, from its first step
  kubectl sbw runs --rerun 01JD7Z3T5V6W8X9Y0ABCDEFGHJ`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.count < 1 {
				return pipeline.UsageErrorf("usage", "give it as --count 3", "--count %d is not above zero", o.count)
			}
			if o.since < 0 {
				return pipeline.UsageErrorf("usage", "give it as --since 24h", "--since %s is not above zero", o.since)
			}
			var err error
			if o.status, err = statuses(o.status); err != nil {
				return err
			}
			if runF != nil {
				return runF(c.Context(), o)
			}
			t, inngest, err := o.target(k)
			if err != nil {
				return err
			}
			if err := needsInngest(t); err != nil {
				return err
			}
			link, _, err := t.ConnectLive(c.Context(), inngest)
			if err != nil {
				return err
			}
			if o.rerun != "" || o.cancel != "" {
				err = o.act(c.Context(), k.env, link)
			} else {
				err = o.run(c.Context(), k.env, link)
			}
			if cerr := link.Close(); err == nil {
				err = cerr
			}
			return err
		},
	}
	o.add(c)
	f := c.Flags()
	f.IntVar(&o.count, "count", 10, "how many")
	f.StringSliceVar(&o.status, "status", nil, "only these: running, queued, completed, failed, cancelled, skipped")
	f.DurationVar(&o.since, "since", 0, "only those queued within this time (default: all)")
	f.BoolVarP(&o.all, "all", "A", false, "of every app, not of this worker's alone")
	f.BoolVarP(&o.watch, "watch", "w", false, "go on, and print what changes")
	f.StringVar(&o.rerun, "rerun", "", "start this run's function again with the run's event, from the first step")
	f.StringVar(&o.cancel, "cancel", "", "end this run")
	c.MarkFlagsMutuallyExclusive("rerun", "cancel", "watch")
	cli.AddOutput(c, &o.output, "json", "yaml")
	return c
}

// act starts a run again, or ends it, and prints the id of the run that results.
func (o *runsOptions) act(ctx context.Context, env *cli.Env, c *conn.Conn) error {
	acted := struct {
		Run       string `json:"run"`
		Rerun     string `json:"rerun,omitempty"`
		Cancelled bool   `json:"cancelled,omitempty"`
	}{Run: o.rerun + o.cancel}
	var err error
	if o.cancel != "" {
		err = c.Client.CancelRun(ctx, o.cancel)
		acted.Cancelled = err == nil
	} else {
		acted.Rerun, err = c.Client.Rerun(ctx, o.rerun)
	}
	if err != nil {
		return c.Explain("change run "+acted.Run, err)
	}
	if o.output != "" {
		return cli.PrintObject(env.Out, o.output, acted)
	}
	if acted.Cancelled {
		_, err = fmt.Fprintf(env.Out, "run/%s cancelled\n", acted.Run)
	} else {
		_, err = fmt.Fprintf(env.Out, "run/%s\n", acted.Rerun)
	}
	return err
}

// watchEvery is how often the server is asked with --watch: it has nothing to
// subscribe to.
const watchEvery = 2 * time.Second

func (o *runsOptions) run(ctx context.Context, env *cli.Env, c *conn.Conn) error {
	filter := client.RunFilter{Limit: o.count}
	for _, s := range o.status {
		filter.Status = append(filter.Status, model.RunStatus(s))
	}
	if o.since != 0 {
		filter.Since = time.Now().Add(-o.since)
	}
	if !o.all {
		apps, err := c.Client.Apps(ctx)
		if err != nil {
			return c.Explain("read Inngest's registrations", err)
		}
		for _, a := range apps {
			if a.Name == c.App {
				filter.Apps = append(filter.Apps, a.ID)
			}
		}
		if len(filter.Apps) == 0 {
			return &pipeline.Finding{Code: "app-missing", Severity: pipeline.Error, What: "Inngest has no app " + c.App,
				Fix: "`kubectl sbw refresh` registers the worker; --all lists the runs of every app"}
		}
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	seen := map[string]string{} // what was printed last of each run
	var gap inngest.Outage
	for first := true; ; first = false {
		runs, err := inngest.Detailed(ctx, c.Client, filter)
		if o.watch && gap.Survives(err) {
			runs, err = nil, nil
		}
		if err != nil {
			return c.Explain("list runs", err)
		}
		if first {
			if err := noteDetour(env, c); err != nil {
				return err
			}
		}
		if !o.watch {
			return o.print(env, runs, true)
		}
		// What was printed stays as it was; elapsed times alone are no change.
		runs = slices.DeleteFunc(runs, func(r model.Run) bool { return seen[r.ID] == fmt.Sprint(r) })
		for _, r := range runs {
			seen[r.ID] = fmt.Sprint(r)
		}
		slices.Reverse(runs) // the newest at the end, where the next ones come
		if err := o.print(env, runs, first); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), pipeline.ErrInterrupted) {
				return nil // that is how one stops looking on
			}
			return context.Cause(ctx)
		}
	}
}

// print writes runs; with --watch one by one as a program reads them, and with
// the header once.
func (o *runsOptions) print(env *cli.Env, runs []model.Run, first bool) error {
	switch {
	case o.output != "" && !o.watch:
		return cli.PrintObject(env.Out, o.output, runs)
	case o.output != "":
		for _, r := range runs {
			if o.output == "yaml" {
				if _, err := fmt.Fprintln(env.Out, "---"); err != nil {
					return err
				}
			}
			if err := cli.PrintObject(env.Out, o.output, r); err != nil {
				return err
			}
		}
		return nil
	case len(runs) == 0 && first:
		return env.Notef("no runs")
	case len(runs) == 0:
		return nil
	}
	t := inngest.RunsTable(runs, time.Now())
	if !first {
		t.Header = nil
	}
	rows := ui.NewRows(env.Style(env.Out), t.Header...)
	for _, r := range t.Rows {
		rows.Add(r...)
	}
	return rows.Print(env.Out)
}

// statuses reads --status: words in either case, checked, since the server
// takes one that it does not know for none.
func statuses(words []string) ([]string, error) {
	known := []string{"running", "queued", "completed", "failed", "cancelled", "skipped"}
	var all []string
	for _, w := range words {
		found := false
		for _, k := range known {
			if strings.EqualFold(w, k) || strings.EqualFold(w, "canceled") && k == "cancelled" {
				all, found = append(all, strings.ToUpper(k)), true
			}
		}
		if !found {
			return nil, pipeline.UsageErrorf("usage", "use "+strings.Join(known, ", "), "--status %q is no state of a run", w)
		}
	}
	return all, nil
}
