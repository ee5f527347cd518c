package kubecmd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/revision"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/receipt"
)

type undoOptions struct {
	to        int64
	timeout   time.Duration
	noInngest bool
	inngest   inngestFlags
	lockWait  time.Duration
	noSettle  bool
	output    string
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
	f.Int64Var(&o.to, "to-revision", 0, "the revision to go back to (default: the one before the current)")
	f.DurationVar(&o.timeout, "timeout", 0, "how long to wait (default: deploy.timeout, 180s)")
	f.BoolVar(&o.noInngest, "no-inngest", false, "the worker registers nothing: leave Inngest out")
	o.inngest.add(c)
	f.DurationVar(&o.lockWait, "lock-wait", 0, "how long to wait while somebody else rolls out (default: not at all)")
	f.BoolVar(&o.noSettle, "no-settle", false, "do not wait for the newer pods to be gone; that they are is then not verified")
	cli.AddOutput(c, &o.output, "name", "json", "yaml")
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
		allowRemoval: true, tag: "undo", dryRun: "none", noSettle: o.noSettle, output: o.output,
	}}
	r.lazies()
	r.img = pipeline.NewLazy(func(context.Context) (shipped, error) { return shipped{}, nil })
	p := pipeline.Pipeline{Name: "undo", KeepChanges: true, Cleanup: r.close, OnFailure: r.keepEvidence,
		Journal: r.keepJournal(),
		Checks:  []pipeline.Check{{Name: "earlier run", Run: r.checkEarlier}, {Name: "workload", Run: r.checkWorkload}, {Name: "rights", Run: r.checkRights}},
		Stages: append([]pipeline.Stage{{Name: "lock", Run: r.lock}, {Name: "undo", Run: func(ctx context.Context, rep *pipeline.Reporter) error {
			return r.goBack(ctx, o.to, rep)
		}}}, r.proof()...),
	}
	out, err := s.env.Run(ctx, p, map[pipeline.End]string{pipeline.Left: "`kubectl sbw status` says what runs"})
	r.tag = receipt.ParseImage(r.current()).Tag
	s.env.Warn("keep the receipt", r.record(ctx, out))
	if perr := r.printUndo(out); perr != nil {
		return perr
	}
	return err
}

// goBack sets the pod template of an earlier revision.
func (r *rollout) goBack(ctx context.Context, number int64, rep *pipeline.Reporter) error {
	if number == 0 {
		r.switched = time.Now()
		if done, err := r.undoKilled(ctx, rep); done || err != nil {
			return err
		}
	}
	all, err := r.revisions(ctx)
	if err != nil {
		return err
	}
	// One that is run again after a kill goes where the first one went, not
	// back to where that came from.
	to := r.undone(all)
	if to == nil || number != 0 {
		if to, err = revision.Pick(all, number); err != nil {
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
	annotations := map[string]string{apply.ChangeCause: fmt.Sprintf("kubectl sbw undo --to-revision %d", to.Number)}
	// The revision has the history as it was then: what came after happened too.
	if history, ok := live.Object().GetAnnotations()[receipt.AnnotationHistory]; ok {
		annotations[receipt.AnnotationHistory] = history
	}
	target, err := revision.Undo(ctx, r.conn, r.ref, to, live.Template(), annotations, rep)
	if err != nil {
		return err
	}
	r.back, r.target = to, target
	rep.Notef("back to revision %d: %s", to.Number, strings.Join(to.Images, " "))
	return nil
}

// printUndo writes the result of an undo.
func (r *rollout) printUndo(out pipeline.Outcome) error {
	if r.output != "" || out.End != pipeline.Done {
		return r.print(out)
	}
	if r.back == nil { // back to what was before a killed run
		_, err := fmt.Fprintf(r.env.Out, "%s/%s %s\n", r.ref.Namespace, r.ref, r.current())
		return err
	}
	_, err := fmt.Fprintf(r.env.Out, "%s/%s revision %d %s\n", r.ref.Namespace, r.ref, r.back.Number, r.current())
	return err
}
