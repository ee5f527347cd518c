package rollout

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/revision"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/manifest"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/receipt"
)

// A run that is killed cannot restore anything. Its journal records what was there
// before, and the next run becomes responsible for both: it continues from the present
// state of the cluster. If it fails, or is an undo, it restores the state before the
// killed run: the manifest's bytes and the cluster's objects.

// The facts that a rollout keeps in its journal.
const (
	factImage = "image" // images
	factStamp = "stamp" // manifest.Written, before the file is written
	factApply = "apply" // apply.Kept, before the object is changed
	factUndo  = "undo"  // name of the revision that an undo goes back to
	factSet   = "set"   // corev1.PodTemplateSpec, once the cluster has it
)

// images are the image that was running before a run and the one that it rolls out.
type images struct {
	Before string `json:"before"`
	After  string `json:"after"`
}

// left is a pipeline.Leftover, decoded into the types of a rollout.
type left struct {
	*pipeline.Leftover
	images  []images
	written []*manifest.Written
	kept    []apply.Kept
	set     []*corev1.PodTemplateSpec
	undo    string
}

func decodeLeft(l *pipeline.Leftover) (*left, error) {
	out := &left{Leftover: l}
	var err error
	if out.images, err = factsOf[images](l, factImage); err != nil {
		return nil, err
	}
	if out.written, err = factsOf[*manifest.Written](l, factStamp); err != nil {
		return nil, err
	}
	if out.kept, err = factsOf[apply.Kept](l, factApply); err != nil {
		return nil, err
	}
	if out.set, err = factsOf[*corev1.PodTemplateSpec](l, factSet); err != nil {
		return nil, err
	}
	names, err := factsOf[string](l, factUndo)
	if len(names) > 0 {
		out.undo = names[len(names)-1]
	}
	return out, err
}

func factsOf[T any](l *pipeline.Leftover, name string) ([]T, error) {
	var all []T
	for _, raw := range l.Facts(name) {
		var v T
		if err := json.Unmarshal(raw, &v); err != nil {
			return nil, fmt.Errorf("cannot read %q in the journal: %w", name, err)
		}
		all = append(all, v)
	}
	return all, nil
}

// journalPath returns the journal's file, one per workload and cluster. It is empty if
// there is no directory for it.
func (t *Target) journalPath() string {
	return receipt.JournalPath(t.Getenv, t.Worker.Name, t.Worker.Name, t.Conn.Server, t.Ref.Namespace, t.Ref.String())
}

// killedRuns are the runs of this machine that were killed before this one, as the journal
// records them.
type killedRuns struct {
	*facts
	journal *pipeline.Journal // nil for a run that changes nothing
}

// killed returns the runs that were killed before this one.
func (r *Run) killed() killedRuns { return killedRuns{r.facts, r.journal} }

// keepJournal creates the journal of a run that makes changes.
func (r *Run) keepJournal() {
	if path := r.journalPath(); path != "" {
		r.journal = pipeline.NewJournal(path, map[string]string{"tag": r.subject()})
	}
	r.Pipeline.Journal = r.journal
}

// left returns what killed runs left behind on this machine, or nil if there is nothing.
func (k killedRuns) left() (*left, error) {
	if l := k.journal.Leftover(); l != nil {
		return decodeLeft(l)
	}
	return k.Target.left() // a run that changes nothing has no journal of its own
}

func (t *Target) left() (*left, error) {
	path := t.journalPath()
	if path == "" {
		return nil, nil
	}
	l, err := pipeline.ReadLeftover(path)
	if l == nil || err != nil {
		return nil, err
	}
	return decodeLeft(l)
}

// ended returns the runs of this machine that are no longer alive. Nobody needs to
// wait for their locks.
func (k killedRuns) ended() []string {
	l, err := k.left()
	if l == nil || err != nil {
		return nil // the check reports it; the lock then has to expire
	}
	return l.IDs()
}

// check reports what a killed run left behind, before this run continues from
// there. fix says how this run deals with it.
func (k killedRuns) check(ctx context.Context, fix string) ([]*pipeline.Finding, error) {
	live, err := k.live.Get(ctx)
	if err != nil {
		live = nil // another check reports the error
	}
	f := k.earlier(live, k.left)
	if f == nil {
		return nil, nil
	}
	if f.Is(pipeline.CodeRunKilled) {
		f = f.With(func(f *pipeline.Finding) { f.Fix = fix })
	}
	return []*pipeline.Finding{f}, nil
}

// earlier describes what killed runs left of the workload and its present state. A
// journal that cannot be read is a warning and does not stop the run.
func (t *Target) earlier(live *workload.Workload, read func() (*left, error)) *pipeline.Finding {
	l, err := read()
	if err != nil {
		return &pipeline.Finding{Code: CodeJournalUnreadable, Severity: pipeline.Warning, Where: t.journalPath(), Err: err,
			What: "the journal of an earlier run cannot be read", Why: err.Error(), Fix: "delete the file, which does not affect what is running"}
	}
	if l == nil {
		return nil
	}
	var so []string
	if len(l.written) > 0 {
		so = append(so, "it had stamped the manifest, or was about to")
	}
	if len(l.images) > 0 && live != nil {
		last := l.images[len(l.images)-1]
		switch c, err := live.Container(t.container()); {
		case err != nil:
		case c.Image == last.After:
			so = append(so, "what it applied is in the cluster")
		case c.Image == l.images[0].Before:
			so = append(so, "the cluster is as it was before")
		default:
			so = append(so, "somebody else has changed the image since")
		}
		so = append(so, "before it: "+l.images[0].Before)
	}
	if len(so) == 0 {
		so = append(so, "it had changed only the lock")
	}
	return l.Killed().With(func(f *pipeline.Finding) { f.Why = strings.Join(so, "; ") })
}

