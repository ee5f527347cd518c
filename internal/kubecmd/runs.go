package kubecmd

import (
	"cmp"
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
		Use:   "runs",
		Short: "List recent runs of the worker's functions, with their current step",
		Long: `List recent runs, the newest first. Times are taken from the runs' traces, because the server's
list gives the time of queueing as the start, and gives an end even to runs that are still running.`,
		Example: `  # the last three runs
  kubectl sbw runs --count 3

  # what failed today
  kubectl sbw runs --status failed --since 24h

  # keep watching
  kubectl sbw runs --watch

  # start a failed run again, from its first step
  kubectl sbw runs --rerun 01JD7Z3T5V6W8X9Y0ABCDEFGHJ`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return err
			}
			if runF != nil {
				return runF(c.Context(), o)
			}
			_, link, _, err := o.connect(c.Context(), k)
			if err != nil {
				return err
			}
			if o.rerun != "" || o.cancel != "" {
				err = o.act(c.Context(), k.env, link)
			} else {
				err = o.run(c.Context(), k.env, link)
			}
			return cmp.Or(err, link.Close())
		},
	}
	o.add(c)
	f := c.Flags()
	f.IntVar(&o.count, "count", 10, "list at most this many")
	f.StringSliceVar(&o.status, "status", nil, "list only these: running, queued, completed, failed, cancelled, skipped")
	f.DurationVar(&o.since, "since", 0, "list only runs queued within this time (default: all)")
	f.BoolVarP(&o.all, "all", "A", false, "list the runs of every app, not only of this worker's")
	f.BoolVarP(&o.watch, "watch", "w", false, "keep watching, and print what changes")
	f.StringVar(&o.rerun, "rerun", "", "start this run's function again with the run's event, from the first step")
	f.StringVar(&o.cancel, "cancel", "", "cancel this run")
	c.MarkFlagsMutuallyExclusive("rerun", "cancel", "watch")
	cli.AddDocument(k.env, c, &o.output, func() cli.Document { return &runsDocument{} })
	return c
}

// runsDocument is what runs prints for programs.
type runsDocument struct {
	cli.Head
	Runs      []model.Run `json:"runs" doc:"the runs, the newest first, each with id, appID, functionID, function, status, queuedAt, startedAt, endedAt, event, cron, step, attempt, error"`
	Run       string      `json:"run,omitempty" doc:"with --rerun or --cancel, the id of that run"`
	Rerun     string      `json:"rerun,omitempty" doc:"with --rerun, the id of the new run"`
	Cancelled bool        `json:"cancelled,omitempty" doc:"with --cancel, whether the run was cancelled"`
}

// act reruns or cancels a run, and prints the id of the new or the cancelled run.
func (o *runsOptions) act(ctx context.Context, env *cli.Env, c *conn.Conn) (err error) {
	d := &runsDocument{Run: o.rerun + o.cancel}
	if o.cancel != "" {
		err = c.Client.CancelRun(ctx, o.cancel)
		d.Cancelled = err == nil
	} else {
		d.Rerun, err = c.Client.Rerun(ctx, o.rerun)
	}
	if err != nil {
		return c.Explain("change run "+d.Run, err)
	}
	return printAct(env, o.output, d)
}

// printAct writes the run that was changed, or a document.
func printAct(env *cli.Env, output string, d *runsDocument) (err error) {
	env.SetDocument(d)
	switch {
	case cli.IsDocument(output):
	case d.Cancelled:
		_, err = fmt.Fprintf(env.Out, "run/%s cancelled\n", d.Run)
	default:
		_, err = fmt.Fprintf(env.Out, "run/%s\n", d.Rerun)
	}
	return err
}

// watchEvery is how often --watch lists the runs. The server offers no subscription.
const watchEvery = 2 * time.Second

func (o *runsOptions) run(ctx context.Context, env *cli.Env, c *conn.Conn) error {
	filter := client.RunFilter{Limit: o.count}
	for _, s := range o.status {
		filter.Status = append(filter.Status, model.RunStatus(s))
	}
	if o.since != 0 {
		// The server judges by its own clock, which any of its answers shows.
		if _, err := c.Client.Health(ctx); err != nil {
			return c.Explain("list the runs", err)
		}
		filter.Since = c.Client.Now().Add(-o.since)
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
			return &pipeline.Finding{Code: codeAppMissing, Severity: pipeline.Error, What: "Inngest has no app " + c.App,
				Fix: "`kubectl sbw refresh` registers the worker; --all lists the runs of every app"}
		}
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	seen := map[string]string{} // the last printed state of each run
	for first := true; ; first = false {
		runs, err := inngest.Detailed(ctx, c.Client, filter)
		if err != nil {
			return o.stopped(ctx, c.Explain("list the runs", err))
		}
		if first {
			if err := noteDetour(env, c); err != nil {
				return err
			}
		}
		if !o.watch {
			return o.print(env, runs, c.Client.Now(), true)
		}
		// Elapsed times alone do not count as a change.
		runs = slices.DeleteFunc(runs, func(r model.Run) bool { return seen[r.ID] == fmt.Sprint(r) })
		for _, r := range runs {
			seen[r.ID] = fmt.Sprint(r)
		}
		slices.Reverse(runs) // the newest at the end, where the next ones will be
		if err := o.print(env, runs, c.Client.Now(), first); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return o.stopped(ctx, context.Cause(ctx))
		}
		if err := env.ReaderGone(); err != nil {
			return err
		}
	}
}

// stopped returns err, unless an interrupt is how the user stops watching.
func (o *runsOptions) stopped(ctx context.Context, err error) error {
	if o.watch && errors.Is(context.Cause(ctx), pipeline.ErrInterrupted) {
		return nil
	}
	return err
}

// print writes runs as a table, with the header only once, or as a document.
func (o *runsOptions) print(env *cli.Env, runs []model.Run, now time.Time, first bool) error {
	env.SetDocument(&runsDocument{Runs: runs})
	switch {
	case cli.IsDocument(o.output):
		return nil
	case len(runs) == 0 && first:
		return env.Notef("no runs")
	case len(runs) == 0:
		return nil
	}
	t := inngest.RunsTable(runs, now)
	if !first {
		t.Header = nil
	}
	return printTable(env, t)
}

// validate checks the flags and translates --status into the server's words.
func (o *runsOptions) validate() (err error) {
	switch {
	case o.count < 1:
		return pipeline.UsageErrorf(pipeline.CodeUsage, "give it as --count 3", "--count %d is not above zero", o.count)
	case o.since < 0:
		return pipeline.UsageErrorf(pipeline.CodeUsage, "give it as --since 24h", "--since %s is below zero", o.since)
	case o.watch && cli.IsDocument(o.output):
		return pipeline.UsageErrorf(
			pipeline.CodeUsage,
			"leave one of them out",
			"--watch prints runs as they change, and -o %s prints one document",
			o.output,
		)
	}
	o.status, err = statuses(o.status)
	return err
}

// statuses reads --status: words in upper or lower case. They are checked here,
// because the server ignores a status that it does not know.
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
			return nil, pipeline.UsageErrorf(pipeline.CodeUsage, "use "+strings.Join(known, ", "), "--status %q is not a status of a run", w)
		}
	}
	return all, nil
}
