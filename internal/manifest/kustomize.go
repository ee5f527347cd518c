package manifest

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// IsKustomization reports whether a directory has a kustomization and is
// therefore treated as with kubectl's -k.
func IsKustomization(dir string) bool { return kustomization(dir) != "" }

// kustomization returns the kustomization file of a directory, or "".
func kustomization(dir string) string {
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		path := filepath.Join(dir, name)
		if filesys.MakeFsOnDisk().Exists(path) && !filesys.MakeFsOnDisk().IsDir(path) {
			return path
		}
	}
	return ""
}

// findKustomized looks for the place that determines the image of a workload in a
// kustomization. It does not model how kustomize works but runs it: every place
// that may determine the image is edited in memory, starting with the outermost
// one. The result is the first edit after which the output of kustomize has the
// wanted image and is otherwise unchanged.
func findKustomized(ctx context.Context, o Options) (*Plan, error) {
	if kustomization(o.Kustomize) == "" {
		return nil, unreadable(filepath.Join(o.Kustomize, konfig.DefaultKustomizationFileName()), errNoKustomization)
	}
	disk := &recorder{FileSystem: filesys.MakeFsOnDisk()}
	rendered, err := build(disk, o.Kustomize)
	if err != nil {
		return nil, err
	}
	t := o.Target
	t.File = o.Kustomize
	before, err := parse(rendered, t.File)
	if err != nil {
		return nil, err
	}
	scalar, w, err := before.locate(t)
	if err != nil {
		return nil, err
	}
	k := &kustomized{options: o, before: before, image: scalar, workload: w, old: scalar.Value, files: disk.files}
	if sameImage(k.old, o.Ref) {
		return &Plan{
			Edit:      Edit{File: kustomization(o.Kustomize), Old: k.old, New: k.old, Workload: w.String()},
			Kustomize: o.Kustomize,
			Rendered:  rendered,
			target:    t,
		}, nil
	}
	root, err := filepath.EvalSymlinks(o.Kustomize)
	if err != nil {
		return nil, unreadable(o.Kustomize, err)
	}
	if root, err = filepath.Abs(root); err != nil {
		return nil, unreadable(o.Kustomize, err)
	}
	for _, f := range disk.files {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		p := k.try(f)
		if p == nil {
			continue
		}
		if rel, err := filepath.Rel(root, f.path); err != nil || !filepath.IsLocal(rel) {
			return nil, k.outside(p)
		}
		return p, nil
	}
	return nil, &pipeline.Finding{
		Code: codeManifestKustomize, Severity: pipeline.Error, Where: kustomization(o.Kustomize),
		What: fmt.Sprintf("no file of the kustomization has the image of %s in a place that can be stamped", w),
		Why:  fmt.Sprintf("the image is %s, set by an inline patch, a generator, a component or a remote base", k.old),
		Fix:  k.advice(),
	}
}

var errNoKustomization = fmt.Errorf("the directory has no %s", konfig.DefaultKustomizationFileName())

// advice returns how to give the kustomization a place of its own for this image.
// An entry of images: changes every container with that image name, so it is only
// recommended if no other container has it.
func (k *kustomized) advice() string {
	file := kustomization(k.options.Kustomize)
	others := k.before.also(k.image, "", k.old, k.old)
	if len(others) == 0 {
		ref := imageref.Split(k.options.Ref)
		tag := ref.Tag
		if ref.Digest != "" {
			tag = strings.TrimPrefix(tag+"@"+ref.Digest, "@")
		}
		return fmt.Sprintf("add {name: %s, newName: %s, newTag: %q} to images: in %s once; later runs change it",
			Repository(k.old), Repository(k.options.Ref), tag, file)
	}
	t := k.options.Target
	name := k.workload.name
	if o, ok := k.source(k.workload.kind, name); ok {
		name = o.name // before a namePrefix
	}
	return fmt.Sprintf(
		"write a patch once, because an entry of images: would move %s too: add `path: %s-image.yaml` to patches: in %s, "+
			"and write into that file: "+
			"{apiVersion: apps/v1, kind: %s, metadata: {name: %s}, spec: {template: {spec: {containers: [{name: %s, image: %q}]}}}}; "+
			"later runs change it",
		others[0].Use,
		t.Container,
		file,
		k.workload.kind,
		name,
		t.Container,
		k.options.Ref,
	)
}

