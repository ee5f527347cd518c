package manifest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/pipeline"

	"github.com/joelhooks/gh-sbw/internal/termtext"
	"github.com/joelhooks/gh-sbw/internal/units"
)

// Options say where to look for the image, and which one to look for.
type Options struct {
	// Files are files, directories and patterns, like kubectl's -f. A single
	// directory with a kustomization is treated like Kustomize.
	Files []string
	// Recursive also reads the directories below those in Files, like kubectl's
	// -R.
	Recursive bool
	// Kustomize is a directory with a kustomization, like kubectl's -k.
	Kustomize string
	Target    Target
	Ref       string
}

// Plan is an edit of one file that has not been written yet.
type Plan struct {
	Edit
	// Kustomize is the directory of the kustomization; "" for plain files.
	Kustomize string
	// Rendered contains the objects to apply: those of the stamped kustomization, in
	// the order in which kubectl applies them. It is nil for plain files.
	Rendered []byte
	// Files are all files that were named, with directories expanded; empty for
	// a kustomization.
	Files []string
	// Strangers is the finding about files, or documents in them, that are not
	// objects. kubectl apply and apply.Load refuse them. It is nil if there are none.
	Strangers *pipeline.Finding

	before, after []byte
	changes       []Change
	target        Target
}

// Stamped returns the path of the file to edit, as it was named, and its bytes
// after the edit.
func (p *Plan) Stamped() (path string, data []byte) { return p.File, p.after }

// Changed reports whether there is anything to write.
func (p *Plan) Changed() bool { return !bytes.Equal(p.before, p.after) }

// Find looks for the one file that determines the target's image. It does not
// change anything.
func Find(ctx context.Context, o Options) (*Plan, error) {
	if err := checkRef(o.Ref); err != nil {
		return nil, err
	}
	if o.Kustomize == "" && len(o.Files) == 1 && kustomization(o.Files[0]) != "" {
		o.Kustomize, o.Files = o.Files[0], nil
	}
	if o.Kustomize != "" {
		return findKustomized(ctx, o)
	}
	paths, err := expand(o.Files, o.Recursive)
	if err != nil {
		return nil, err
	}
	var plans []*Plan
	var errs []error
	streams := map[string]*stream{}
	for _, path := range paths {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		p, s, err := findIn(path, o)
		if s != nil {
			streams[path] = s
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		p.Files = paths
		plans = append(plans, p)
	}
	strangers := inTheWay(paths, streams, plans, errs)
	if err := decisive(errs); err != nil && strangers != nil || len(plans) == 0 && strangers != nil {
		return nil, strangers
	}
	switch {
	case len(plans) == 1:
		p := plans[0]
		p.Strangers = strangers
		p.Also = append(p.Also, p.alsoIn(paths, streams)...)
		return p, decisive(errs)
	case len(plans) > 1:
		return nil, ambiguous(plans, o.Target)
	}
	return nil, none(paths, errs, o)
}

func ambiguous(plans []*Plan, t Target) error {
	f := &pipeline.Finding{
		Code: codeManifestAmbiguous, Severity: pipeline.Error, Where: place(plans[1].File, plans[1].Line),
		What: fmt.Sprintf("%d files contain the %s", len(plans), t),
		Why:  "it is not clear which of them to use",
		Fix:  "name one with -f",
	}
	for _, p := range plans {
		f.Evidence = append(f.Evidence, place(p.File, p.Line))
	}
	return f
}

// alsoIn returns the places in the other files that name the image as well.
func (p *Plan) alsoIn(paths []string, streams map[string]*stream) (all []Use) {
	for _, path := range paths {
		if s := streams[path]; s != nil && path != p.File {
			for _, u := range s.also(nil, path, p.Old, p.New) {
				all = append(all, u.Use)
			}
		}
	}
	return all
}

// findIn looks for the target in one file. It also returns the stream if the file
// could be parsed.
func findIn(path string, o Options) (*Plan, *stream, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, unreadable(path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, nil, &pipeline.Finding{
			Code: codeManifestNotAFile, Severity: pipeline.Error, Where: path,
			What: "the manifest is not a regular file", Why: "a pipe, such as <(…), can be read only once and cannot be stamped",
			Fix: "pass it on standard input with -f -, or save it to a file",
		}
	}
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, unreadable(path, err)
	}
	t := o.Target
	t.File = path
	s, err := parse(src, path)
	if err != nil {
		return nil, nil, err
	}
	after, e, err := Stamp(src, t, o.Ref)
	if err != nil {
		return nil, s, err
	}
	return &Plan{Edit: e, before: src, after: after, changes: e.changes(src), target: t}, s, nil
}

// Unloadable returns a Finding that lists what prevents the files from being loaded
// as objects, with line numbers: documents that are not objects, and text that
// cannot be parsed. It returns nil if there is neither.
func Unloadable(o Options) error {
	paths, err := expand(o.Files, o.Recursive)
	if err != nil {
		return err
	}
	var plans []*Plan
	var errs []error
	streams := map[string]*stream{}
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
			continue // a pipe can be read only once
		}
		src, err := os.ReadFile(path)
		if err != nil {
			errs = append(errs, unreadable(path, err))
			continue
		}
		s, err := parse(src, path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		streams[path] = s
		if _, _, err := s.locate(o.Target); err == nil {
			plans = append(plans, &Plan{Edit: Edit{File: path}})
		}
	}
	if f := inTheWay(paths, streams, plans, errs); f != nil {
		return f
	}
	return errors.Join(errs...)
}

