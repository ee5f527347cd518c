package apply

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Source says where objects are read from, like kubectl's -f, -k and -R.
type Source struct {
	Filenames []string // files, directories, URLs, "-" for Stdin
	Kustomize string   // a directory or URL
	Recursive bool
	Stdin     io.Reader
	// Override contains bytes to read instead of a file's content, by the path
	// as given or as found in a directory.
	Override map[string][]byte
	// RequireNamespace refuses objects in a different namespace than the
	// connection's, like kubectl if --namespace was given.
	RequireNamespace bool
}

// Object is one object and where it was read.
type Object struct {
	*unstructured.Unstructured
	Source string
}

// Load reads the objects; Lists are expanded, and a missing namespace is the
// connection's. Findings: manifest-unreadable, manifest-kind, and those of
// cluster.Explain (the cluster says which kinds are namespaced).
func Load(ctx context.Context, conn *cluster.Conn, s Source) ([]Object, error) {
	b := resource.NewBuilder(conn.Getter()).Unstructured().
		NamespaceParam(conn.Namespace).DefaultNamespace().Flatten()
	if s.RequireNamespace {
		b = b.RequireNamespace()
	}
	rest, err := s.add(b)
	if err != nil {
		return nil, err
	}
	b = b.FilenameParam(s.RequireNamespace, &resource.FilenameOptions{Filenames: rest, Kustomize: s.Kustomize, Recursive: s.Recursive})
	infos, err := b.Do().Infos()
	if err != nil {
		// The builder keeps only the text of the cluster's answer.
		if away := conn.Ping(ctx); away != nil {
			return nil, away
		}
		return nil, unreadable(s, err)
	}
	objects := make([]Object, 0, len(infos))
	for _, info := range infos {
		u, ok := info.Object.(*unstructured.Unstructured)
		if !ok {
			return nil, fmt.Errorf("%s: read as %T", info.Source, info.Object)
		}
		o := Object{Unstructured: u, Source: info.Source}
		if u.GetName() == "" {
			return nil, nameless(o)
		}
		objects = append(objects, o)
	}
	if len(objects) == 0 {
		return nil, &pipeline.Finding{
			Code:     CodeUnreadable,
			Severity: pipeline.Error,
			End:      pipeline.Usage,
			What:     "the manifest has no objects, so there is nothing to roll out",
			Why:      "it is empty, or contains only comments",
			Where:    strings.TrimSpace(strings.Join(append(slices.Clone(s.Filenames), s.Kustomize), " ")),
			Fix: "correct deploy.manifest in .sbw.yaml, or -f; an image that a program starts by itself, such as in Jobs that it makes, " +
				"only needs `gh sbw publish`",
		}
	}
	return objects, nil
}

// nameless is the Finding for an object that the API server could only create, each
// time under another name.
func nameless(o Object) *pipeline.Finding {
	return &pipeline.Finding{
		Code:     CodeUnreadable,
		Severity: pipeline.Error,
		Where:    Where(o, "metadata.generateName"),
		What:     fmt.Sprintf("a %s of the manifest has no name, so it cannot be applied", o.GetKind()),
		Why:      "apply recognizes an object by its name; generateName would create another one in each rollout",
		Fix:      "give it metadata.name, or move it to another file and run `kubectl create -f` with that file",
	}
}

// add streams what is overridden and standard input, and returns the names
// that are left for the builder. Order within a directory is the builder's.
func (s Source) add(b *resource.Builder) ([]string, error) {
	var plain []string
	one := func(name string) bool {
		data, ok := s.Override[name]
		if ok {
			b.Stream(bytes.NewReader(data), name)
		}
		return ok
	}
	for _, name := range s.Filenames {
		switch {
		case name == "-" && s.Stdin != nil:
			b.Stream(s.Stdin, "standard input")
		case one(name):
		case s.overridesIn(name):
			files, err := manifestsIn(name, s.Recursive)
			if err != nil {
				return nil, unreadable(s, err)
			}
			for _, f := range files {
				if !one(f) {
					plain = append(plain, f)
				}
			}
		default:
			plain = append(plain, name)
		}
	}
	return plain, nil
}

func (s Source) overridesIn(dir string) bool {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return false
	}
	prefix := filepath.Clean(dir) + string(filepath.Separator)
	for path := range s.Override {
		if strings.HasPrefix(filepath.Clean(path), prefix) {
			return true
		}
	}
	return false
}