// outside refuses to edit a base, because it is unknown what else is built from
// it.
func (k *kustomized) outside(p *Plan) error {
	return &pipeline.Finding{
		Code: codeManifestOutside, Severity: pipeline.Error, Where: place(p.File, p.Line),
		What: "the image is set outside the kustomization's directory",
		Why:  "stamping a base would change everything that is built from it",
		Fix:  k.advice(),
	}
}

// build runs kustomize as `kubectl apply -k` does
// (cli-runtime, pkg/resource/kustomizevisitor.go).
func build(fs filesys.FileSystem, dir string) ([]byte, error) {
	opts := krusty.MakeDefaultOptions()
	opts.Reorder = krusty.ReorderOptionLegacy
	res, err := krusty.MakeKustomizer(opts).Run(fs, dir)
	if err == nil {
		var out []byte
		if out, err = res.AsYaml(); err == nil {
			return out, nil
		}
	}
	return nil, &pipeline.Finding{
		Code: codeManifestKustomize, Severity: pipeline.Error, Where: dir,
		What: "the kustomization cannot be built", Why: termtext.Line(err.Error()), Err: err,
		Fix: "see `kubectl kustomize " + dir + "`",
	}
}

// recorder is a file system that reads from the disk. It records which files were
// read, in order, and can replace the content of one of them.
type recorder struct {
	filesys.FileSystem
	files   []read
	instead *read
}

type read struct {
	path string
	data []byte
}

func (r *recorder) ReadFile(path string) ([]byte, error) {
	if r.instead != nil && r.instead.path == path {
		return slices.Clone(r.instead.data), nil
	}
	data, err := r.FileSystem.ReadFile(path)
	if err == nil && !slices.ContainsFunc(r.files, func(f read) bool { return f.path == path }) {
		r.files = append(r.files, read{path, slices.Clone(data)})
	}
	return data, err
}

// kustomized is the result of the kustomization before any edit.
type kustomized struct {
	options  Options
	before   *stream
	image    *yaml.Node
	workload workload
	old      string
	files    []read // what kustomize read
}

// source returns the object in a file from which kustomize makes the object of
// the given kind and name. kustomize may add a prefix and a suffix to the name.
func (k *kustomized) source(kind, name string) (found object, ok bool) {
	k.sources(kind, name, func(_ string, o object) bool { found, ok = o, true; return false })
	return found, ok
}

// sources calls each for the objects that may be the source of the given one,
// starting with those of exactly that name, until each returns false.
func (k *kustomized) sources(kind, name string, each func(file string, o object) bool) {
	for _, exact := range []bool{true, false} {
		for _, f := range k.files {
			s, err := parse(f.data, f.path)
			if err != nil {
				continue
			}
			for _, o := range s.objects() {
				if o.kind == kind && o.name != "" && (exact && o.name == name || !exact && o.name != name && strings.Contains(name, o.name)) &&
					!each(f.path, o) {
					return
				}
			}
		}
	}
}

// placed adds the file and line to a place in the result: those of its source, or
// else the kustomization's.
func (k *kustomized) placed(o object, u use) Use {
	u.File, u.Line = kustomization(k.options.Kustomize), 0
	k.sources(o.kind, o.name, func(file string, from object) bool {
		n := from.at(u.path)
		if n != nil {
			u.File, u.Line = file, n.Line
		}
		return n == nil
	})
	return u.Use
}

// try edits one file in every way that may determine the image, and returns the
// first edit that does.
func (k *kustomized) try(f read) *Plan {
	s, err := parse(f.data, f.path)
	if err != nil {
		return nil // a patch in another form, or a generator's file
	}
	var ways [][]setting
	if slices.Contains(konfig.RecognizedKustomizationFileNames(), filepath.Base(f.path)) {
		ways = k.entries(s)
	} else {
		ways = k.images(s)
	}
	for _, way := range ways {
		if p := k.apply(f, way); p != nil {
			return p
		}
	}
	return nil
}
