// Package watch follows one rollout through the API server's watches until package verdict
// says how it ended. Rollout waits for the new pods, and OldGone until the old ones are gone.
package watch

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Options say what to follow, and how long.
type Options struct {
	// Applied is the workload as the apply returned it: its UID, generation and
	// template identify what to wait for.
	Applied *workload.Workload
	Policy  verdict.Policy
	Timeout time.Duration // zero means 180 s
	// Reporter receives a table of pods, and notes on what happens.
	Reporter *pipeline.Reporter
	// View, if set, returns each state of the workload as it is to be judged.
	View func(*workload.Workload) *workload.Workload
	// Check, if set, is called with each state of the workload; its error ends
	// the wait. It is for anything else that must stay as it was applied.
	Check func(*workload.Workload) error
	// Seen, if set, is called after each judgement with the latest state.
	Seen func(Result)
	// Log reads the end of a container's log; if nil, a wrong architecture
	// looks like a crash loop.
	Log func(ctx context.Context, c verdict.Container, previous bool) (string, error)
}

// Result is the outcome of a wait.
type Result struct {
	Verdict  verdict.Verdict
	Snapshot verdict.Snapshot // the last one
	Took     time.Duration
}

// NewPods returns the pods of the new revision, in the form that the probe needs.
func (r Result) NewPods() []*corev1.Pod {
	byUID := map[string]*corev1.Pod{}
	for _, p := range r.Snapshot.Pods {
		byUID[string(p.UID)] = p
	}
	pods := make([]*corev1.Pod, 0, len(r.Verdict.Pods))
	for _, row := range r.Verdict.Pods {
		pods = append(pods, byUID[row.UID])
	}
	return pods
}

// The codes of this package's own findings. A failed verdict has its cause's code.
const (
	CodeTimeout         pipeline.Code = "rollout-timeout"
	CodeOldPods         pipeline.Code = "old-pods-left"
	CodeForbidden       pipeline.Code = "watch-forbidden"
	CodeTemplateChanged pipeline.Code = "template-changed"
)

// ErrFailed is wrapped in every Finding for a verdict of Failed.
var ErrFailed = errors.New("the rollout failed")

var errTimeout = errors.New("the time limit has passed")

// Rollout waits until the rollout is complete or has failed. The error is nil
// exactly if Verdict.State is Complete; otherwise it is a Finding with the
// cause's code (see package verdict), or rollout-timeout, superseded,
// workload-replaced, or one of those of cluster.Explain; or the context's
// error.
func Rollout(ctx context.Context, kube kubernetes.Interface, o Options) (Result, error) {
	return follow(ctx, kube, o, func(v verdict.Verdict) bool { return v.State == verdict.Complete })
}

// OldGone waits until no pod of an old revision is left, not even a terminating
// one. A timeout is a Finding (old-pods-left, a Warning): slow does not mean
// failed.
func OldGone(ctx context.Context, kube kubernetes.Interface, o Options) (Result, error) {
	r, err := follow(ctx, kube, o, func(v verdict.Verdict) bool {
		return v.State == verdict.Complete && len(v.Old) == 0 && len(v.Ending) == 0
	})
	left := len(r.Verdict.Old) + len(r.Verdict.Ending)
	if errors.Is(err, errTimeout) && left > 0 {
		ref := o.Applied.Ref()
		what := fmt.Sprintf("%d pods of the old revision are still ending after %s", left, o.Timeout)
		if left == 1 {
			what = fmt.Sprintf("1 pod of the old revision is still ending after %s", o.Timeout)
		}
		return r, &pipeline.Finding{Code: CodeOldPods, Severity: pipeline.Warning, Where: ref.Namespace + "/" + ref.String(),
			What: what, Why: "they finish their work within terminationGracePeriodSeconds, and the new pods are already serving"}
	}
	return r, err
}
