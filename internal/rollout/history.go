package rollout

import (
	"context"
	"slices"
	"time"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/revision"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/receipt"
)

// Past is a line of the history: a run together with its revision, if the cluster
// still has it, or a revision that was not made by a run.
type Past struct {
	Command   string    `json:"command,omitempty"` // rollout or undo; empty if kubectl sbw did not make the change
	Started   time.Time `json:"started,omitzero"`
	Seconds   float64   `json:"seconds,omitempty"`
	Image     string    `json:"image"`
	Tag       string    `json:"tag,omitempty"`
	Digest    string    `json:"digest,omitempty"`
	Commit    string    `json:"commit,omitempty"`
	Dirty     bool      `json:"dirty,omitempty"`
	By        string    `json:"by,omitempty"`
	End       string    `json:"end,omitempty"` // done, restored, left, unchanged
	Functions int       `json:"functions,omitempty"`
	Revision  int64     `json:"revision,omitempty"`
	Current   bool      `json:"current"` // whether it is running now
	Pods      int32     `json:"pods"`
	Cause     string    `json:"cause,omitempty"` // kubernetes.io/change-cause
}

// Revisions returns the revisions that the cluster still has, newest first, and marks
// those that are known to have failed.
func (t *Target) Revisions(ctx context.Context) ([]revision.Revision, error) {
	kube, err := t.Conn.Kube()
	if err != nil {
		return nil, err
	}
	w, err := workload.Get(ctx, kube, t.Ref)
	if err != nil {
		return nil, err
	}
	all, err := revision.List(ctx, kube, w)
	// If the history cannot be read, nothing is marked.
	runs, _ := receipt.History(w.Object().GetAnnotations())
	markFailed(all, runs, t.container())
	return all, err
}

// markFailed marks the revisions that a run failed to roll out, because nobody wants
// to go back to them. Revisions are compared by name, since another revision may have
// the same image and run well. History entries of earlier versions of sbw have no
// revision name, so for them the image is compared. A revision that has once been
// rolled out successfully is not marked, since a later failure may have had another
// cause.
func markFailed(all []revision.Revision, runs []receipt.Entry, container string) {
	well, failed := map[string]bool{}, map[string]bool{}
	for _, e := range runs {
		switch e.End {
		case pipeline.Done.String():
			well[e.Image], well[e.Revision] = true, true
		case pipeline.Restored.String(), pipeline.Left.String():
			if e.Made != "" {
				failed[e.Made] = true
			} else {
				failed[e.Image] = true
			}
		}
	}
	for i, r := range all {
		img := receipt.ParseImage(imageIn(r.Template, container)).String()
		all[i].Failed = failed[r.Name] && !well[r.Name] || failed[img] && !well[img]
	}
}

// History reads runs and revisions, newest first. If only the workload may be read,
// it returns the runs, and the error is a warning.
func (t *Target) History(ctx context.Context) ([]Past, error) {
	kube, err := t.Conn.Kube()
	if err != nil {
		return nil, err
	}
	w, err := workload.Get(ctx, kube, t.Ref)
	if err != nil {
		return nil, err
	}
	runs, unread := receipt.History(w.Object().GetAnnotations())
	revisions, err := revision.List(ctx, kube, w)
	if f := notAllowed(err); f != nil {
		unread = f
	} else if err != nil {
		return nil, err
	}
	return pasts(runs, revisions, t.container()), unread
}

// notAllowed returns err as a warning if permissions are missing, else nil.
func notAllowed(err error) *pipeline.Finding {
	if !isForbidden(err) {
		return nil
	}
	return pipeline.AsFindings("", err)[0].WithSeverity(pipeline.Warning)
}

// pasts merges runs and revisions, newest first, into one line per attempt. A revision
// belongs to the last run that rolled it out successfully, or else to the last one
// that tried.
func pasts(runs []receipt.Entry, revisions []revision.Revision, container string) []Past {
	all := []Past{}
	taken, well := map[string]bool{}, map[string]bool{}
	for _, e := range runs {
		well[e.Revision] = well[e.Revision] || e.End == pipeline.Done.String()
	}
	for _, e := range runs {
		img := receipt.ParseImage(e.Image)
		p := Past{Command: e.Command, Started: e.At, Seconds: e.Seconds, Image: e.Image, Tag: img.Tag, Digest: img.Digest,
			Commit: e.Commit, Dirty: e.Dirty, By: e.By, End: endWord(e.End), Functions: e.Functions}
		made := e.Made
		if made == "" && e.End == pipeline.Done.String() {
			made = e.Revision
		}
		i := slices.IndexFunc(revisions, func(r revision.Revision) bool { return r.Name == made })
		if i >= 0 && !taken[made] && (e.End == pipeline.Done.String() || !well[made]) {
			taken[made] = true
			p.of(revisions[i])
		}
		all = append(all, p)
	}
	for _, r := range revisions {
		if taken[r.Name] {
			continue
		}
		img := receipt.ParseImage(imageIn(r.Template, container))
		p := Past{Started: r.Created.UTC(), Image: img.String(), Tag: img.Tag, Digest: img.Digest}
		p.of(r)
		all = append(all, p)
	}
	slices.SortStableFunc(all, func(a, b Past) int { return b.Started.Compare(a.Started) })
	return all
}

func (p *Past) of(r revision.Revision) {
	p.Revision, p.Current, p.Pods, p.Cause = r.Number, r.Current, r.Pods, r.Annotations[apply.ChangeCause]
}

// endWord returns the one word that says how a run ended, for an outcome as it is
// stored in a receipt.
func endWord(text string) string {
	for _, e := range []pipeline.End{pipeline.Done, pipeline.Unchanged, pipeline.RefusedByPreflight, pipeline.Restored, pipeline.Left} {
		if e.String() == text {
			return e.Word()
		}
	}
	return text
}
