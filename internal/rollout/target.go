package rollout

import (
	"path/filepath"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// Program is the name that this plugin sends to servers and writes into receipts.
const Program = "kubectl-sbw"

// Target is a worker and the cluster it runs in. It is made from flags and
// configuration only, without any network access.
type Target struct {
	Worker worker.Worker
	Conn   *cluster.Conn
	Ref    workload.Ref
	// Root is the repository's root, or the current directory outside a checkout.
	// Relative paths in the configuration are relative to it.
	Root       string
	InCheckout bool
	// Dir is the current directory. Printed paths are relative to it.
	Dir string
	// NamespaceGiven means that manifest objects in another namespace are refused.
	NamespaceGiven bool
	Getenv         func(string) string
}

// Path makes a path from the configuration absolute.
func (t *Target) Path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(t.Root, p)
}

// Short formats a path as the user would write it from the current directory.
func (t *Target) Short(path string) string {
	if rel, err := filepath.Rel(t.Dir, path); err == nil && !strings.HasPrefix(rel, "../../..") {
		return rel
	}
	return path
}

// shorten makes the file names in findings relative to the current directory.
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

// where formats the workload as findings name it.
func (t *Target) where() string { return t.Ref.Namespace + "/" + t.Ref.String() }

// container returns the name of the container that gets the image.
func (t *Target) container() string { return t.Worker.Deploy.Container }
