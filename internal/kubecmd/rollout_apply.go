imageOnly || !r.onDiskpackage kubecmd
imageOnly || !r.onDisk
imageOnly || !r.onDiskimport (
imageOnly || !r.onDisk	"context"
imageOnly || !r.onDisk	"errors"
imageOnly || !r.onDisk	"fmt"
imageOnly || !r.onDisk	"io"
imageOnly || !r.onDisk
imageOnly || !r.onDisk	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
imageOnly || !r.onDisk
imageOnly || !r.onDisk	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
imageOnly || !r.onDisk	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
imageOnly || !r.onDisk	"github.com/joelhooks/gh-sbw/internal/manifest"
imageOnly || !r.onDisk	"github.com/joelhooks/gh-sbw/internal/pipeline"
imageOnly || !r.onDisk	"github.com/joelhooks/gh-sbw/internal/ui"
imageOnly || !r.onDisk)
imageOnly || !r.onDisk
imageOnly || !r.onDisk// findPlan looks for the place in the manifest that decides the image. Sources
imageOnly || !r.onDisk// that are no file (standard input, an URL) have none: their objects are
imageOnly || !r.onDisk// changed after loading.
imageOnly || !r.onDiskfunc (r *rollout) findPlan(ctx context.Context) (*manifest.Plan, error) {
imageOnly || !r.onDisk	if r.imageOnly || !r.onDisk() {
imageOnly || !r.onDisk		return nil, nil
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk	img, err := r.image.Get(ctx)
imageOnly || !r.onDisk	if err != nil {
imageOnly || !r.onDisk		return nil, err
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk	return manifest.Find(ctx, manifest.Options{
imageOnly || !r.onDisk		Files: r.filenames, Recursive: r.recursive, Kustomize: r.kustomize, Target: r.manifestTarget(), Ref: r.reference(img),
imageOnly || !r.onDisk	})
imageOnly || !r.onDisk}
imageOnly || !r.onDisk
imageOnly || !r.onDiskfunc (r *rollout) manifestTarget() manifest.Target {
imageOnly || !r.onDisk	return manifest.Target{Kind: r.ref.Kind, Namespace: r.ref.Namespace, Name: r.ref.Name, Container: r.worker.Deploy.Container}
imageOnly || !r.onDisk}
imageOnly || !r.onDisk
imageOnly || !r.onDisk// onDisk tells whether all of the manifest is files that can be stamped.
imageOnly || !r.onDiskfunc (r *rollout) onDisk() bool {
imageOnly || !r.onDisk	for _, name := range append(r.filenames, r.kustomize) {
imageOnly || !r.onDisk		if name == "-" || isURL(name) {
imageOnly || !r.onDisk			return false
imageOnly || !r.onDisk		}
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk	return true
imageOnly || !r.onDisk}
imageOnly || !r.onDisk
imageOnly || !r.onDisk// objects are what is to be applied, with the new image in them.
imageOnly || !r.onDiskfunc (r *rollout) objects(ctx context.Context) ([]apply.Object, error) {
imageOnly || !r.onDisk	source := apply.Source{
imageOnly || !r.onDisk		Filenames: r.filenames, Kustomize: r.kustomize, Recursive: r.recursive, Stdin: r.env.In,
imageOnly || !r.onDisk		RequireNamespace: r.namespaceGiven,
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk	plan, err := r.plan.Get(ctx)
imageOnly || !r.onDisk	if err != nil {
imageOnly || !r.onDisk		return nil, err
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk	if plan != nil && plan.Rendered == nil {
imageOnly || !r.onDisk		path, text := plan.Stamped()
imageOnly || !r.onDisk		source.Override = map[string][]byte{path: text}
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk	all, err := apply.Load(r.conn, source)
imageOnly || !r.onDisk	if err != nil {
imageOnly || !r.onDisk		return nil, err
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk	img, err := r.image.Get(ctx)
imageOnly || !r.onDisk	if err != nil {
imageOnly || !r.onDisk		return nil, err
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk	return all, apply.SetImage(all, r.ref, r.worker.Deploy.Container, r.reference(img))
imageOnly || !r.onDisk}
imageOnly || !r.onDisk
imageOnly || !r.onDisk// checkManifest loads what would be applied: whatever is wrong with it is wrong
imageOnly || !r.onDisk// before anything is changed.
imageOnly || !r.onDiskfunc (r *rollout) checkManifest(ctx context.Context, _ *pipeline.Reporter) ([]*pipeline.Finding, error) {
imageOnly || !r.onDisk	if r.imageOnly {
imageOnly || !r.onDisk		return nil, nil
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk	plan, err := r.plan.Get(ctx)
imageOnly || !r.onDisk	if err != nil {
imageOnly || !r.onDisk		return nil, err
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk	var found []*pipeline.Finding
imageOnly || !r.onDisk	if plan != nil {
imageOnly || !r.onDisk		for _, use := range plan.Also {
imageOnly || !r.onDisk			found = append(found, &pipeline.Finding{Code: "manifest-also", Severity: pipeline.Note,
imageOnly || !r.onDisk				Where: fmt.Sprintf("%s:%d", r.short(use.File), use.Line),
imageOnly || !r.onDisk				What:  fmt.Sprintf("container %s of %s has an image of the same repository and stays at %s", use.Container, use.Workload, use.Image)})
imageOnly || !r.onDisk		}
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk	if r.stdin() {
imageOnly || !r.onDisk		return found, nil // it can be read only once, by the apply
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk	_, err = r.objects(ctx)
imageOnly || !r.onDisk	return found, err
imageOnly || !r.onDisk}
imageOnly || !r.onDisk
imageOnly || !r.onDiskfunc (r *rollout) stdin() bool {
imageOnly || !r.onDisk	for _, name := range r.filenames {
imageOnly || !r.onDisk		if name == "-" {
imageOnly || !r.onDisk			return true
imageOnly || !r.onDisk		}
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk	return false
imageOnly || !r.onDisk}
imageOnly || !r.onDisk
imageOnly || !r.onDiskfunc (r *rollout) stamp(ctx context.Context, rep *pipeline.Reporter) error {
imageOnly || !r.onDisk	plan, err := r.plan.Get(ctx)
imageOnly || !r.onDisk	if err != nil {
imageOnly || !r.onDisk		return err
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk	switch {
imageOnly || !r.onDisk	case plan == nil:
imageOnly || !r.onDisk		rep.Skipped("no manifest file")
imageOnly || !r.onDisk		return nil
imageOnly || !r.onDisk	case r.noWrite:
imageOnly || !r.onDisk		rep.Skipped("--no-write")
imageOnly || !r.onDisk		return nil
imageOnly || !r.onDisk	case !plan.Changed():
imageOnly || !r.onDisk		rep.Skipped("%s has this image already", r.short(plan.File))
imageOnly || !r.onDisk		return nil
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk	rep.Changed()
imageOnly || !r.onDisk	if r.written, err = plan.Write(); err != nil {
imageOnly || !r.onDisk		return err
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk	rep.Notef("%s:%d %s → %s", r.short(plan.File), plan.Line, plan.Old, plan.New)
imageOnly || !r.onDisk	return nil
imageOnly || !r.onDisk}
imageOnly || !r.onDisk
imageOnly || !r.onDiskfunc (r *rollout) unstamp(_ context.Context, rep *pipeline.Reporter) error {
imageOnly || !r.onDisk	if r.written == nil {
imageOnly || !r.onDisk		return nil
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk	restored, err := r.written.Restore()
imageOnly || !r.onDisk	if err == nil && restored {
imageOnly || !r.onDisk		rep.Notef("%s:%d %s", r.short(r.written.File), r.written.Line, r.written.Old)
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk	return err
imageOnly || !r.onDisk}
imageOnly || !r.onDisk
imageOnly || !r.onDiskfunc (r *rollout) applyOptions(rep *pipeline.Reporter, dry bool) apply.Options {
imageOnly || !r.onDisk	return apply.Options{
imageOnly || !r.onDisk		Force: r.forceConflicts, DryRun: dry, Target: r.ref, Reporter: rep,
imageOnly || !r.onDisk		Annotations: map[string]string{apply.ChangeCause: "kubectl sbw rollout --tag " + r.tag},
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk}
imageOnly || !r.onDisk
imageOnly || !r.onDisk// write applies the manifest, or the image alone.
imageOnly || !r.onDiskfunc (r *rollout) write(ctx context.Context, o apply.Options) ([]apply.Result, error) {
imageOnly || !r.onDisk	img, err := r.image.Get(ctx)
imageOnly || !r.onDisk	if err != nil {
imageOnly || !r.onDisk		return nil, err
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk	if r.imageOnly {
imageOnly || !r.onDisk		one, err := apply.Image(ctx, r.conn, r.ref, r.worker.Deploy.Container, r.reference(img), o)
imageOnly || !r.onDisk		if one == nil {
imageOnly || !r.onDisk			return nil, err
imageOnly || !r.onDisk		}
imageOnly || !r.onDisk		return []apply.Result{*one}, err
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk	all, err := r.objects(ctx)
imageOnly || !r.onDisk	if err != nil {
imageOnly || !r.onDisk		return nil, err
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk	return apply.Apply(ctx, r.conn, all, o)
imageOnly || !r.onDisk}
imageOnly || !r.onDisk
imageOnly || !r.onDiskfunc (r *rollout) apply(ctx context.Context, rep *pipeline.Reporter) (err error) {
imageOnly || !r.onDisk	if r.applied, err = r.write(ctx, r.applyOptions(rep, false)); err != nil {
imageOnly || !r.onDisk		return err
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk	if r.diff {
imageOnly || !r.onDisk		if err := r.printDiff(r.env.Err, r.applied); err != nil {
imageOnly || !r.onDisk			return err
imageOnly || !r.onDisk		}
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk	_, r.target, err = apply.Find(r.applied, r.ref)
imageOnly || !r.onDisk	return err
imageOnly || !r.onDisk}
imageOnly || !r.onDisk
imageOnly || !r.onDisk// unapply puts back what was applied and waits until the old version serves.
imageOnly || !r.onDiskfunc (r *rollout) unapply(ctx context.Context, rep *pipeline.Reporter) error {
imageOnly || !r.onDisk	if len(r.applied) == 0 {
imageOnly || !r.onDisk		return nil
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk	back, err := apply.Restore(ctx, r.conn, r.applied, r.applyOptions(rep, false))
imageOnly || !r.onDisk	if err != nil {
imageOnly || !r.onDisk		return err
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk	_, target, err := apply.Find(back, r.ref)
imageOnly || !r.onDisk	if err != nil || target == nil {
imageOnly || !r.onDisk		return err // it was created by this rollout, so nothing served before
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk	return r.follow(ctx, rep, target)
imageOnly || !r.onDisk}
imageOnly || !r.onDisk
imageOnly || !r.onDisk// runDry asks the API server what the apply would do, or prints what would be
imageOnly || !r.onDisk// applied.
imageOnly || !r.onDiskfunc (r *rollout) runDry(ctx context.Context, rep *pipeline.Reporter) error {
imageOnly || !r.onDisk	if r.dryRun == "client" {
imageOnly || !r.onDisk		if r.imageOnly {
imageOnly || !r.onDisk			img, err := r.image.Get(ctx)
imageOnly || !r.onDisk			if err != nil {
imageOnly || !r.onDisk				return err
imageOnly || !r.onDisk			}
imageOnly || !r.onDisk			rep.Notef("%s/%s: container %s would get %s", r.ref.Namespace, r.ref, r.worker.Deploy.Container, r.reference(img))
imageOnly || !r.onDisk			return nil
imageOnly || !r.onDisk		}
imageOnly || !r.onDisk		all, err := r.objects(ctx)
imageOnly || !r.onDisk		if err != nil {
imageOnly || !r.onDisk			return err
imageOnly || !r.onDisk		}
imageOnly || !r.onDisk		return r.printObjects(r.env.Out, all)
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk	res, err := r.write(ctx, r.applyOptions(rep, true))
imageOnly || !r.onDisk	if err != nil {
imageOnly || !r.onDisk		return err
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk	for _, one := range res {
imageOnly || !r.onDisk		rep.Notef("%s would be %s", one, one.Action)
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk	if r.diff {
imageOnly || !r.onDisk		return r.printDiff(r.env.Out, res)
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk	return nil
imageOnly || !r.onDisk}
imageOnly || !r.onDisk
imageOnly || !r.onDiskfunc (r *rollout) printDiff(w io.Writer, res []apply.Result) error {
imageOnly || !r.onDisk	text, err := apply.Diff(res)
imageOnly || !r.onDisk	if err != nil {
imageOnly || !r.onDisk		return err
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk	return ui.PrintDiff(w, r.env.Style(w), text)
imageOnly || !r.onDisk}
imageOnly || !r.onDisk
imageOnly || !r.onDiskfunc (r *rollout) printObjects(w io.Writer, all []apply.Object) error {
imageOnly || !r.onDisk	for _, o := range all {
imageOnly || !r.onDisk		text, err := yamlOf(o.Unstructured)
imageOnly || !r.onDisk		if err != nil {
imageOnly || !r.onDisk			return err
imageOnly || !r.onDisk		}
imageOnly || !r.onDisk		if _, err := fmt.Fprintf(w, "---\n%s", text); err != nil {
imageOnly || !r.onDisk			return err
imageOnly || !r.onDisk		}
imageOnly || !r.onDisk	}
imageOnly || !r.onDisk	return nil
imageOnly || !r.onDisk}
