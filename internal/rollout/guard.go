package rollout

import (
	"context"
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/lock"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/manifest"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// The guard stands in front of every write after the first one. What may be
// written over is what this run wrote, while the lock is this run's: ours. What
// may be done to the outside (a registration, an event) needs less: the lock,
// and that the pods that are being proven have the image of this run: serves.
// Once the workload is somebody else's, it stays so for the rest of the run.

// ours returns nil when the live workload is exactly what this run set last.
// Otherwise nothing may be put back: the error is a Finding with lock.ErrLost,
// workload.ErrSuperseded or workload.ErrReplaced in it, which names the other.
func (r *Run) ours(ctx context.Context, set *workload.Workload) error {
	return r.guard(ctx, set, sameTemplateAs(set))
}

func sameTemplateAs(set *workload.Workload) func(live *workload.Workload) bool {
	return func(live *workload.Workload) bool { return verdict.SameTemplate(live.Template(), set.Template()) }
}

// judgedWith makes sure that the workload is still the one that the preflight judged.
func (r *Run) judgedWith(same func(*workload.Workload) func(*workload.Workload) bool) func(*workload.Workload) error {
	judged, ok := r.facts.live.Peek()
	if !ok || r.found.adopted.Stage != "" {
		return nil
	}
	return func(live *workload.Workload) error {
		if same(judged)(live) {
			return nil
		}
		return notAnyMore(apply.Superseded(judged, live))
	}
}

// notAnyMore is for a change by somebody else before this run's first one.
func notAnyMore(err error) error {
	f, ok := errors.AsType[*pipeline.Finding](err)
	if !ok || !errors.Is(err, workload.ErrSuperseded) {
		return err
	}
	return f.With(func(f *pipeline.Finding) {
		f.What = strings.Replace(f.What, "during this run", "since this run's preflight", 1)
		f.Fix = "start this run again: its preflight then considers what they have changed"
	})
}

// own returns what makes a live workload count as the one that this run set, for
// the stages that prove it. That is its image, whatever else of its template somebody
// has changed meanwhile: a restart, a variable that a controller adds. Once the
// Services were switched it is the whole template, since they lead to the pods of one
// template: the controller ends those as soon as there is a newer one.
func (r *Run) own(set *workload.Workload) func(live *workload.Workload) bool {
	s := &r.found
	if followed := s.watched.Snapshot.Workload; !s.handed.IsZero() && s.final == nil && followed != nil {
		return sameTemplateAs(followed)
	}
	return r.sameImageAs(set)
}

func (r *Run) sameImageAs(set *workload.Workload) func(live *workload.Workload) bool {
	return func(live *workload.Workload) bool {
		return imageIn(live.Template(), r.container()) == imageIn(set.Template(), r.container())
	}
}

func (r *Run) guard(ctx context.Context, set *workload.Workload, accept func(live *workload.Workload) bool) error {
	if r.found.supersededBy != nil {
		return r.found.supersededBy
	}
	err := r.held.Verify(ctx)
	switch {
	case set == nil:
	case err == nil:
		err = r.compare(ctx, set, accept)
	default:
		err = r.andWhoChanged(ctx, set, err)
	}
	// An interrupt that cut the question off says nothing about whose it is, so
	// whatever restores what was changed asks again.
	if isForeign(err) && ctx.Err() == nil {
		r.found.supersededBy = err
	}
	return err
}

// takenOver keeps an error that says that the workload is somebody else's now. One who
// changed it while they had the lock is reported as that, whichever was noticed first:
// the change, or the loss of the lock.
func (r *Run) takenOver(ctx context.Context, err error) error {
	if !isForeign(err) {
		return err
	}
	if !errors.Is(err, lock.ErrLost) {
		ctx := context.WithoutCancel(ctx)
		if lost := r.held.Verify(ctx); errors.Is(lost, lock.ErrLost) {
			err = r.andWhoChanged(ctx, r.found.target, lost)
		}
	}
	r.found.supersededBy = err
	return err
}

// compare reads the live workload and holds it against what this run set.
func (r *Run) compare(ctx context.Context, set *workload.Workload, accept func(live *workload.Workload) bool) error {
	kube, err := r.Conn.Kube()
	if err != nil {
		return err
	}
	live, err := workload.Get(ctx, kube, r.Ref)
	switch {
	case isMissing(err):
		return apply.Replaced(r.Ref.String(), r.Ref.Namespace, nil, err)
	case err != nil:
		return err
	case live.Object().GetUID() != set.Object().GetUID():
		return apply.Replaced(r.Ref.String(), r.Ref.Namespace, live.Object(), nil)
	}
	if !accept(live) {
		return apply.Superseded(set, live)
	}
	return nil
}

// andWhoChanged adds to a lost lock who has changed the workload, if somebody has:
// a Lease that is gone does not name anybody.
func (r *Run) andWhoChanged(ctx context.Context, set *workload.Workload, lost error) error {
	f, ok := errors.AsType[*pipeline.Finding](lost)
	if !ok || !errors.Is(lost, lock.ErrLost) {
		return lost
	}
	other := r.compare(ctx, set, sameTemplateAs(set))
	by, ok := errors.AsType[*pipeline.Finding](other)
	if !ok || !isForeign(other) {
		return lost
	}
	return f.With(func(f *pipeline.Finding) { f.Why += "; " + by.What + ": " + by.Why })
}

// isForeign reports that the workload is somebody else's now, or that nobody
// can say whose it is.
func isForeign(err error) bool {
	return errors.Is(err, lock.ErrLost) || errors.Is(err, workload.ErrSuperseded) || errors.Is(err, workload.ErrReplaced)
}

// guarded makes the work of a stage that comes after the apply: it begins and
// goes on only while what this run set serves. A stage that fails because
// somebody else has taken the workload over reports that and not its own failure,
// which is a consequence.
func (r *Run) guarded(run func(context.Context, *pipeline.Reporter) error) func(context.Context, *pipeline.Reporter) error {
	return func(ctx context.Context, rep *pipeline.Reporter) error {
		set := r.found.target
		own := r.own(set)
		if err := r.guard(ctx, set, own); err != nil {
			return err
		}
		working, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		go r.watchForeign(working, set, own, cancel)
		err := run(working, rep)
		if err == nil {
			return nil
		}
		if foreign := r.guard(context.WithoutCancel(ctx), set, own); isForeign(foreign) {
			return foreign
		}
		if r.Pipeline.KeepChanges { // nothing is compared later
			r.nameOther(context.WithoutCancel(ctx), rep, set)
		}
		return err
	}
}

// nameOther reports who has changed the pod template, though not the image, of a
// workload that has failed: that may be why.
func (r *Run) nameOther(ctx context.Context, rep *pipeline.Reporter, set *workload.Workload) {
	if set == nil {
		return
	}
	err := r.compare(ctx, set, sameTemplateAs(set))
	if f, ok := errors.AsType[*pipeline.Finding](err); ok && errors.Is(err, workload.ErrSuperseded) {
		rep.Finding(f.WithSeverity(pipeline.Warning))
	}
}

// watchForeign ends a stage as soon as the workload is not this run's own any more.
// It is a convenience: where it may not watch, the guard finds out afterwards.
func (r *Run) watchForeign(ctx context.Context, set *workload.Workload, own func(*workload.Workload) bool, cancel context.CancelCauseFunc) {
	if set == nil {
		return
	}
	dyn, err := r.Conn.Dynamic()
	if err != nil {
		return
	}
	events, err := dyn.Resource(r.Ref.Resource()).Namespace(r.Ref.Namespace).Watch(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("metadata.name", r.Ref.Name).String(),
	})
	if err != nil {
		return
	}
	defer events.Stop()
	for e := range events.ResultChan() {
		u, ok := e.Object.(*unstructured.Unstructured)
		if !ok || u.GetKind() != r.Ref.Kind {
			return // a Status: the watch has ended
		}
		if live, err := apply.Typed(u); err == nil && !own(live) {
			cancel(apply.Superseded(set, live))
			return
		}
	}
}

