package preflight

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	resourcehelpers "k8s.io/component-helpers/resource"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Quota checks whether the namespace's quotas leave room for the pods that a
// rollout creates before old ones end (maxSurge). next is the workload as it
// will be, and pod is one of its pods; live is nil if it does not exist yet. Finding: quota, an Error if
// the rollout cannot begin by ending an old pod (maxUnavailable 0), otherwise a
// Warning.
func Quota(ctx context.Context, kube kubernetes.Interface, next, live *workload.Workload, pod *corev1.Pod) ([]*pipeline.Finding, error) {
	ref := next.Ref()
	list, err := kube.CoreV1().ResourceQuotas(ref.Namespace).List(ctx, metav1.ListOptions{})
	if f := unread("the namespace's quotas", err); f != nil {
		return []*pipeline.Finding{f}, nil
	}
	if err != nil {
		return nil, cluster.Explain("list quotas", err)
	}
	more, canShrink := surgeOver(next, live)
	var found []*pipeline.Finding
	for i := range list.Items {
		if f := short(&list.Items[i], pod, more, canShrink); f != nil {
			found = append(found, f)
		}
	}
	return found, nil
}

// surgeOver returns the same as surge, also for a workload that does not exist yet.
func surgeOver(next, live *workload.Workload) (more int32, canShrink bool) {
	if live == nil {
		return next.Replicas(), false
	}
	return surge(next)
}

// surge returns how many pods may exist beyond the wanted ones, and whether an old one may
// end first.
func surge(w *workload.Workload) (more int32, canShrink bool) {
	if w.Deployment == nil {
		return 0, true // ordered replacement; a DaemonSet's surge is off by default
	}
	more, unavailable := verdict.Fenceposts(w.Deployment)
	return more, unavailable > 0
}

func short(q *corev1.ResourceQuota, pod *corev1.Pod, more int32, canShrink bool) *pipeline.Finding {
	if more == 0 {
		return nil
	}
	// The controller creates surge pods one by one: the first must fit.
	lacks := Lacks(q, pod, 1)
	if len(lacks) == 0 {
		return nil
	}
	severity := pipeline.Error
	if canShrink {
		severity = pipeline.Warning
	}
	return finding(
		severity,
		verdict.CodeQuota,
		q.Namespace+"/resourcequota/"+q.Name,
		"the quota leaves no room for a new pod next to the old ones",
		strings.Join(lacks, "; "),
		"raise the quota, lower the requests, or let the old pod end first (maxSurge: 0, maxUnavailable: 1)",
	)
}

// Lacks lists the resources of which a quota does not leave enough for a number of pods
// like pod.
func Lacks(q *corev1.ResourceQuota, pod *corev1.Pod, pods int32) (lacks []string) {
	if !concerns(q, pod) {
		return nil
	}
	requests := resourcehelpers.PodRequests(pod, resourcehelpers.PodResourcesOptions{})
	limits := resourcehelpers.PodLimits(pod, resourcehelpers.PodResourcesOptions{})
	for _, name := range slices.Sorted(maps.Keys(q.Status.Hard)) {
		var one resource.Quantity
		switch text := string(name); {
		case text == "pods" || text == "count/pods":
			one = resource.MustParse("1")
		case strings.HasPrefix(text, "limits."):
			one = limits[corev1.ResourceName(strings.TrimPrefix(text, "limits."))]
		case strings.HasPrefix(text, "requests."):
			one = requests[corev1.ResourceName(strings.TrimPrefix(text, "requests."))]
		case text == "cpu" || text == "memory":
			one = requests[name]
		default:
			continue
		}
		hard, used := q.Status.Hard[name], q.Status.Used[name]
		after := used.DeepCopy()
		for range pods {
			after.Add(one)
		}
		if after.Cmp(hard) > 0 {
			what := "a pod needs"
			if pods > 1 {
				what = fmt.Sprintf("each of %d pods needs", pods)
			}
			lacks = append(lacks, fmt.Sprintf("%s: used %s of %s, %s %s", name, used.String(), hard.String(), what, one.String()))
		}
	}
	return lacks
}

// concerns reports whether a quota counts these pods. Scopes by priority or affinity are
// ignored, because they are rare and a wrong refusal would be worse.
func concerns(q *corev1.ResourceQuota, pod *corev1.Pod) bool {
	if q.Spec.ScopeSelector != nil {
		return false
	}
	for _, s := range q.Spec.Scopes {
		switch s {
		case corev1.ResourceQuotaScopeNotTerminating:
		case corev1.ResourceQuotaScopeNotBestEffort:
			if len(resourcehelpers.PodRequests(pod, resourcehelpers.PodResourcesOptions{})) == 0 {
				return false
			}
		default:
			return false
		}
	}
	return true
}
