package kubecmd

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/revision"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/ui"
)

func newHistory(k *kube) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "history [flags]",
		Short: "List what was rolled out: revision, image, when, why",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := k.complete()
			if err != nil {
				return err
			}
			all, err := s.revisions(c.Context())
			if err != nil {
				return err
			}
			if output != "" {
				return cli.PrintObject(k.env.Out, output, all)
			}
			rows := ui.NewRows(k.env.Style(k.env.Out), "REVISION", "AGE", "PODS", "IMAGE", "CAUSE")
			for _, r := range all {
				number := strconv.FormatInt(r.Number, 10)
				if r.Current {
					number += " *"
				}
				rows.Add(number, ui.FormatDuration(time.Since(r.Created).Round(time.Second)), strconv.Itoa(int(r.Pods)),
					strings.Join(r.Images, " "), r.Annotations[apply.ChangeCause])
			}
			return rows.Print(k.env.Out)
		},
	}
	cli.AddOutput(c, &output, "json", "yaml")
	return c
}

func (s *scope) revisions(ctx context.Context) ([]revision.Revision, error) {
	kube, err := s.conn.Kube()
	if err != nil {
		return nil, err
	}
	w, err := workload.Get(ctx, kube, s.ref)
	if err != nil {
		return nil, err
	}
	return revision.List(ctx, kube, w)
}

type undoOptions struct {
	to        int64
	timeout   time.Duration
	noInngest bool
	inngest   inngestFlags
	lockWait  time.Duration
}

func newUndo(k *kube) *cobra.Command {
	o := &undoOptions{}
	c := &cobra.Command{
		Use:   "undo [flags]",
		Short: "Go back to an earlier revision, wait, probe and register its functions",
		Example: `  # back to what ran before
  kubectl sbw undo

  # back to a certain one
  kubectl sbw history
  kubectl sbw undo --to-revision 3`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.inngest.validate(); err != nil {
				return err
			}
			s, err := k.complete()
			if err != nil {
				return err
			}
			if err := o.inngest.complete(s.worker.Inngest); err != nil {
				return err
			}
			return o.run(c.Context(), s)
		},
	}
	f := c.Flags()
	f.Int64Var(&o.to, "to-revision", 0, "the revision to go back to; the one before the current by default")
	f.DurationVar(&o.timeout, "timeout", 0, "how long to wait (default: deploy.timeout, 180s)")
	f.BoolVar(&o.noInngest, "no-inngest", false, "the worker registers nothing: leave Inngest out")
	o.inngest.add(c)
	f.DurationVar(&o.lockWait, "lock-wait", 0, "how long to wait while somebody else rolls out")
	return c
}

// run is a rollout whose apply is a going back: the same stages follow it.
func (o *undoOptions) run(ctx context.Context, s *scope) error {
	if o.timeout == 0 {
		o.timeout = s.worker.Deploy.Timeout
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &rollout{lose: cancel, command: "undo", rolloutOptions: &rolloutOptions{
		scope: s, timeout: o.timeout, imageOnly: true, noInngest: o.noInngest, inngest: o.inngest, lockWait: o.lockWait,
		probePath: s.worker.Probe.Path, probeExpect: s.worker.Probe.Expect, probePort: s.worker.Probe.Port,
		// What the newer version brought may go again.
		allowRemoval: true, tag: "undo", dryRun: "none",
	}}
	r.lazies()
	r.img = pipeline.NewLazy(func(context.Context) (shipped, error) { return shipped{}, nil })
	var to *revision.Revision
	back := func(ctx context.Context, rep *pipeline.Reporter) error {
		if o.to == 0 {
			r.switched = time.Now()
			if done, err := r.undoKilled(ctx, rep); done || err != nil {
				return err
			}
		}
		all, err := s.revisions(ctx)
		if err != nil {
			return err
		}
		// One that is run again after a kill goes where the first one went, not
		// back to where that came from.
		if to = r.undone(all); to == nil || o.to != 0 {
			if to, err = revision.Pick(all, o.to); err != nil {
				return err
			}
		}
		if err := r.journal.Keep(factUndo, to.Name); err != nil {
			return err
		}
		live, err := r.live.Get(ctx)
		if err != nil {
			return err
		}
		r.switched = time.Now()
		r.target, err = revision.Undo(ctx, s.conn, s.ref, to, live.Template(),
			map[string]string{apply.ChangeCause: fmt.Sprintf("kubectl sbw undo --to-revision %d", to.Number)}, rep)
		if err == nil {
			rep.Notef("back to revision %d: %s", to.Number, strings.Join(to.Images, " "))
		}
		return err
	}
	p := pipeline.Pipeline{Name: "undo", KeepChanges: true, Cleanup: r.close, OnFailure: r.keepEvidence,
		Journal: r.keepJournal(),
		Checks:  []pipeline.Check{{Name: "earlier run", Run: r.checkEarlier}, {Name: "workload", Run: r.checkWorkload}, {Name: "rights", Run: r.checkRights}},
		Stages:  append([]pipeline.Stage{{Name: "lock", Run: r.lock}, {Name: "undo", Run: back}}, r.proof()...),
	}
	out, err := s.env.Run(ctx, p, map[pipeline.End]string{pipeline.Left: "`kubectl sbw status` says what runs"})
	if to != nil {
		r.tag = fmt.Sprintf("revision-%d", to.Number)
	}
	r.record(ctx, out)
	if err != nil {
		return err
	}
	if to == nil { // back to what was before a killed run
		c, err := r.target.Container(s.worker.Deploy.Container)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(s.env.Out, "%s/%s %s=%s\n", s.ref.Namespace, s.ref, c.Name, c.Image)
		return err
	}
	_, err = fmt.Fprintf(s.env.Out, "%s/%s revision %d %s\n", s.ref.Namespace, s.ref, to.Number, strings.Join(to.Images, " "))
	return err
}
