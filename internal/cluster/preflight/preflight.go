// Package preflight checks in a cluster, before anything is changed, what would
// make a rollout fail: permissions, nodes, quota, Secrets, the workload's own
// state.
//
// Every check is a function that returns findings, so that a command can run
// them concurrently. A check that is not permitted (RBAC) results in a Warning
// or a Note, never in a refusal, because the rollout may work nevertheless.
// Checks only read: SelfSubjectAccessReviews are not stored anywhere.
package preflight

import (
	"context"
	"errors"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	deploymentutil "k8s.io/kubectl/pkg/util/deployment"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/fieldowner"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/termtext"
)

func finding(severity pipeline.Severity, code pipeline.Code, where, what, why, fix string) *pipeline.Finding {
	return &pipeline.Finding{Code: code, Severity: severity, Where: where, What: what, Why: why, Fix: fix}
}

// unread is the result of a check that is not permitted; nil for any other
// error, which the caller returns.
func unread(what string, err error) *pipeline.Finding {
	if !apierrors.IsForbidden(err) {
		return nil
	}
	return &pipeline.Finding{
		Code:     codePreflightBlind,
		Severity: pipeline.Note,
		Err:      err,
		What:     "cannot check " + what,
		Why:      termtext.Line(err.Error()),
		Fix:      "ask for permission to read it if mistakes in it should be reported here",
	}
}

// CodeMidRollout means that somebody else is rolling out the workload.
const CodeMidRollout = "mid-rollout"

// ErrMidRollout is wrapped in the Finding with that code.
var ErrMidRollout = errors.New("another rollout is under way")

// State checks whether a workload can be rolled out: it may be paused,
// on-delete, scaled to zero, or in the middle of another rollout. A rollout
// that is stuck is a Note, because the new one replaces it.
func State(ctx context.Context, kube kubernetes.Interface, w *workload.Workload) ([]*pipeline.Finding, error) {
	ref := w.Ref()
	where := ref.Namespace + "/" + ref.String()
	// This looks at the spec, because a paused Deployment may be complete.
	if c := verdict.HeldBack(w); c != nil {
		return []*pipeline.Finding{finding(pipeline.Error, c.Code, where, c.What, c.Why, c.Fix)}, nil
	}
	v, err := Status(ctx, kube, w)
	if f := unread("whether another rollout is under way", err); f != nil {
		return []*pipeline.Finding{f}, nil
	}
	if err != nil {
		return nil, cluster.Explain("read the state of "+ref.String(), err)
	}
	switch v.State {
	case verdict.Progressing:
		if onlyScaling(w) {
			return nil, nil
		}
		f := finding(pipeline.Error, CodeMidRollout, where, ref.String()+" is in the middle of another rollout",
			"it waits for "+v.Waiting, "wait until it ends (`kubectl rollout status "+ref.String()+"`), or --force")
		f.Err = ErrMidRollout
		return []*pipeline.Finding{f}, nil
	case verdict.Failing, verdict.Failed:
		return []*pipeline.Finding{finding(pipeline.Note, codeStuckRollout, where, "the last rollout of "+ref.String()+" did not complete",
			v.Cause.What+": "+v.Cause.Why+"; this rollout replaces it", "")}, nil
	}
	if f := NoReplicas(w); f != nil {
		return []*pipeline.Finding{f}, nil
	}
	return nil, nil
}

// NoReplicas returns a warning if a workload is scaled to zero.
func NoReplicas(w *workload.Workload) *pipeline.Finding {
	if w.Replicas() != 0 {
		return nil
	}
	ref := w.Ref()
	what := ref.String() + " is scaled to 0, so no pod runs or proves its image"
	f := finding(pipeline.Warning, codeNoReplicas, ref.Namespace+"/"+ref.String(), what, "", "`kubectl scale "+ref.String()+" --replicas=1`")
	switch by := fieldowner.Owner(w.Object(), "spec", "replicas"); {
	case by.Manager == cluster.FieldManager && by.Operation == string(metav1.ManagedFieldsOperationApply):
		f.Why, f.Fix = "the manifest of the last rollout sets it", "change replicas in the manifest"
	case by.Manager != "":
		f.Why = "the number was set by " + by.String()
	}
	return f
}

// onlyScaling reports whether the workload waits for pods of the revision that
// was rolled out long ago: somebody, or an autoscaler, has just added some, or
// a node has joined. Another rollout would not disturb that.
func onlyScaling(w *workload.Workload) bool {
	if seen, now := verdict.Observed(w); seen < now {
		return false
	}
	switch {
	case w.Deployment != nil:
		// The controller keeps this reason until the template changes.
		c := deploymentutil.GetDeploymentCondition(w.Deployment.Status, appsv1.DeploymentProgressing)
		return c != nil && c.Reason == "NewReplicaSetAvailable" && w.Deployment.Status.UpdatedReplicas == w.Deployment.Status.Replicas
	case w.StatefulSet != nil:
		return w.StatefulSet.Status.CurrentRevision == w.StatefulSet.Status.UpdateRevision
	}
	return w.DaemonSet.Status.UpdatedNumberScheduled == w.DaemonSet.Status.CurrentNumberScheduled
}

// Status judges the workload's current state from a single reading.
func Status(ctx context.Context, kube kubernetes.Interface, w *workload.Workload) (verdict.Verdict, error) {
	s, err := snapshot(ctx, kube, w)
	if err != nil {
		return verdict.Verdict{}, err
	}
	// A settling time only makes sense for a caller that waits.
	v, _ := verdict.Judge(s, verdict.Policy{Settle: -1}, verdict.Memory{})
	return v, nil
}

// RunAsRoot predicts a refusal by the kubelet: runAsNonRoot without runAsUser,
// and an image whose user is root or has only a name. user is the image
// config's User.
func RunAsRoot(w *workload.Workload, container, user string) *pipeline.Finding {
	c, err := w.Container(container)
	if err != nil {
		return nil // other checks report it
	}
	spec := w.Template().Spec
	var must *bool
	var as *int64
	if p := spec.SecurityContext; p != nil {
		must, as = p.RunAsNonRoot, p.RunAsUser
	}
	if s := c.SecurityContext; s != nil {
		if s.RunAsNonRoot != nil {
			must = s.RunAsNonRoot
		}
		if s.RunAsUser != nil {
			as = s.RunAsUser
		}
	}
	if must == nil || !*must || as != nil && *as != 0 {
		return nil
	}
	user, _, _ = strings.Cut(user, ":")
	why := ""
	switch {
	case as != nil:
		why = "securityContext.runAsUser is 0"
	case user == "" || user == "0" || user == "root":
		why = "the image's USER is root"
	case strings.Trim(user, "0123456789") != "":
		why = fmt.Sprintf("the image's USER is %q, and the kubelet cannot know whether a user name means root", user)
	default:
		return nil
	}
	return finding(pipeline.Error, verdict.CodeRunAsRoot, w.Ref().Namespace+"/"+w.Ref().String(),
		"container "+container+" is not allowed to run as root", why, "USER 1000 in the Dockerfile, or securityContext.runAsUser in the manifest")
}
