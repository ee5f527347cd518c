package rollout

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/manifest"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// findPlan finds the place in the manifest that determines the image. Sources that are
// not files (standard input, a URL) have no such place: their objects are changed
// after loading.
func (f *facts) findPlan(ctx context.Context) (*manifest.Plan, error) {
	if f.manifest.ImageOnly || !f.manifest.onDisk() {
		return nil, nil
	}
	img, err := f.resolved.Get(ctx)
	if err != nil {
		return nil, err
	}
	return f.planFor(ctx, img.String())
}

// planFor finds the place in the manifest's files that determines the image.
func (f *facts) planFor(ctx context.Context, image string) (*manifest.Plan, error) {
	return manifest.Find(ctx, f.find(image))
}

// find returns the options for a search in the manifest's files.
func (f *facts) find(image string) manifest.Options {
	m := f.manifest
	return manifest.Options{
		Files: m.Filenames, Recursive: m.Recursive, Kustomize: m.Kustomize, Ref: image,
		Target: manifest.Target{Kind: f.Ref.Kind, Namespace: f.Ref.Namespace, Name: f.Ref.Name, Container: f.container()},
	}
}

// onDisk reports whether the whole manifest consists of files that can be stamped.
func (m ManifestOptions) onDisk() bool {
	if m.Kustomize != "" {
		return manifest.IsKustomization(m.Kustomize)
	}
	return !slices.ContainsFunc(m.Filenames, func(name string) bool { return name == "-" || strings.Contains(name, "://") })
}

// hasFile reports whether there is a file that an undo could restore.
func (m ManifestOptions) hasFile() bool {
	return (len(m.Filenames) > 0 || m.Kustomize != "") && m.onDisk()
}

// load reads the manifest's objects without changing them.
func (f *facts) load(ctx context.Context) ([]apply.Object, error) {
	if f.manifest.ImageOnly {
		return nil, nil
	}
	all, err := f.source(ctx, nil)
	if err == nil || !f.manifest.onDisk() || f.manifest.Kustomize != "" {
		return all, err
	}
	// The loader stops at the first file that it cannot parse. Reading the files
	// directly shows all that have a problem, and where.
	if better := manifest.Unloadable(f.find("")); better != nil {
		return nil, better
	}
	return nil, err
}

// findObjects returns the objects to apply. They are what the files render once they
// are stamped, so that a later kubectl apply changes nothing. In sources that cannot
// be stamped (URLs, standard input) the image is set after loading.
func (f *facts) findObjects(ctx context.Context) ([]apply.Object, error) {
	plan, err := f.plan.Get(ctx)
	if err != nil {
		return nil, err
	}
	image, err := f.appliedImage(ctx)
	if err != nil {
		return nil, err
	}
	var all []apply.Object
	switch {
	case plan != nil && plan.Strangers != nil:
		return nil, plan.Strangers
	case plan != nil && plan.Rendered != nil:
		all, err = f.loadRendered(ctx, plan)
	case plan != nil && plan.Changed():
		path, text := plan.Stamped()
		all, err = f.source(ctx, map[string][]byte{path: text})
	default:
		all, err = f.loaded.Get(ctx)
		all = slices.Clone(all)
		for i := range all { // f.loaded keeps the originals
			all[i].Unstructured = all[i].DeepCopy()
		}
	}
	if err != nil {
		return nil, err
	}
	if live, err := f.live.Get(ctx); err == nil { // otherwise its own check reports the error
		if err := apply.KeepRestart(all, f.Ref, live); err != nil {
			return nil, err
		}
	}
	return all, apply.SetImage(all, f.Ref, f.container(), image)
}

// appliedImage returns the image as it will appear in the cluster: the image in the
// stamped files, which has no tag if a kustomization's entry has only a digest.
func (f *facts) appliedImage(ctx context.Context) (string, error) {
	plan, err := f.plan.Get(ctx)
	if err != nil {
		return "", err
	}
	if plan != nil && plan.Rendered != nil {
		return plan.New, nil
	}
	img, err := f.resolved.Get(ctx)
	return img.String(), err
}

// loadRendered loads the objects that a stamped kustomization renders.
func (f *facts) loadRendered(ctx context.Context, plan *manifest.Plan) ([]apply.Object, error) {
	return apply.Load(ctx, f.Conn, apply.Source{
		Filenames: []string{plan.Kustomize}, Override: map[string][]byte{plan.Kustomize: plan.Rendered}, RequireNamespace: f.NamespaceGiven,
	})
}

// source loads the manifest's objects, reading override instead of the files that it names.
func (f *facts) source(ctx context.Context, override map[string][]byte) ([]apply.Object, error) {
	m := f.manifest
	return apply.Load(ctx, f.Conn, apply.Source{
		Filenames: m.Filenames, Kustomize: m.Kustomize, Recursive: m.Recursive, Stdin: bytes.NewReader(m.Stdin),
		RequireNamespace: f.NamespaceGiven, Override: override,
	})
}

// checkManifest loads what would be applied, so that any problem with the manifest is
// found before anything is changed.
func (f *facts) checkManifest(ctx context.Context, _ *pipeline.Reporter) ([]*pipeline.Finding, error) {
	if f.manifest.ImageOnly {
		return nil, nil
	}
	plan, err := f.plan.Get(ctx)
	if err != nil {
		return nil, err
	}
	var found []*pipeline.Finding
	if plan != nil {
		found = f.elsewhere(plan)
		if plan.Changed() && !f.manifest.NoWrite {
			for _, w := range pipeline.AsFindings("cannot write the manifest", plan.Writable()) {
				found = append(found, w.With(func(w *pipeline.Finding) { w.Where = f.Short(plan.File) }))
			}
		}
	}
	_, err = f.objects.Get(ctx)
	return found, err
}

// elsewhere reports the other places that name the image. Another object that changes
// along with it is rolled out as well, and this run does not watch that.
func (f *facts) elsewhere(plan *manifest.Plan) (found []*pipeline.Finding) {
	where := func(u manifest.Use) string {
		if u.Line == 0 {
			return f.Short(u.File)
		}
		return fmt.Sprintf("%s:%d", f.Short(u.File), u.Line)
	}
	for _, u := range plan.Together {
		one := &pipeline.Finding{Code: CodeManifestTogether, Severity: pipeline.Note, Where: where(u),
			What: fmt.Sprintf("%s also changes to %s, because the same place in the kustomization decides it", u, u.Image)}
		if u.Workload != plan.Workload {
			one.Severity = pipeline.Warning
			one.Why = "nothing watches or proves it"
			one.Fix = fmt.Sprintf("give container %s a patch with its own image if it should not", f.container())
		}
		found = append(found, one)
	}
	for _, u := range plan.Also {
		found = append(found, &pipeline.Finding{Code: CodeManifestAlso, Severity: pipeline.Note, Where: where(u),
			What: fmt.Sprintf("%s uses the same repository and stays at %s", u, u.Image)})
	}
	return found
}

// PlaceManifest makes the path of a kustomization absolute. A directory given by -f or
// deploy.manifest that contains a kustomization is treated as one.
func PlaceManifest(m ManifestOptions, dir string) ManifestOptions {
	local := func(path string) string {
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		return path
	}
	if len(m.Filenames) == 1 && m.Kustomize == "" && manifest.IsKustomization(local(m.Filenames[0])) {
		m.Kustomize, m.Filenames = m.Filenames[0], nil
	}
	// A path that does not exist may be a repository's URL, which kustomize accepts.
	if path := local(m.Kustomize); m.Kustomize != "" && manifest.IsKustomization(path) {
		m.Kustomize = path
	}
	return m
}
