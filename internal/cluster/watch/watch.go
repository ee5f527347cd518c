// Package watch follows one rollout through the API server's watches until
// package verdict has an end for it.
package watch

import (
	"context"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Options say what is followed and how patiently.
type Options struct {
	// Applied is the workload as it was answered by the apply: its UID,
	// generation and template are what is waited for.
	Applied *workload.Workload
	Policy  verdict.Policy
	Timeout time.Duration // 180 s when zero
	// Reporter gets a table of pods and what happens.
	Reporter *pipeline.Reporter
	// Log reads the end of a container's log; nil leaves a wrong architecture
	// to be seen as a crash loop.
	Log func(ctx context.Context, c verdict.Container, previous bool) (string, error)
}

// Result is how it ended.
type Result struct {
	Verdict  verdict.Verdict
	Snapshot verdict.Snapshot // the last one
	Took     time.Duration
}

// Rollout waits until the rollout is complete or has failed. The error is nil
// exactly when Verdict.State is Complete; else a Finding: the cause's code, or
// rollout-timeout, superseded, workload-replaced, and those of cluster.Explain.
func Rollout(ctx context.Context, kube kubernetes.Interface, o Options) (Result, error) {
	return follow(ctx, kube, o)
}
