package rollout

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
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

// A run that is killed cannot put anything back. Its journal says what was
// there before, and the next run answers for both: it goes on from where the
// cluster stands, and when it fails, or is an undo, it restores what was before
// the killed one: the manifest's bytes and the cluster's objects.

// Facts of a rollout's journal.
const (
	factImage = "image" // images
	factStamp = "stamp" // manifest.Written, before the file is written
	factApply = "apply" // apply.Kept, before the object is changed
	factUndo  = "undo"  // name of the revision that is gone back to
	factSet   = "set"   // corev1.PodTemplateSpec, once the cluster has it
)

// images are what ran and what is to run.
type images struct {
	Before string `json:"before"`
	After  string `json:"after"`
}

// left is a pipeline.Leftover in a rollout's terms.
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

// journalPath: one for each workload of each cluster; empty where there is no
// place for it.
func (t *Target) journalPath() string {
	return receipt.JournalPath(t.Worker.Name, t.Worker.Name, t.Conn.Server, t.Ref.Namespace, t.Ref.String())
}

// keepJournal makes the journal of a run that changes something.
func (r *Run) keepJournal() {
	if path := r.journalPath(); path != "" {
		r.journal = pipeline.NewJournal(path, map[string]string{"tag": r.subject()})
	}
	r.Pipeline.Journal = r.journal
}

// left is what killed runs left on this machine; nil when there is nothing.
func (r *Run) left() (*left, error) {
	if l := r.journal.Leftover(); l != nil {
		return decodeLeft(l)
	}
	return r.Target.left() // a run that changes nothing has no journal of its own
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

// ended are the runs of this machine that do not live any more: their locks
// need not be waited for.
func (r *Run) ended() []string {
	l, err := r.left()
	if l == nil || err != nil {
		return nil // said by the check; the lock then has to expire
	}
	return l.IDs()
}

// checkEarlier says what a killed run left, before it is gone on from there.
// fix is what this run does about it.
func (r *Run) checkEarlier(ctx context.Context, fix string) ([]*pipeline.Finding, error) {
	live, err := r.facts.live.Get(ctx)
	if err != nil {
		live = nil // another check says so
	}
	f := r.earlier(live, r.left)
	if f == nil {
		return nil, nil
	}
	if f.Code == pipeline.CodeRunKilled {
		f = f.With(func(f *pipeline.Finding) { f.Fix = fix })
	}
	return []*pipeline.Finding{f}, nil
}

// earlier words what killed runs left of the workload, and how it stands now. A
// journal that cannot be read is worth a warning, not a refusal.
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

// goesOn reports whether the rollout that is under way is one that this run goes
// on with: that of a killed run, or of the very image that is wanted.
func (r *Run) goesOn(ctx context.Context, live *workload.Workload) bool {
	if s, err := r.facts.held.Get(ctx); err == nil && s.Mark != nil {
		return true // the check of the hand-over says what becomes of it
	}
	c, err := live.Container(r.container())
	if err != nil {
		return false
	}
	if image, err := r.facts.appliedImage(ctx); err == nil && c.Image == image {
		return true
	}
	l, err := r.left()
	return l != nil && err == nil && slices.ContainsFunc(l.images, func(i images) bool { return i.After == c.Image })
}

// keepImages writes down what ran and what is to run.
func (r *Run) keepImages(ctx context.Context) error {
	image, err := r.facts.appliedImage(ctx)
	if err != nil {
		return err
	}
	return r.journal.Keep(factImage, images{Before: r.facts.previous(), After: image})
}

// stampedBefore are the edits of killed runs that the file still has, the
// oldest first: each leads from what the one before it wrote.
func (r *Run) stampedBefore(plan *manifest.Plan) ([]*manifest.Written, error) {
	l, err := r.left()
	if l == nil || err != nil {
		return nil, nil // said by the check
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

// resumed is what killed runs did to the cluster, to be put back with what this
// run does; nothing where another has gone on meanwhile.
func (r *Run) resumed(ctx context.Context, rep *pipeline.Reporter) ([]apply.Result, error) {
	l, err := r.left()
	if l == nil || err != nil || len(l.kept) == 0 {
		return nil, nil // said by the check
	}
	results, err := apply.Resume(ctx, r.Conn, l.kept)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(results, func(one apply.Result) bool {
		return one.After.GetKind() == r.Ref.Kind && one.Name == r.Ref.Name && one.Namespace == r.Ref.Namespace
	})
	if i < 0 {
		return results, nil
	}
	live, err := apply.Typed(results[i].After)
	if err != nil {
		return nil, err
	}
	if !l.knows(live, r.container()) {
		rep.Notef("somebody else has changed %s since the killed run: this run does not put its changes back", r.Ref)
		return nil, nil
	}
	return results, nil
}

// knows reports whether the live pod template is one that a killed run set, or
// found. A run that was killed between a change and its note of it is known by
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

// noted reports whether the last run noted what it had set.
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

// undoKilled goes back to what was before killed runs; done is false when there
// are none that changed something.
func (r *Run) undoKilled(ctx context.Context, rep *pipeline.Reporter) (target *workload.Workload, done bool, err error) {
	l, err := r.left()
	if l == nil || err != nil || len(l.kept)+len(l.written) == 0 {
		return nil, false, err
	}
	results, err := r.resumed(ctx, rep)
	if err != nil {
		return nil, false, err
	}
	if len(results) == 0 && len(l.kept) > 0 {
		return nil, false, nil // somebody else has gone on meanwhile
	}
	// What it created may be all that there is: the target is watched after this.
	results = slices.DeleteFunc(results, func(one apply.Result) bool {
		if one.Before == nil {
			rep.Notef("%s, which the killed run created, stays", one)
		}
		return one.Before == nil
	})
	rep.Changed()
	for _, w := range slices.Backward(l.written) {
		r.restoreFile(rep, w)
	}
	if target, err = r.facts.live.Get(ctx); err != nil {
		return nil, false, err
	}
	back, err := apply.Restore(ctx, r.Conn, results, r.applyOptions(rep, false))
	if err != nil {
		return nil, false, err
	}
	if len(back) > 0 {
		if _, set, err := apply.Find(back, r.Ref); err == nil {
			target = set
		}
	}
	c, err := target.Container(r.container())
	if err != nil {
		return nil, false, err
	}
	rep.Notef("restored the state before the killed run: %s", c.Image)
	return target, true, nil
}

// restoreFile puts one edit back where it still stands; one that does not is
// reported and left.
func (r *Run) restoreFile(rep *pipeline.Reporter, w *manifest.Written) {
	restored, err := w.Restore()
	for _, f := range pipeline.AsFindings("cannot restore the manifest", err) {
		rep.Finding(f.WithSeverity(pipeline.Warning))
	}
	if restored {
		rep.Notef("%s:%d %s", r.Short(w.File), w.Line, w.Old)
	}
}

// undone is the revision that a killed undo was on its way to; nil when there
// was none, or it is not kept any more.
func (r *Run) undone(all []revision.Revision) *revision.Revision {
	l, err := r.left()
	if l == nil || err != nil || l.undo == "" {
		return nil // said by the check
	}
	for i := range all {
		if all[i].Name == l.undo {
			return &all[i]
		}
	}
	return nil
}
