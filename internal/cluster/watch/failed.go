package watch

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/kubectl/pkg/util/deployment"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// trouble is an error of one feed; nil when it works again.
type trouble struct {
	kind string
	err  error
}

// gaveUp returns when the controller gave up on the rollout that the applied state replaces;
// zero if it did not.
func gaveUp(w *workload.Workload) (at time.Time) {
	if w.Deployment == nil {
		return at
	}
	c := deployment.GetDeploymentCondition(w.Deployment.Status, appsv1.DeploymentProgressing)
	if c != nil && c.Reason == deployment.TimedOutReason {
		at = c.LastUpdateTime.Time
	}
	return at
}

// trouble decides whether a feed's failure ends the wait.
func (f *follower) trouble(t trouble) error {
	switch {
	case t.err == nil:
		if f.away {
			f.away = false
			f.Reporter.Notef("the API server answers again")
		}
	case isAway(t.err):
		if !f.away {
			f.away = true
			f.Reporter.Notef("the API server does not answer; waiting for it: %v", t.err)
		}
	case apierrors.IsForbidden(t.err) && t.kind != f.workloadKind():
		if !f.refused[t.kind] {
			f.refused[t.kind] = true
			f.Reporter.Finding(&pipeline.Finding{Code: CodeForbidden, Severity: pipeline.Warning,
				What: "you may not watch " + t.kind + ", so causes that show only there will not be found", Why: termtext.Line(t.err.Error()),
				Fix: "grant list and watch on " + t.kind + " in namespace " + f.ref.Namespace})
		}
	case apierrors.IsForbidden(t.err), apierrors.IsUnauthorized(t.err), apierrors.IsNotFound(t.err):
		return cluster.Explain("watch "+t.kind, t.err)
	default:
		f.Reporter.Detailf("watching %s: %v", t.kind, t.err)
	}
	return nil
}

// linger is how long before the timeout a cause may last have been visible and still count
// as the reason: while a kubelet retries, it shows no cause for a moment.
const linger = 10 * time.Second

func (f *follower) timedOut(r *Result) error {
	v := &r.Verdict
	if v.Cause == nil && f.last != nil && time.Since(f.lastAt) <= linger {
		v.Cause = f.last
	}
	v.State = verdict.Failed
	if v.Cause != nil {
		return f.failed(*v)
	}
	why := "still waiting for " + v.Waiting
	if r.Snapshot.Workload != nil {
		if lacks := verdict.Lacking(r.Snapshot, f.Policy); lacks != "" {
			why += "; " + lacks
		}
	}
	if v.Waiting == "" {
		why = "the API server has reported nothing about it"
	}
	if f.away {
		why = "the API server does not answer"
	}
	return &pipeline.Finding{Code: CodeTimeout, Severity: pipeline.Error, Where: f.ref.Namespace + "/" + f.ref.String(), Err: errTimeout,
		What: fmt.Sprintf("the rollout was not complete after %s", f.Timeout), Why: why,
		Fix: "allow it more time with --timeout, or see `kubectl describe " + f.ref.String() + "`"}
}

func (f *follower) failed(v verdict.Verdict) error {
	return v.Cause.Finding().With(func(finding *pipeline.Finding) {
		finding.Where = f.ref.Namespace + "/" + f.ref.String()
		finding.Err = ErrFailed
	})
}
