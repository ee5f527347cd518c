package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/evidence"
	"github.com/joelhooks/gh-sbw/internal/cluster/lock"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/receipt"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// Record stores the result of the run: in a file, on the workload, and with the
// configured hook. An error from it is no more than a warning, since what was shipped
// stays shipped.
func (r *Run) Record(ctx context.Context, out pipeline.Outcome) error {
	if r.DryRun != DryRunNone || out.Refused {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	rec := r.receipt(out)
	var errs []error
	if store, err := receipt.Open(r.Getenv); err != nil {
		errs = append(errs, err)
	} else if err := store.Save(rec); err != nil {
		errs = append(errs, err)
	}
	if r.found.target != nil {
		errs = append(errs, r.annotate(ctx, receipt.EntryOf(rec)))
	}
	errs = append(errs, receipt.Hook{Key: "hooks.receipt", Argv: r.Worker.Hooks.Receipt, Dir: r.Root, Env: os.Environ()}.Run(ctx, rec))
	return errors.Join(errs...)
}

func (r *Run) receipt(out pipeline.Outcome) *receipt.Receipt {
	s := &r.found
	rec := &receipt.Receipt{
		Command: r.command, Program: Program, Worker: r.Worker.Name, By: receipt.By{Kube: r.Conn.User},
		Image: receipt.ParseImage(r.making()),
		Target: &receipt.Target{
			Context: r.Conn.Context, Namespace: r.Ref.Namespace, Kind: r.Ref.Kind, Name: r.Ref.Name,
			Container: r.container(), ReplicaSet: s.watched.Verdict.Revision, Made: s.made,
		},
	}
	rec.Finish(out)
	if rec.Image.Tag == "" {
		rec.Image.Tag = r.tag()
	}
	if img, ok := r.facts.resolved.Peek(); ok && img.found != nil {
		rec.Image.Digest, rec.Image.Platforms = img.found.Digest, img.found.Platforms()
		rec.Commit, rec.Source = img.found.Label(worker.LabelRevision), img.found.Label(worker.LabelSource)
		rec.Dirty, rec.By.GitHub = img.found.Label(worker.LabelDirty) == "true", img.found.Label(worker.LabelPublisher)
	}
	rec.Previous = r.facts.previous()
	for _, p := range s.watched.Verdict.Pods {
		rec.Target.Pods = append(rec.Target.Pods, receipt.Pod{Name: p.Name, UID: p.UID, Node: p.Node, ImageID: p.ImageID})
	}
	if s.verified != nil {
		rec.Functions = s.verified.App.Slugs()
		rec.Inngest = &receipt.Inngest{App: s.verified.App.Name, URL: s.verified.App.URL, Synced: true}
	}
	rec.Evidence = evidenceOf(s.evidence)
	return rec
}

// evidenceOf converts the evidence that was collected in the cluster for the receipt.
func evidenceOf(e evidence.Evidence) []receipt.Evidence {
	var all []receipt.Evidence
	for _, p := range e.Pods {
		for _, c := range p.Containers {
			name := "pod/" + p.Name + " container/" + c.Name
			all = append(all, receipt.Evidence{Title: name + ", state", Text: c.State + "\n" + c.Last})
			for _, l := range []struct {
				what  string
				lines []string
			}{{"log", c.Log}, {"previous log", c.Previous}} {
				if len(l.lines) > 0 {
					all = append(all, receipt.Evidence{Title: name + ", " + l.what, Text: strings.Join(l.lines, "\n")})
				}
			}
		}
	}
	var events []string
	for _, ev := range e.Events {
		events = append(events, ev.Time.Format("15:04:05")+" "+ev.Type+" "+ev.Reason+" "+ev.Object+": "+ev.Message)
	}
	if len(events) > 0 {
		all = append(all, receipt.Evidence{Title: "events", Text: strings.Join(events, "\n")})
	}
	return all
}

// annotate adds the run to the workload's history. It follows the same rules as any
// other write: an object that was recreated is not touched, nothing is written without
// the lock that this run held, and the cause that `kubectl rollout history` shows
// belongs to whoever has changed the pod template since. The lock has been released by
// now, so each attempt sends the resourceVersion that was read.
func (r *Run) annotate(ctx context.Context, e receipt.Entry) error {
	if errors.Is(r.guard.supersededBy, lock.ErrLost) {
		return nil
	}
	kube, err := r.Conn.Kube()
	if err != nil {
		return err
	}
	dyn, err := r.Conn.Dynamic()
	if err != nil {
		return err
	}
	objects := dyn.Resource(r.Ref.Resource()).Namespace(r.Ref.Namespace)
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		w, err := workload.Get(ctx, kube, r.Ref)
		if isMissing(err) || err == nil && w.Object().GetUID() != r.found.target.Object().GetUID() {
			return nil // this run created it and removed it again, or somebody deleted it
		}
		if err != nil {
			return err
		}
		set, err := receipt.Record(w.Object().GetAnnotations(), e)
		if err != nil {
			return err
		}
		if !verdict.SameTemplate(w.Template(), r.found.target.Template()) {
			delete(set, receipt.AnnotationCause)
		}
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
			"annotations": set, "resourceVersion": w.Object().GetResourceVersion(),
		}})
		if err != nil {
			return err
		}
		_, err = objects.Patch(ctx, r.Ref.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: cluster.FieldManager})
		if apierrors.IsConflict(err) {
			return err
		}
		return cluster.Explain("write the history of "+r.Ref.String(), err)
	})
}