// inTheWay returns a Finding that lists every document at which kubectl apply
// would stop because it is not an object, such as the values of a chart or a
// Compose file. Errors in other files are listed with them. It returns nil if all
// documents are objects.
func inTheWay(paths []string, streams map[string]*stream, plans []*Plan, errs []error) *pipeline.Finding {
	f := &pipeline.Finding{
		Code:     codeManifestNotObjects,
		Severity: pipeline.Error,
		Fix:      "name the files of the worker with -f, or in .sbw.yaml under deploy.manifest",
	}
	files := 0
	for _, path := range paths {
		found := false
		if s := streams[path]; s != nil {
			for _, d := range s.docs {
				for _, root := range d.Content {
					if root = follow(root); root != nil && root.Tag != "!!null" && text(first(root, "kind")) == "" {
						f.Evidence = append(f.Evidence, place(path, root.Line)+": it has no kind")
						found = true
					}
				}
			}
		}
		if found {
			files++
		}
	}
	if files == 0 {
		return nil
	}
	f.Where, _, _ = strings.Cut(f.Evidence[0], ": ")
	f.What = "a file of the manifest is not a Kubernetes object, so kubectl apply would stop at it"
	if files > 1 {
		f.What = fmt.Sprintf("%d files of the manifest are not Kubernetes objects, so kubectl apply would stop at them", files)
	}
	for _, err := range errs {
		if g, ok := errors.AsType[*pipeline.Finding](err); ok && !g.Is(codeNoWorkload) {
			f.Evidence = append(f.Evidence, g.Where+": "+g.What)
		}
	}
	if len(plans) == 1 {
		f.Fix = "name the files of the worker: -f " + plans[0].File
	}
	return f
}

// decisive returns the first error of another file that makes the match
// uncertain, because that file may also contain the target.
func decisive(errs []error) error {
	for _, err := range errs {
		if !errors.Is(err, codeNoWorkload) {
			return err
		}
	}
	return nil
}

// none returns why no file was found: the error of a file that has the workload
// or cannot be read, or else that no file has it.
func none(paths []string, errs []error, o Options) error {
	if err := decisive(errs); err != nil {
		return err
	}
	if len(errs) == 1 {
		return errs[0]
	}
	f := &pipeline.Finding{
		Code: codeNoWorkload, Severity: pipeline.Error, Where: units.List(o.Files),
		What: fmt.Sprintf("none of the manifests contains the %s", o.Target),
		Why:  units.Count(len(paths), "file was read", "files were read"),
		Fix:  "name the file with -f, or the workload in .sbw.yaml under deploy",
	}
	for _, err := range errs {
		if g, ok := errors.AsType[*pipeline.Finding](err); ok {
			f.Evidence = append(f.Evidence, g.Where+": "+g.Why)
		}
	}
	return f
}

// expand returns the files that kubectl's -f would read, each once
// (cli-runtime, pkg/resource/builder.go and visitor.go).
func expand(names []string, recursive bool) ([]string, error) {
	var all []string
	add := func(path string) {
		if !slices.Contains(all, path) {
			all = append(all, path)
		}
	}
	if len(names) == 0 {
		return nil, pipeline.UsageErrorf(codeManifestNotFound, "name it with -f, or in .sbw.yaml under deploy.manifest", "no manifest is named")
	}
	for _, name := range names {
		if name == "-" || strings.HasPrefix(name, "http://") || strings.HasPrefix(name, "https://") {
			return nil, pipeline.UsageErrorf(
				codeManifestNotAFile,
				"save it to a file and name that with -f",
				"%s is not a file that can be stamped",
				name,
			)
		}
		matches := []string{name}
		if _, err := os.Stat(name); errors.Is(err, os.ErrNotExist) {
			if matches, err = filepath.Glob(name); err != nil || len(matches) == 0 {
				return nil, unreadable(name, os.ErrNotExist)
			}
		}
		for _, m := range matches {
			err := filepath.WalkDir(m, func(path string, d os.DirEntry, err error) error {
				switch {
				case err != nil:
					return unreadable(path, err)
				case d.IsDir() && path != m && !recursive:
					return filepath.SkipDir
				case d.IsDir():
				case path == m, slices.Contains([]string{".json", ".yaml", ".yml"}, filepath.Ext(path)):
					add(path)
				}
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

func unreadable(path string, err error) error {
	f := &pipeline.Finding{
		Code: codeManifestNotFound, Severity: pipeline.Error, Where: path,
		What: "the manifest cannot be read", Why: reason(err), Err: err,
		Fix: "name another with -f or in .sbw.yaml under deploy.manifest, or use --image-only, which changes only the live object's image",
	}
	if errors.Is(err, os.ErrPermission) {
		f.Fix = "give yourself permission to read it"
	}
	return f
}

// reason returns the error of a file operation without the path, which the
// message already contains.
func reason(err error) string {
	if p, ok := errors.AsType[*os.PathError](err); ok {
		err = p.Err
	}
	if errors.Is(err, os.ErrNotExist) {
		return "there is no such file"
	}
	return termtext.Line(err.Error())
}
