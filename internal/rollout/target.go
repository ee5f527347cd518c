package rollout

import (
	"path/filepath"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// Program is the name under which servers and receipts know this plugin.
const Program = "kubectl-sbw"

// Target is a worker and the cluster it runs in. It is made from flags and
// configuration alone; no network is asked.
type Target struct {
	Worker worker.Worker
	Conn   *cluster.Conn
	Ref    workload.Ref
	// Root is the repository's root, or the current directory where there is
	// no checkout; relative paths of the configuration start there.
	Root       string
	InCheckout bool
	// Dir is the current directory: paths are printed as seen from there.
	Dir string
	// NamespaceGiven means that objects of another namespace are refused.
	NamespaceGiven bool
	Getenv         func(string) string
}

// Path makes a path of the configuration absolute.
func (t *Target) Path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(t.Root, p)
}

// Short is a path as the user would write it from the current directory.
func (t *Target) Short(path string) string {
	if rel, err := filepath.Rel(t.Dir, path); err == nil && !strings.HasPrefix(rel, "../../..") {
		return rel
	}
	return path
}

// shorten names files of the checkout as a person there would.
func (t *Target) shorten(found []*pipeline.Finding) []*pipeline.Finding {
	short := make([]*pipeline.Finding, 0, len(found))
	for _, f := range found {
		if filepath.IsAbs(f.Where) {
			f = f.With(func(f *pipeline.Finding) { f.Where = t.Short(f.Where) })
		}
		short = append(short, f)
	}
	return short
}

// where is the workload as findings name it.
func (t *Target) where() string { return t.Ref.Namespace + "/" + t.Ref.String() }

// container is the container that the image belongs to.
func (t *Target) container() string { return t.Worker.Deploy.Container }
