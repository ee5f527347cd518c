package kubecmd

import (
	"slices"
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/watch"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// TestTheTimeIsUp: whoever ends the wait, the Deployment controller or this run's timeout,
// the finding names the container and the pod that are not ready.
func TestTheTimeIsUp(t *testing.T) {
	for _, tt := range []struct {
		name, spec, timeout string
		code                pipeline.Code
	}{
		{"progressDeadlineSeconds", "progressDeadlineSeconds: 2\n  replicas: 1", "100s", verdict.CodeProgressDeadline},
		{"timeout", "replicas: 1", "2s", watch.CodeTimeout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, 1)
			w.write("k8s/worker.yaml", strings.Replace(w.read("k8s/worker.yaml"), "replicas: 1", tt.spec, 1))
			w.run(0, "rollout", "--tag", "old", "--no-inngest")
			_, out := w.runInterrupted("", nil, "rollout", "--tag", "slow", "--no-inngest", "--timeout", tt.timeout)
			if out.End != pipeline.Restored || w.tag(0) != "old" {
				t.Fatalf("%s, runs %s: %v", out.End.Word(), w.tag(0), out.All())
			}
			if !slices.ContainsFunc(out.All(), func(f *pipeline.Finding) bool {
				return f.Code == tt.code && strings.Contains(f.Why, "container worker of pod worker-") && strings.Contains(f.Why, "is not ready")
			}) {
				t.Errorf("%v", out.All())
			}
		})
	}
}
