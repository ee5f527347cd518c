package preflight

import (
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// Pods lets the API server judge a pod of next in a dry run, and checks whether the
// namespace's quotas leave room for it. live is nil if the workload does not exist yet.
//
// The quotas are compared with the pod that the API server has admitted, which contains the
// defaults of a LimitRange. If the API server refuses the pod because of a quota that Quota
// does not understand (one for a priority class, for example), its own words are reported.
//
// Findings: those of Admission and Quota.
func Pods(ctx context.Context, kube kubernetes.Interface, next, live *workload.Workload) ([]*pipeline.Finding, error) {
	found, pod, err := Admission(ctx, kube, next)
	if err != nil {
		return found, err
	}
	if pod == nil {
		pod = PodOf(next)
	}
	i := slices.IndexFunc(found, func(f *pipeline.Finding) bool { return f.Is(verdict.CodeQuota) })
	quotas, err := Quota(ctx, kube, next, live, pod)
	if i >= 0 {
		refused := found[i]
		found = slices.Delete(found, i, i+1)
		named := slices.ContainsFunc(quotas, func(f *pipeline.Finding) bool { return f.Is(verdict.CodeQuota) })
		if more, canShrink := surgeOver(next, live); !named && more > 0 {
			if canShrink {
				refused = refused.WithSeverity(pipeline.Warning)
			}
			found = append(found, refused)
		}
	}
	return append(found, quotas...), err
}

// Admission lets the API server judge a pod of w in a dry run, and returns the pod as it
// would be admitted; nil if it would not, or that is not known. A dry run of the
// workload is not enough: PodSecurity, limit ranges, quotas and most policies
// judge pods only, so they would refuse them after the workload had been changed.
//
// The pod is created by this user and has no owner. What a built-in plugin refuses
// is refused to a controller as well, and is an Error; a webhook or policy may treat
// a pod without an owner differently, so its refusal is a Warning.
//
// Without permission to create pods, which a rollout does not need, nothing is
// checked and nothing is reported: the watch then names the refusal within a second,
// and the old version is restored. Findings: those of verdict.Refused.
func Admission(ctx context.Context, kube kubernetes.Interface, w *workload.Workload) ([]*pipeline.Finding, *corev1.Pod, error) {
	ref := w.Ref()
	admitted, err := kube.CoreV1().Pods(ref.Namespace).Create(ctx, PodOf(w), metav1.CreateOptions{
		DryRun: []string{metav1.DryRunAll}, FieldManager: cluster.FieldManager,
	})
	switch {
	case err == nil:
		return nil, admitted, nil
	case apierrors.IsNotFound(err): // no such namespace, which another check reports
		return nil, nil, nil
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "cannot create resource"):
		return nil, nil, nil
	case !apierrors.IsForbidden(err) && !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) && !apierrors.IsInternalError(err):
		return nil, nil, cluster.Explain("check whether the API server accepts the pods", err)
	}
	if strings.Contains(err.Error(), "does not support dry run") {
		return []*pipeline.Finding{{
			Code: codePreflightBlind, Severity: pipeline.Note, What: "cannot check whether the API server accepts the pods",
			Why: termtext.Line(err.Error()), Fix: "if the webhook is yours, let it declare sideEffects: None", Err: err,
		}}, nil, nil
	}
	f := verdict.Refused(ref.String(), err.Error()).Finding()
	f.Where = ref.Namespace + "/" + ref.String()
	limitRange := strings.Contains(err.Error(), "usage per") // its code is that of policies
	switch {
	case f.Is(verdict.CodeNamespaceEnding), f.Is(verdict.CodeServiceAccount):
		return nil, nil, nil // Namespace and References report them, with more detail
	case f.Is(verdict.CodePodSecurity), f.Is(verdict.CodePodInvalid), f.Is(verdict.CodeQuota), limitRange:
	default:
		f.Severity = pipeline.Warning
	}
	return []*pipeline.Finding{f}, nil, nil
}

// PodOf returns a pod as w's controller creates it, apart from its owner and name.
func PodOf(w *workload.Workload) *corev1.Pod {
	ref, template := w.Ref(), w.Template().DeepCopy()
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.Namespace, pod.Name, pod.GenerateName = ref.Namespace, "", ref.Name+"-"
	if w.StatefulSet != nil {
		for _, claim := range w.StatefulSet.Spec.VolumeClaimTemplates {
			pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: claim.Name, VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim.Name + "-" + ref.Name + "-0"}}})
		}
	}
	return pod
}
