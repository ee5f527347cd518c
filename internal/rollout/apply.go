package rollout

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/preflight"
	"github.com/joelhooks/gh-sbw/internal/cluster/watch"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/manifest"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// stamp writes the image into the manifest's file. It returns this run's edit
// after the edits of killed runs, all of which this run has to restore if it fails.
func (r *Run) stamp(ctx context.Context, rep *pipeline.Reporter) ([]*manifest.Written, error) {
	plan, err := r.facts.plan.Get(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.keepImages(ctx); err != nil {
		return nil, err
	}
	if plan == nil {
		rep.Skipped("no manifest file")
		return nil, nil
	}
	written, err := r.stampedBefore(plan)
	if err != nil {
		return nil, err
	}
	if len(written) > 0 {
		rep.Changed() // this run has to restore what a killed run stamped
		rep.Notef("%s was stamped by a killed run; the image before it: %s", r.Short(plan.File), written[0].Old)
	}
	switch {
	case r.Manifest.NoWrite:
		rep.Skipped("--no-write")
		return written, nil
	case !plan.Changed():
		rep.Skipped("%s already has this image", r.Short(plan.File))
		return written, nil
	}
	pending, err := plan.Pending()
	if err != nil {
		return written, err
	}
	if err := r.journal.Keep(factStamp, pending); err != nil {
		return written, err
	}
	rep.Changed()
	w, err := plan.Write()
	if err != nil {
		return written, err
	}
	rep.Notef("%s:%d %s → %s", r.Short(plan.File), plan.Line, plan.Old, plan.New)
	return append(written, w), nil
}

// unstamp restores the manifest's file.
func (r *Run) unstamp(rep *pipeline.Reporter, written []*manifest.Written) error {
	for i := len(written) - 1; i >= 0; i-- {
		w := written[i]
		restored, err := w.Restore()
		if err != nil {
			return err
		}
		if restored {
			rep.Notef("%s:%d %s", r.Short(w.File), w.Line, w.Old)
		}
	}
	return nil
}

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
	resumed, err := r.resumed(ctx, rep)
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

// unapply restores what was applied, waits until the old version serves, and
// registers its functions again. It returns what was restored and the last
// observed state of the pods.
func (r *Run) unapply(
	ctx context.Context,
	rep *pipeline.Reporter,
	applied []apply.Result,
	set *workload.Workload,
	watched watch.Result,
) ([]string, watch.Result, error) {
	if len(applied) == 0 {
		return nil, watched, nil
	}
	if err := r.ours(ctx, set); err != nil {
		return nil, watched, err
	}
	back, err := apply.Restore(ctx, r.Conn, applied, r.applyOptions(rep, false))
	if err != nil {
		return nil, watched, err
	}
	if made, _, err := apply.Find(applied, r.Ref); err == nil && made.Before == nil {
		// This rollout created it, so nothing served before.
		return []string{fmt.Sprintf("%s: missing", r.Ref)}, watched, nil
	}
	_, target, err := apply.Find(back, r.Ref)
	if err != nil {
		return nil, watched, err
	}
	if err := r.unstick(ctx, rep, target); err != nil {
		return nil, watched, err
	}
	if watched, err = r.follow(ctx, rep, target); err != nil {
		return nil, watched, err
	}
	r.probeRestored(ctx, rep, watched)
	if !r.Inngest.Off {
		if err := r.ours(ctx, target); err != nil {
			return nil, watched, err
		}
		if err := r.unrefresh(ctx, rep); err != nil {
			return nil, watched, err
		}
	}
	r.rehook(ctx, rep)
	return []string{fmt.Sprintf("%s: %s", r.Ref, r.facts.previous())}, watched, nil
}

// usedBy returns the pods in the workload's namespace that need an object, except those of
// workloads that this run has applied.
func (r *Run) usedBy(ctx context.Context, kind, name string) (by []string, err error) {
	kube, err := r.Conn.Kube()
	if err != nil {
		return nil, err
	}
	var own []labels.Selector
	for _, one := range r.found.applied {
		if w, err := apply.Typed(one.After); err == nil && one.Namespace == r.Ref.Namespace { // not a workload otherwise
			own = append(own, labels.SelectorFromSet(w.Template().Labels))
		}
	}
	pods, err := kube.CoreV1().Pods(r.Ref.Namespace).List(ctx, metav1.ListOptions{})
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