// goesOn reports whether this run continues the rollout in progress: it belongs to a
// killed run, or rolls out the very image that is wanted.
func (k killedRuns) goesOn(ctx context.Context, live *workload.Workload) bool {
	if s, err := k.held.Get(ctx); err == nil && s.Mark != nil {
		return true // the check of the switch reports how this run deals with it
	}
	c, err := live.Container(k.container())
	if err != nil {
		return false
	}
	if image, err := k.appliedImage(ctx); err == nil && c.Image == image {
		return true
	}
	l, err := k.left()
	return l != nil && err == nil && slices.ContainsFunc(l.images, func(i images) bool { return i.After == c.Image })
}

// keepImages records in the journal which image was running and which one is rolled out.
func (k killedRuns) keepImages(ctx context.Context) error {
	image, err := k.appliedImage(ctx)
	if err != nil {
		return err
	}
	return k.journal.Keep(factImage, images{Before: k.previous(), After: image})
}

// resumed returns what killed runs did to the cluster, so that it is restored together
// with this run's own changes. It returns nothing if somebody else has changed the
// workload since.
func (k killedRuns) resumed(ctx context.Context, rep *pipeline.Reporter) ([]apply.Result, error) {
	l, err := k.left()
	if l == nil || err != nil || len(l.kept) == 0 {
		return nil, nil // the check reports it
	}
	results, err := apply.Resume(ctx, k.Conn, l.kept)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(results, func(one apply.Result) bool {
		return one.After.GetKind() == k.Ref.Kind && one.Name == k.Ref.Name && one.Namespace == k.Ref.Namespace
	})
	if i < 0 {
		return results, nil
	}
	live, err := apply.Typed(results[i].After)
	if err != nil {
		return nil, err
	}
	if !l.knows(live, k.container()) {
		rep.Notef("somebody else has changed %s since the killed run: this run does not undo the killed run's changes", k.Ref)
		return nil, nil
	}
	return results, nil
}

// knows reports whether the live pod template is one that a killed run set or found. A
// run that was killed between a change and recording it in the journal is recognized by
// its image.
func (l *left) knows(live *workload.Workload, container string) bool {
	now := live.Template()
	for _, k := range l.kept {
		before, err := apply.Typed(&unstructured.Unstructured{Object: k.Before})
		if err == nil && k.UID == live.Object().GetUID() && verdict.SameTemplate(before.Template(), now) {
			return true
		}
	}
	if slices.ContainsFunc(l.set, func(set *corev1.PodTemplateSpec) bool { return verdict.SameTemplate(set, now) }) {
		return true
	}
	image := imageIn(now, container)
	return !l.noted() && slices.ContainsFunc(l.images, func(is images) bool { return is.After == image })
}

// noted reports whether the last run recorded in the journal what it had set.
func (l *left) noted() bool {
	noted := false
	for _, e := range l.Entries {
		switch {
		case e.Run != "", e.Fact == factApply:
			noted = false
		case e.Fact == factSet:
			noted = true
		}
	}
	return noted
}

// undo restores the state before killed runs. done is false if none of them
// changed anything.
func (k killedRuns) undo(ctx context.Context, rep *pipeline.Reporter, o apply.Options) (target *workload.Workload, done bool, err error) {
	l, err := k.left()
	if l == nil || err != nil || len(l.kept)+len(l.written) == 0 {
		return nil, false, err
	}
	results, err := k.resumed(ctx, rep)
	if err != nil {
		return nil, false, err
	}
	if len(results) == 0 && len(l.kept) > 0 {
		return nil, false, nil // somebody else has changed the workload since
	}
	// The killed run may have created the workload. It is kept, because the next
	// stages watch it.
	results = slices.DeleteFunc(results, func(one apply.Result) bool {
		if one.Before == nil {
			rep.Notef("%s, which the killed run created, stays", one)
		}
		return one.Before == nil
	})
	rep.Changed()
	for _, w := range slices.Backward(l.written) {
		k.restoreFile(rep, w)
	}
	if target, err = k.live.Get(ctx); err != nil {
		return nil, false, err
	}
	back, err := apply.Restore(ctx, k.Conn, results, o)
	if err != nil {
		return nil, false, err
	}
	if len(back) > 0 {
		if _, set, err := apply.Find(back, k.Ref); err == nil {
			target = set
		}
	}
	c, err := target.Container(k.container())
	if err != nil {
		return nil, false, err
	}
	rep.Notef("restored the state before the killed run: %s", c.Image)
	return target, true, nil
}

// undone returns the revision that a killed undo was going back to. It is nil if there
// was none, or if the cluster no longer has it.
func (k killedRuns) undone(all []revision.Revision) *revision.Revision {
	l, err := k.left()
	if l == nil || err != nil || l.undo == "" {
		return nil // the check reports it
	}
	for i := range all {
		if all[i].Name == l.undo {
			return &all[i]
		}
	}
	return nil
}

// ran reports whether an image was running when the undo began, or when one of the
// killed runs that it continues began.
func (k killedRuns) ran(image string) bool {
	if image == k.previous() {
		return true
	}
	l, err := k.left()
	return l != nil && err == nil && slices.ContainsFunc(l.images, func(i images) bool { return i.Before == image || i.After == image })
}
