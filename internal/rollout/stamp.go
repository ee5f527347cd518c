package rollout

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/joelhooks/gh-sbw/internal/cluster/revision"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/manifest"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// stamper edits the manifest's file: it writes the image of the version that is made live,
// and restores the text if that version does not stay.
type stamper struct {
	*facts
	killed killedRuns
	// keeps means that the file keeps its new text whatever happens to the cluster.
	keeps bool
}

func (r *Run) stamper() stamper { return stamper{r.facts, r.killed(), r.keepsFile} }

// stamp writes the image into the manifest's file. It returns this run's edit
// after the edits of killed runs, all of which this run has to restore if it fails.
func (s stamper) stamp(ctx context.Context, rep *pipeline.Reporter) ([]*manifest.Written, error) {
	plan, err := s.plan.Get(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.killed.keepImages(ctx); err != nil {
		return nil, err
	}
	if plan == nil {
		rep.Skipped("no manifest file")
		return nil, nil
	}
	written, err := s.before(plan)
	if err != nil {
		return nil, err
	}
	if len(written) > 0 {
		rep.Changed() // this run has to restore what a killed run stamped
		rep.Notef("%s was stamped by a killed run; the image before it: %s", s.Short(plan.File), written[0].Old)
	}
	switch {
	case s.manifest.NoWrite:
		rep.Skipped("--no-write")
		return written, nil
	case !plan.Changed():
		rep.Skipped("%s already has this image", s.Short(plan.File))
		return written, nil
	}
	pending, err := plan.Pending()
	if err != nil {
		return written, err
	}
	if err := s.killed.journal.Keep(factStamp, pending); err != nil {
		return written, err
	}
	rep.Changed()
	w, err := plan.Write()
	if err != nil {
		return written, err
	}
	rep.Notef("%s:%d %s → %s", s.Short(plan.File), plan.Line, plan.Old, plan.New)
	return append(written, w), nil
}

// unstamp restores the manifest's file.
func (s stamper) unstamp(rep *pipeline.Reporter, written []*manifest.Written) error {
	for i := len(written) - 1; i >= 0; i-- {
		w := written[i]
		restored, err := w.Restore()
		if err != nil {
			return err
		}
		if restored {
			rep.Notef("%s:%d %s", s.Short(w.File), w.Line, w.Old)
		}
	}
	return nil
}

// stampRevision writes the revision's image into the manifest's file, so that a later
// kubectl apply does not silently revert the undo. It does so only if the file names
// the image that was running: any other image is one that somebody wants to ship. An
// undo is about the cluster, so a failure here is only a warning.
func (s stamper) stampRevision(
	ctx context.Context,
	rep *pipeline.Reporter,
	to *revision.Revision,
	image string,
) ([]*manifest.Written, error) {
	switch {
	case to == nil:
		rep.Skipped("the killed run's changes are undone")
		return nil, nil
	case s.manifest.NoWrite:
		rep.Skipped("--no-write")
		return nil, nil
	case !s.manifest.hasFile() || image == "":
		rep.Skipped("no manifest file")
		return nil, nil
	}
	plan, err := s.planFor(ctx, image)
	switch {
	case err != nil:
	case !plan.Changed():
		rep.Skipped("%s already has this image", s.Short(plan.File))
		return nil, nil
	case !s.killed.ran(plan.Old):
		rep.Finding(&pipeline.Finding{Code: CodeManifestLeft, Severity: pipeline.Note, Where: fmt.Sprintf("%s:%d", s.Short(plan.File), plan.Line),
			What: "the manifest names a different image than the one that ran, so it is left as it is", Why: "it names " + plan.Old,
			Fix: fmt.Sprintf("set it to %s if the file should name the image that runs", image)})
		return nil, nil
	default:
		rep.Changed()
		var w *manifest.Written
		if w, err = plan.Write(); err == nil {
			rep.Notef("%s:%d %s → %s", s.Short(plan.File), plan.Line, plan.Old, plan.New)
			return []*manifest.Written{w}, nil
		}
	}
	reportAll(rep, asWarnings(pipeline.AsFindings("cannot restore the manifest", err)))
	return nil, ctx.Err()
}

// leave handles the manifest's file if the cluster was not restored: the file
// should name what is running. If somebody else has set another image meanwhile, that
// image is written, so that the next apply of the file does not overwrite it.
func (s stamper) leave(ctx context.Context, rep *pipeline.Reporter, written []*manifest.Written) {
	if len(written) == 0 {
		return
	}
	last := written[len(written)-1]
	why := "it names " + last.New
	image, err := s.liveImage(ctx)
	if err == nil && image == last.New && s.keeps {
		return
	}
	if err != nil {
		why += "; the running image could not be read: " + err.Error()
	} else if image != "" && image != last.New {
		w, err := s.writeLive(ctx, last, image)
		if err == nil {
			rep.Notef("%s:%d %s → %s, which somebody else has set: the file now names the running image", s.Short(w.File), w.Line, w.Old, w.New)
			return
		}
		why += ", but " + image + " is running, and that could not be written to the file: " + err.Error()
	}
	rep.Skipped("the cluster was not restored")
	rep.Finding(
		&pipeline.Finding{Code: CodeManifestLeft, Severity: pipeline.Warning, Where: fmt.Sprintf("%s:%d", s.Short(last.File), last.Line),
			What: "the manifest keeps this run's image, because the cluster was not restored", Why: why,
			Fix: "compare it with what is running (`kubectl sbw status`) before the next apply"},
	)
}

// writeLive replaces the image that this run wrote into the file by the running one.
func (s stamper) writeLive(ctx context.Context, last *manifest.Written, image string) (*manifest.Written, error) {
	plan, err := s.planFor(ctx, image)
	if err != nil {
		return nil, err
	}
	if plan.Old != last.New {
		return nil, fmt.Errorf("the file was edited and names %s", plan.Old)
	}
	return plan.Write()
}

// before returns the edits of killed runs that are still in the file, oldest
// first. Each one replaced the text that the one before it had written.
func (s stamper) before(plan *manifest.Plan) ([]*manifest.Written, error) {
	l, err := s.killed.left()
	if l == nil || err != nil {
		return nil, nil // the check reports it
	}
	file, err := filepath.Abs(plan.File)
	if err != nil {
		return nil, err
	}
	var chain []*manifest.Written
	now := plan.Old
	for _, w := range slices.Backward(l.written) {
		if w.File == file && w.New == now && w.Old != now {
			chain = append(chain, w)
			now = w.Old
		}
	}
	slices.Reverse(chain)
	return chain, nil
}

// restoreFile undoes one edit if the file still contains it. Otherwise it reports that
// and leaves the file as it is.
func (t *Target) restoreFile(rep *pipeline.Reporter, w *manifest.Written) {
	restored, err := w.Restore()
	for _, f := range pipeline.AsFindings("cannot restore the manifest", err) {
		rep.Finding(f.WithSeverity(pipeline.Warning))
	}
	if restored {
		rep.Notef("%s:%d %s", t.Short(w.File), w.Line, w.Old)
	}
}

// liveImage returns the image that the workload has now, or "" if there is none.
func (t *Target) liveImage(ctx context.Context) (string, error) {
	kube, err := t.Conn.Kube()
	if err != nil {
		return "", err
	}
	live, err := workload.Get(ctx, kube, t.Ref)
	if isMissing(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return imageIn(live.Template(), t.container()), nil
}
