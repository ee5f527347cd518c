package rollout

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/preflight"
	"github.com/joelhooks/gh-sbw/internal/cluster/watch"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// write applies the manifest, or only the image, and skips the objects for which
// leaveOut returns true.
func (f *facts) write(ctx context.Context, o apply.Options, leaveOut func(apply.Object) bool) ([]apply.Result, error) {
	img, err := f.resolved.Get(ctx)
	if err != nil {
		return nil, err
	}
	if f.manifest.ImageOnly {
		if o.TemplateAnnotations, err = f.restartMark(ctx); err != nil {
			return nil, err
		}
		one, err := apply.Image(ctx, f.Conn, f.Ref, f.container(), img.String(), o)
		if one == nil {
			return nil, err
		}
		return []apply.Result{*one}, err
	}
	all, err := f.objects.Get(ctx)
	if err != nil {
		return nil, err
	}
	return apply.Apply(ctx, f.Conn, slices.DeleteFunc(slices.Clone(all), leaveOut), o)
}

// nothing is a leaveOut function that skips no object.
func nothing(apply.Object) bool { return false }

// apply applies the manifest to the cluster. The results include what killed runs
// had applied, because this run has to restore that as well if it fails.
func (r *Run) apply(
	ctx context.Context,
	rep *pipeline.Reporter,
	o apply.Options,
	leaveOut func(apply.Object) bool,
) ([]apply.Result, *workload.Workload, error) {
	resumed, err := r.killed().resumed(ctx, rep)
	if err != nil {
		return nil, nil, err
	}
	if len(resumed) > 0 {
		rep.Changed() // a killed run made the change, and this run has to restore it
	}
	applied, err := r.facts.write(ctx, o, leaveOut)
	all := apply.Since(resumed, applied)
	if err != nil {
		return all, nil, err
	}
	_, target, err := apply.Find(applied, r.Ref)
	if err != nil {
		return all, nil, err
	}
	if err := r.journal.Keep(factSet, target.Template()); err != nil {
		return all, target, err
	}
	return all, target, r.unstick(ctx, rep, target)
}

// judged returns the UID of the workload that the preflight examined, or "" if
// there was none or it could not be read.
func (r *Run) judged() types.UID {
	if live, ok := r.facts.live.Peek(); ok {
		return live.Object().GetUID()
	}
	return ""
}

// takenBack is what undoing an apply found.
type takenBack struct {
	restored []string        // what was restored
	watched  watch.Result    // the last observed state of the pods
	lost     []judge.LostRun // runs that going back has killed
}

// unapply restores what was applied, waits until the old version serves, and
// registers its functions again.
func (r *Run) unapply(
	ctx context.Context,
	rep *pipeline.Reporter,
	applied []apply.Result,
	set *workload.Workload,
	watched watch.Result,
) (takenBack, error) {
	back := takenBack{watched: watched}
	if len(applied) == 0 {
		return back, nil
	}
	if err := r.guard.ours(ctx, set); err != nil {
		return back, err
	}
	results, err := apply.Restore(ctx, r.Conn, applied, r.applyOptions(rep, false))
	if err != nil {
		return back, err
	}
	if made, _, err := apply.Find(applied, r.Ref); err == nil && made.Before == nil {
		// This rollout created it, so nothing served before.
		back.restored = []string{fmt.Sprintf("%s: missing", r.Ref)}
		return back, nil
	}
	_, target, err := apply.Find(results, r.Ref)
	if err != nil {
		return back, err
	}
	if err := r.unstick(ctx, rep, target); err != nil {
		return back, err
	}
	if back.watched, err = r.follow(ctx, rep, target); err != nil {
		return back, err
	}
	r.prober().restored(ctx, rep, back.watched)
	if !r.Inngest.Off {
		if err := r.guard.ours(ctx, target); err != nil {
			return back, err
		}
		if back.lost, err = r.unrefresh(ctx, rep); err != nil {
			return back, err
		}
	}
	r.rehook(ctx, rep)
	back.restored = []string{fmt.Sprintf("%s: %s", r.Ref, r.facts.previous())}
	return back, nil
}

// unrefresh registers the functions of the old pods again, once these serve, and returns the
// runs that going back has killed: it has replaced pods as well.
func (r *Run) unrefresh(ctx context.Context, rep *pipeline.Reporter) ([]judge.LostRun, error) {
	app, err := r.registrar().restore(ctx, rep)
	if err != nil {
		return nil, err
	}
	return r.work().lost(ctx, rep, app, judge.Window{From: r.found.switched, To: time.Now(), Failed: r.found.failedBefore})
}

// usedBy returns the pods in the workload's namespace that need an object, except those of
// workloads that were applied.
func (t *Target) usedBy(ctx context.Context, applied []apply.Result, kind, name string) (by []string, err error) {
	kube, err := t.Conn.Kube()
	if err != nil {
		return nil, err
	}
	var own []labels.Selector
	for _, one := range applied {
		if w, err := apply.Typed(one.After); err == nil && one.Namespace == t.Ref.Namespace { // not a workload otherwise
			own = append(own, labels.SelectorFromSet(w.Template().Labels))
		}
	}
	pods, err := kube.CoreV1().Pods(t.Ref.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, pod := range pods.Items {
		if slices.ContainsFunc(own, func(s labels.Selector) bool { return s.Matches(labels.Set(pod.Labels)) }) {
			continue
		}
		if slices.ContainsFunc(preflight.Dependencies(&corev1.PodTemplateSpec{Spec: pod.Spec}), func(d preflight.Dependency) bool {
			return d.Kind == kind && d.Name == name
		}) {
			by = append(by, "pod/"+pod.Name)
		}
	}
	return by, nil
}
