package kubecmd

import (
	"context"
	"fmt"
	"slices"

	"github.com/joelhooks/gh-sbw/internal/manifest"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// hasFile tells whether an undo has a file to put back.
func (r *rollout) hasFile() bool {
	return (len(r.filenames) > 0 || r.kustomize != "") && r.onDisk()
}

func (r *rollout) imagePlan(ctx context.Context, image string) (*manifest.Plan, error) {
	return manifest.Find(ctx, manifest.Options{
		Files: r.filenames, Recursive: r.recursive, Kustomize: r.kustomize, Target: r.manifestTarget(), Ref: image,
	})
}

// checkUndoManifest: a file that was named has the workload. That of the
// configuration is found out about when it is to be put back, since it does not
// stand against an undo.
func (r *rollout) checkUndoManifest(ctx context.Context, _ *pipeline.Reporter) ([]*pipeline.Finding, error) {
	was := r.previous()
	if !r.filesGiven || !r.hasFile() || was == "" {
		return nil, nil
	}
	_, err := r.imagePlan(ctx, was)
	return nil, err
}

// restoreManifest puts the revision's image into the manifest's file, so that a
// later kubectl apply does not take the undo back unseen. It does so where the
// file names what ran: anything else somebody wants to ship. The cluster is
// what an undo is about: what goes wrong here is a warning.
func (r *rollout) restoreManifest(ctx context.Context, rep *pipeline.Reporter) error {
	image := r.current()
	switch {
	case r.back == nil:
		rep.Skipped("done with the killed run's changes")
		return nil
	case r.noWrite:
		rep.Skipped("--no-write")
		return nil
	case !r.hasFile() || image == "":
		rep.Skipped("no manifest file")
		return nil
	}
	plan, err := r.imagePlan(ctx, image)
	switch {
	case err != nil:
	case !plan.Changed():
		rep.Skipped("%s has this image already", r.short(plan.File))
		return nil
	case !r.ran(plan.Old):
		rep.Finding(&pipeline.Finding{Code: "manifest-left", Severity: pipeline.Note, Where: fmt.Sprintf("%s:%d", r.short(plan.File), plan.Line),
			What: "the manifest names another image than the one that ran: it is left as it is", Why: "it names " + plan.Old,
			Fix: fmt.Sprintf("write %s there if it should name what runs", image)})
		return nil
	default:
		rep.Changed()
		var w *manifest.Written
		if w, err = plan.Write(); err == nil {
			r.written = append(r.written, w)
			rep.Notef("%s:%d %s → %s", r.short(plan.File), plan.Line, plan.Old, plan.New)
			return nil
		}
	}
	for _, f := range pipeline.AsFindings("", lightly("put the manifest back", err)) {
		rep.Finding(f)
	}
	return ctx.Err()
}

// ran tells whether an image is what ran when the undo began, or when one of
// the killed runs that it goes on from did.
func (r *rollout) ran(image string) bool {
	if image == r.previous() {
		return true
	}
	l, err := r.left()
	return l != nil && err == nil && slices.ContainsFunc(l.images, func(i images) bool { return i.Before == image || i.After == image })
}
