package kubecmd

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/evidence"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/receipt"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// record keeps what the run came to: as a file, on the workload, and with the
// hook of the configuration. What goes wrong with it is no more than a warning,
// since what was shipped stays shipped.
func (r *rollout) record(ctx context.Context, out pipeline.Outcome) error {
	if r.dryRun != "none" || out.Refused {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	rec := r.receipt(out)
	var errs []error
	if store, err := receipt.Open(); err != nil {
		errs = append(errs, err)
	} else if err := store.Save(rec); err != nil {
		errs = append(errs, err)
	}
	if r.target != nil {
		errs = append(errs, r.annotate(ctx, rec))
	}
	errs = append(errs, receipt.Hook{Argv: r.scope.worker.Hooks.Receipt, Dir: r.root, Env: os.Environ()}.Run(ctx, rec))
	return errors.Join(errs...)
}

func (r *rollout) receipt(out pipeline.Outcome) *receipt.Receipt {
	rec := &receipt.Receipt{
		Command: r.command, Program: userAgent, Worker: r.scope.worker.Name, By: receipt.By{Kube: r.conn.User},
		Image: receipt.Image{Tag: r.tag},
		Target: &receipt.Target{
			Context: r.conn.Context, Namespace: r.ref.Namespace, Kind: r.ref.Kind, Name: r.ref.Name,
			Container: r.scope.worker.Deploy.Container, ReplicaSet: r.watched.Verdict.Revision,
		},
	}
	rec.Finish(out)
	// The lazy facts are read only if somebody has found them.
	done := context.Background()
	if r.command == "undo" {
		rec.Image = receipt.ParseImage(r.current())
	} else if img, err := r.img.Get(done); err == nil {
		rec.Image.Repository = img.repository
		if img.facts != nil {
			rec.Image.Digest, rec.Image.Platforms = img.facts.Digest, img.facts.Platforms()
			rec.Commit, rec.Source = img.facts.Label(worker.LabelRevision), img.facts.Label(worker.LabelSource)
			rec.Dirty, rec.By.GitHub = img.facts.Label(worker.LabelDirty) == "true", img.facts.Label(worker.LabelPublisher)
		}
	}
	rec.Previous = r.previous()
	for _, p := range r.watched.Verdict.Pods {
		rec.Target.Pods = append(rec.Target.Pods, receipt.Pod{Name: p.Name, UID: p.UID, Node: p.Node, ImageID: p.ImageID})
	}
	if r.verified != nil {
		rec.Functions = r.verified.App.Slugs()
		rec.Inngest = &receipt.Inngest{App: r.verified.App.Name, URL: r.verified.App.URL, Synced: true}
	}
	rec.Evidence = evidenceOf(r.evidence)
	return rec
}

// imageIn is the image of a container of a pod template, "" where there is none
// of that name.
func imageIn(t *corev1.PodTemplateSpec, container string) string {
	for _, list := range [][]corev1.Container{t.Spec.Containers, t.Spec.InitContainers} {
		for _, c := range list {
			if c.Name == container {
				return c.Image
			}
		}
	}
	return ""
}

// evidenceOf puts what was kept of the cluster into the receipt, whole.
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

// annotate writes the run into the workload's own history.
func (r *rollout) annotate(ctx context.Context, rec *receipt.Receipt) error {
	kube, err := r.conn.Kube()
	if err != nil {
		return err
	}
	w, err := workload.Get(ctx, kube, r.ref)
	if isCode(err, "workload-unknown") {
		return nil // it was made by this run, and taken back
	}
	if err != nil {
		return err
	}
	set, err := receipt.Record(w.Object().GetAnnotations(), receipt.EntryOf(rec))
	if err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": set}})
	if err != nil {
		return err
	}
	dyn, err := r.conn.Dynamic()
	if err != nil {
		return err
	}
	_, err = dyn.Resource(r.ref.Resource()).Namespace(r.ref.Namespace).Patch(ctx, r.ref.Name, types.MergePatchType, patch,
		metav1.PatchOptions{FieldManager: cluster.FieldManager})
	return cluster.Explain("write the history of "+r.ref.String(), err)
}
