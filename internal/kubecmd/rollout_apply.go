package kubecmd

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/manifest"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/probe"
)

// findPlan looks for the place in the manifest that decides the image. Sources
// that are no file (standard input, an URL) have none: their objects are
// changed after loading.
func (r *rollout) findPlan(ctx context.Context) (*manifest.Plan, error) {
	if r.imageOnly || !r.onDisk() {
		return nil, nil
	}
	img, err := r.img.Get(ctx)
	if err != nil {
		return nil, err
	}
	return manifest.Find(ctx, manifest.Options{
		Files: r.filenames, Recursive: r.recursive, Kustomize: r.kustomize, Target: r.manifestTarget(), Ref: r.reference(img),
	})
}

func (r *rollout) manifestTarget() manifest.Target {
	return manifest.Target{Kind: r.ref.Kind, Namespace: r.ref.Namespace, Name: r.ref.Name, Container: r.worker.Deploy.Container}
}

// onDisk tells whether all of the manifest is files that can be stamped.
func (r *rollout) onDisk() bool {
	if r.kustomize != "" {
		return manifest.IsKustomization(r.kustomize)
	}
	return !slices.ContainsFunc(r.filenames, func(name string) bool { return name == "-" || isURL(name) })
}

// load reads the manifest's objects as they are.
func (r *rollout) load(ctx context.Context) ([]apply.Object, error) {
	if r.imageOnly {
		return nil, nil
	}
	return r.source(ctx, nil)
}

// findObjects are what is to be applied: what the files render once they are
// stamped, so that a later kubectl apply changes nothing. Sources that cannot be
// stamped (URLs, standard input) get the image set after loading.
func (r *rollout) findObjects(ctx context.Context) ([]apply.Object, error) {
	plan, err := r.plan.Get(ctx)
	if err != nil {
		return nil, err
	}
	image, err := r.appliedImage(ctx)
	if err != nil {
		return nil, err
	}
	var all []apply.Object
	switch {
	case plan != nil && plan.Strangers != nil:
		return nil, plan.Strangers
	case plan != nil && plan.Rendered != nil:
		all, err = r.loadRendered(ctx, plan)
	case plan != nil && plan.Changed():
		path, text := plan.Stamped()
		all, err = r.source(ctx, map[string][]byte{path: text})
	default:
		all, err = r.loaded.Get(ctx)
		all = slices.Clone(all)
		for i := range all { // others look at them as they were
			all[i].Unstructured = all[i].DeepCopy()
		}
	}
	if err != nil {
		return nil, err
	}
	return all, apply.SetImage(all, r.ref, r.worker.Deploy.Container, image)
}

// appliedImage is the image as it will stand in the cluster: that of the stamped
// files, which has no tag where a kustomization's entry has only a digest.
func (r *rollout) appliedImage(ctx context.Context) (string, error) {
	plan, err := r.plan.Get(ctx)
	if err != nil {
		return "", err
	}
	if plan != nil && plan.Rendered != nil {
		return plan.New, nil
	}
	img, err := r.img.Get(ctx)
	return r.reference(img), err
}

// loadRendered reads the objects of a stamped kustomization.
func (r *rollout) loadRendered(ctx context.Context, plan *manifest.Plan) ([]apply.Object, error) {
	return apply.Load(ctx, r.conn, apply.Source{
		Filenames: []string{plan.Kustomize}, Override: map[string][]byte{plan.Kustomize: plan.Rendered}, RequireNamespace: r.namespaceGiven,
	})
}

// checkManifest loads what would be applied: whatever is wrong with it is wrong
// before anything is changed.
func (r *rollout) checkManifest(ctx context.Context, _ *pipeline.Reporter) ([]*pipeline.Finding, error) {
	if r.imageOnly {
		return nil, nil
	}
	plan, err := r.plan.Get(ctx)
	if err != nil {
		return nil, err
	}
	var found []*pipeline.Finding
	if plan != nil {
		found = r.elsewhere(plan)
	}
	_, err = r.objects.Get(ctx)
	return found, err
}

// elsewhere reports the other places that name the image. What moves along in
// another object is a second rollout, which nothing here watches.
func (r *rollout) elsewhere(plan *manifest.Plan) (found []*pipeline.Finding) {
	where := func(u manifest.Use) string {
		if u.Line == 0 {
			return r.short(u.File)
		}
		return fmt.Sprintf("%s:%d", r.short(u.File), u.Line)
	}
	for _, u := range plan.Together {
		f := &pipeline.Finding{Code: "manifest-together", Severity: pipeline.Note, Where: where(u),
			What: fmt.Sprintf("%s moves along to %s, because the same place of the kustomization decides it", u, u.Image)}
		if u.Workload != plan.Workload {
			f.Severity = pipeline.Warning
			f.Why = "nothing watches or proves it"
			f.Fix = fmt.Sprintf("give container %s a patch with its own image if it should not", r.worker.Deploy.Container)
		}
		found = append(found, f)
	}
	for _, u := range plan.Also {
		found = append(found, &pipeline.Finding{Code: "manifest-also", Severity: pipeline.Note, Where: where(u),
			What: fmt.Sprintf("%s has an image of the same repository and stays at %s", u, u.Image)})
	}
	return found
}