// leaveFile deals with the manifest's file when the cluster was not put back: it
// is to name what runs. When somebody else has set another image meanwhile, that
// one is written, so that the next apply of the file does not overwrite it.
func (r *Run) leaveFile(ctx context.Context, rep *pipeline.Reporter, written []*manifest.Written) {
	if len(written) == 0 {
		return
	}
	last := written[len(written)-1]
	why := "it names " + last.New
	image, err := r.liveImage(ctx)
	if err == nil && image == last.New && r.command == "undo" {
		return // as an undo leaves it anyway
	}
	if err != nil {
		why += "; what runs could not be read: " + err.Error()
	} else if image != "" && image != last.New {
		w, err := r.writeLive(ctx, last, image)
		if err == nil {
			rep.Notef("%s:%d %s → %s: what somebody else has set, so that the file names what runs", r.Short(w.File), w.Line, w.Old, w.New)
			return
		}
		why += ", and " + image + " runs; it could not be written there: " + err.Error()
	}
	rep.Skipped("the cluster was not restored")
	rep.Finding(
		&pipeline.Finding{Code: CodeManifestLeft, Severity: pipeline.Warning, Where: fmt.Sprintf("%s:%d", r.Short(last.File), last.Line),
			What: "the manifest keeps this run's image, because the cluster was not restored", Why: why,
			Fix: "compare it with what runs (`kubectl sbw status`) before the next apply"},
	)
}

// liveImage is the image that the workload has now; "" when there is none.
func (r *Run) liveImage(ctx context.Context) (string, error) {
	kube, err := r.Conn.Kube()
	if err != nil {
		return "", err
	}
	live, err := workload.Get(ctx, kube, r.Ref)
	if isMissing(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return imageIn(live.Template(), r.container()), nil
}

// writeLive writes the image that runs where this run has written its own.
func (r *Run) writeLive(ctx context.Context, last *manifest.Written, image string) (*manifest.Written, error) {
	plan, err := r.facts.planFor(ctx, image)
	if err != nil {
		return nil, err
	}
	if plan.Old != last.New {
		return nil, fmt.Errorf("the file was edited and names %s", plan.Old)
	}
	return plan.Write()
}