// manifestsIn lists what the builder would read in a directory.
func manifestsIn(dir string, recursive bool) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != dir && !recursive:
			return filepath.SkipDir
		case !d.IsDir() && slices.Contains(resource.FileExtensions, filepath.Ext(path)):
			files = append(files, path)
		}
		return nil
	})
	return files, err
}

func unreadable(s Source, err error) error {
	if explained := cluster.Explain("read the manifest", err); pipelineFinding(explained) {
		return explained
	}
	if isNoMatch(err) {
		if file := s.definesKinds(); file != "" {
			return &pipeline.Finding{
				Code:     CodeCRD,
				Severity: pipeline.Error,
				Where:    file,
				Err:      err,
				What:     "the manifest has an object of a kind that it defines itself",
				Why:      line(err),
				Fix: "apply the CustomResourceDefinition first, from a file of its own: the API server cannot judge objects of a " +
					"kind that it does not know yet",
			}
		}
		return &pipeline.Finding{
			Code:     CodeKind,
			Severity: pipeline.Error,
			What:     "the cluster does not know a kind of the manifest",
			Why:      line(err),
			Err:      err,
			Fix:      "install its CustomResourceDefinition, or correct apiVersion and kind",
		}
	}
	return &pipeline.Finding{Code: CodeUnreadable, Severity: pipeline.Error, End: pipeline.Usage, Err: err,
		What: "the manifest cannot be read", Why: line(err), Where: strings.Join(s.Filenames, " ") + s.Kustomize,
		Fix: "correct the file, or name another with -f"}
}

// definesKinds is the first local file that contains a
// CustomResourceDefinition.
func (s Source) definesKinds() string {
	for _, name := range s.Filenames {
		files := []string{name}
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			if files, err = manifestsIn(name, s.Recursive); err != nil {
				continue
			}
		}
		for _, f := range files {
			text, ok := s.Override[f]
			if !ok {
				var err error
				if text, err = os.ReadFile(f); err != nil {
					continue // a URL or standard input, or deleted since
				}
			}
			if bytes.Contains(text, []byte("kind: CustomResourceDefinition")) {
				return f
			}
		}
	}
	return ""
}

// SetImage sets a container's image in the loaded objects, for sources that are
// not stamped as a file (kustomize, URLs, standard input).
func SetImage(objects []Object, ref workload.Ref, container, image string) error {
	for _, o := range objects {
		if o.GetKind() != ref.Kind || o.GetName() != ref.Name || o.GetNamespace() != ref.Namespace ||
			o.GroupVersionKind().Group != appsv1.GroupName {
			continue
		}
		for _, list := range []string{"containers", "initContainers"} {
			all, _, err := unstructured.NestedSlice(o.Object, "spec", "template", "spec", list)
			if err != nil {
				return fmt.Errorf("%s: %w", o.Source, err)
			}
			for i := range all {
				c, ok := all[i].(map[string]any)
				if !ok || c["name"] != container {
					continue
				}
				c["image"] = image
				return unstructured.SetNestedSlice(o.Object, all, "spec", "template", "spec", list)
			}
		}
		return &pipeline.Finding{Code: workload.CodeContainerUnknown, Severity: pipeline.Error, Where: o.Source,
			What: fmt.Sprintf("%s has no container %q", ref, container), Fix: "correct deploy.container in .sbw.yaml"}
	}
	return &pipeline.Finding{Code: CodeTarget, Severity: pipeline.Error,
		What: fmt.Sprintf("the manifest has no %s in namespace %s", ref, ref.Namespace),
		Fix:  "correct deploy.deployment, deploy.namespace or deploy.manifest in .sbw.yaml"}
}

// Typed converts an answer of the API server to a workload.
func Typed(u *unstructured.Unstructured) (*workload.Workload, error) {
	var into any
	switch u.GetKind() {
	case workload.Deployment:
		into = &appsv1.Deployment{}
	case workload.StatefulSet:
		into = &appsv1.StatefulSet{}
	case workload.DaemonSet:
		into = &appsv1.DaemonSet{}
	default:
		return nil, workload.Ref{Kind: u.GetKind()}.Valid()
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, into); err != nil {
		return nil, err
	}
	return workload.Of(into), nil
}
