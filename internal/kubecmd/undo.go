package kubecmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/revision"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/receipt"
)

func newUndo(k *kube) *cobra.Command {
	o := &rolloutOptions{}
	c := &cobra.Command{
		Use:   "undo [flags]",
		Short: "Go back to an earlier revision, wait, probe and register its functions",
		Long: `Go back to an earlier revision, wait for it, probe its pods and register its functions.

The steps that are executing are guarded as in a rollout: those that the restart would only delay
are stated, one that it would kill for good stops the undo. The image in the manifest's file is put
back with it, and no other byte, if it is the one that ran; otherwise the file is left and told of.

After a run that was killed or could not put back what it had changed, the undo goes back to what
was before that run.`,
		Example: `  # back to what ran before
  kubectl sbw undo

  # back to a certain one
  kubectl sbw history
  kubectl sbw undo --to-revision 3

  # not while a step is executing
  kubectl sbw undo --wait-idle=5m`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("to-revision") && o.toRevision < 1 {
				return pipeline.UsageErrorf("usage", "take one of `kubectl sbw history`", "--to-revision %d is no revision", o.toRevision)
			}
			if err := o.completeUndo(k); err != nil {
				return err
			}
			if err := o.validate(); err != nil {
				return err
			}
			return o.undo(c.Context())
		},
	}
	f := c.Flags()
	f.Int64Var(&o.toRevision, "to-revision", 0, "the revision to go back to (default: the newest before the current that ran well)")
	o.addFiles(c)
	f.BoolVar(&o.noWrite, "no-write", false, "leave the manifest's file as it is")
	f.DurationVar(&o.timeout, "timeout", 0, "how long to wait (default: deploy.timeout, 180s)")
	f.BoolVar(&o.noInngest, "no-inngest", false, "the worker registers nothing: leave Inngest out")
	o.inngest.add(c)
	o.addRestart(c)
	f.BoolVar(&o.force, "force", false, "go on where running steps would be lost")
	f.DurationVar(&o.lockWait, "lock-wait", 0, "how long to wait while somebody else rolls out (default: not at all)")
	f.BoolVar(&o.noSettle, "no-settle", false, "do not wait for the newer pods to be gone; that they are is then not verified")
	cli.AddOutput(c, &o.output, "name", "json", "yaml")
	c.MarkFlagsMutuallyExclusive("filename", "kustomize")
	return c
}

// completeUndo fills in what flags left open. A manifest that the configuration
// names need not be there: the cluster has the revision.
func (o *rolloutOptions) completeUndo(k *kube) error {
	o.tag, o.tagOptional, o.dryRun = "undo", true, "none"
	o.filesGiven = len(o.filenames) > 0 || o.kustomize != ""
	if err := o.complete(k); err != nil {
		return err
	}
	if !o.filesGiven && len(o.filenames) == 1 {
		if _, err := os.Stat(o.filenames[0]); errors.Is(err, fs.ErrNotExist) {
			o.filenames = nil
		}
	}
	o.imageOnly = true    // of the workload: its revision is what is applied
	o.allowRemoval = true // what the newer version brought may go again
	return nil
}

// undo is a rollout whose apply is a going back: the same stages follow it.
func (o *rolloutOptions) undo(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &rollout{lose: cancel, command: "undo", rolloutOptions: o}
	out, err := o.env.Run(ctx, r.undoPipeline(), map[pipeline.End]string{pipeline.Left: "`kubectl sbw status` says what runs"})
	r.tag = receipt.ParseImage(r.current()).Tag
	o.env.Warn("keep the receipt", r.record(ctx, out))
	if perr := r.printUndo(out); perr != nil {
		return perr
	}
	return err
}

// undoPipeline is the whole command.
func (r *rollout) undoPipeline() pipeline.Pipeline {
	r.lazies()
	p := pipeline.Pipeline{Name: "undo", KeepChanges: true, Cleanup: r.close, OnFailure: r.keepEvidence,
		Journal: r.keepJournal(),
		Checks: []pipeline.Check{
			{Name: "earlier run", Run: r.checkEarlier},
			{Name: "workload", Run: r.checkWorkload},
			{Name: "revision", Run: r.checkRevision},
			{Name: "manifest", Run: r.checkUndoManifest},
			{Name: "rights", Run: r.checkRights},
		},
	}
	if !r.noInngest {
		p.Checks = append(p.Checks, pipeline.Check{Name: "Inngest", Run: r.checkInngest})
	}
	p.Checks = r.remembering(p.Checks)
	p.Stages = append(r.guarded(),
		pipeline.Stage{Name: "undo", Run: r.goBack},
		pipeline.Stage{Name: "manifest", Run: r.restoreManifest})
	p.Stages = append(p.Stages, r.proof()...)
	return p
}

// checkRevision: there is one to go back to, and nobody holds the workload
// back.
func (r *rollout) checkRevision(ctx context.Context, rep *pipeline.Reporter) ([]*pipeline.Finding, error) {
	live, err := r.live.Get(ctx)
	if err != nil {
		return nil, nil // another check says so
	}
	if c := verdict.HeldBack(live); c != nil {
		return []*pipeline.Finding{c.Finding()}, nil
	}
	if l, err := r.left(); r.toRevision == 0 && (err != nil || l != nil) {
		return nil, nil // it goes back to what was before a killed run, if that can be told
	}
	all, err := r.revisions(ctx)
	if err != nil {
		return nil, err
	}
	to, err := revision.Pick(all, r.toRevision)
	if err != nil {
		return nil, err
	}
	if to.Current {
		return []*pipeline.Finding{{Code: "revision-current", Severity: pipeline.Warning, What: fmt.Sprintf("revision %d is what runs already", to.Number),
			Fix: "`kubectl sbw history` lists the others"}}, nil
	}
	rep.Notef("revision %d has %s", to.Number, strings.Join(to.Images, " "))
	return nil, nil
}

// goBack sets the pod template of an earlier revision.
func (r *rollout) goBack(ctx context.Context, rep *pipeline.Reporter) error {
	if r.toRevision == 0 {
		r.switched = time.Now()
		done, err := r.undoKilled(ctx, rep)
		if err != nil {
			return err
		}
		if done {
			return r.unstick(ctx, rep, r.target)
		}
	}
	all, err := r.revisions(ctx)
	if err != nil {
		return err
	}
	// One that is run again after a kill goes where the first one went, not
	// back to where that came from.
	to := r.undone(all)
	if to == nil || r.toRevision != 0 {
		if to, err = revision.Pick(all, r.toRevision); err != nil {
			return err
		}
	}
	if err := r.journal.Keep(factUndo, to.Name); err != nil {
		return err
	}
	if err := r.journal.Keep(factImage, images{Before: r.previous(), After: imageIn(to.Template, r.worker.Deploy.Container)}); err != nil {
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
	return r.unstick(ctx, rep, target)
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