func (r *rollout) stamp(ctx context.Context, rep *pipeline.Reporter) error {
	plan, err := r.plan.Get(ctx)
	if err != nil {
		return err
	}
	if err := r.keepImages(ctx); err != nil {
		return err
	}
	if plan == nil {
		rep.Skipped("no manifest file")
		return nil
	}
	if r.written, err = r.stampedBefore(plan); err != nil {
		return err
	}
	if len(r.written) > 0 {
		rep.Changed() // what a killed run stamped is this run's to put back
		rep.Notef("%s was stamped by a killed run; before it: %s", r.short(plan.File), r.written[0].Old)
	}
	switch {
	case r.noWrite:
		rep.Skipped("--no-write")
		return nil
	case !plan.Changed():
		rep.Skipped("%s has this image already", r.short(plan.File))
		return nil
	}
	pending, err := plan.Pending()
	if err != nil {
		return err
	}
	if err := r.journal.Keep(factStamp, pending); err != nil {
		return err
	}
	rep.Changed()
	w, err := plan.Write()
	if err != nil {
		return err
	}
	r.written = append(r.written, w)
	rep.Notef("%s:%d %s → %s", r.short(plan.File), plan.Line, plan.Old, plan.New)
	return nil
}

func (r *rollout) unstamp(_ context.Context, rep *pipeline.Reporter) error {
	for _, w := range slices.Backward(r.written) {
		restored, err := w.Restore()
		if err != nil {
			return err
		}
		if restored {
			rep.Notef("%s:%d %s", r.short(w.File), w.Line, w.Old)
		}
	}
	return nil
}

func (r *rollout) applyOptions(rep *pipeline.Reporter, dry bool) apply.Options {
	return apply.Options{
		Force: r.forceConflicts, DryRun: dry, Target: r.ref, Reporter: rep,
		Annotations: map[string]string{apply.ChangeCause: "kubectl sbw rollout --tag " + r.tag},
		Keep:        func(k apply.Kept) error { return r.journal.Keep(factApply, k) },
	}
}

// write applies the manifest, or the image alone.
func (r *rollout) write(ctx context.Context, o apply.Options) ([]apply.Result, error) {
	img, err := r.img.Get(ctx)
	if err != nil {
		return nil, err
	}
	if r.imageOnly {
		one, err := apply.Image(ctx, r.conn, r.ref, r.worker.Deploy.Container, r.reference(img), o)
		if one == nil {
			return nil, err
		}
		return []apply.Result{*one}, err
	}
	all, err := r.objects.Get(ctx)
	if err != nil {
		return nil, err
	}
	return apply.Apply(ctx, r.conn, all, o)
}

func (r *rollout) apply(ctx context.Context, rep *pipeline.Reporter) (err error) {
	resumed, err := r.resumed(ctx, rep)
	if err != nil {
		return err
	}
	if len(resumed) > 0 {
		rep.Changed() // by a killed run, and this run's to put back
	}
	r.switched = time.Now()
	applied, err := r.write(ctx, r.applyOptions(rep, false))
	r.applied = apply.Since(resumed, applied)
	if err != nil {
		return err
	}
	if _, r.target, err = apply.Find(applied, r.ref); err != nil {
		return err
	}
	return r.unstick(ctx, rep, r.target)
}

// unapply puts back what was applied and waits until the old version serves.
func (r *rollout) unapply(ctx context.Context, rep *pipeline.Reporter) error {
	if len(r.applied) == 0 {
		return nil
	}
	if r.taken != nil {
		return fmt.Errorf("not put back: %w", r.taken) // what runs is another's now
	}
	back, err := apply.Restore(ctx, r.conn, r.applied, r.applyOptions(rep, false))
	if err != nil {
		return err
	}
	if made, _, err := apply.Find(r.applied, r.ref); err == nil && made.Before == nil {
		return nil // this rollout created it, so nothing served before
	}
	_, target, err := apply.Find(back, r.ref)
	if err != nil {
		return err
	}
	if err := r.unstick(ctx, rep, target); err != nil {
		return err
	}
	if err := r.follow(ctx, rep, target); err != nil {
		return err
	}
	r.askAgain(ctx, rep)
	if r.noInngest {
		return nil
	}
	return r.unrefresh(ctx, rep)
}

// askAgain asks the pods that were put back. What does not answer is a warning:
// it is what was there before, so it is restored all the same. What the page
// was to contain was said of the new version.
func (r *rollout) askAgain(ctx context.Context, rep *pipeline.Reporter) {
	pods := r.watched.NewPods()
	if len(pods) == 0 {
		return
	}
	_, err := probe.Run(ctx, r.conn, probe.Options{
		Namespace: r.ref.Namespace, Pods: pods, Container: r.worker.Deploy.Container,
		Port: r.probePort, Path: r.probePath, Reporter: rep,
	})
	for _, f := range pipeline.AsFindings("ask the pods that were put back", err) {
		f.Severity = pipeline.Warning
		rep.Finding(f)
	}
}

// runDry asks the API server what the apply would do, or only finds what would
// be applied.
func (r *rollout) runDry(ctx context.Context, rep *pipeline.Reporter) (err error) {
	if r.dryRun == "client" {
		if !r.imageOnly {
			r.rendered, err = r.objects.Get(ctx)
		}
		return err
	}
	r.applied, err = r.write(ctx, r.applyOptions(rep, true))
	return err
}
