package verdict

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubectl/pkg/util/podutils"

	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
)

// Observed returns the generation that the controller has observed, and the current one.
func Observed(w *workload.Workload) (seen, now int64) {
	now = w.Object().GetGeneration()
	switch {
	case w.Deployment != nil:
		return w.Deployment.Status.ObservedGeneration, now
	case w.StatefulSet != nil:
		return w.StatefulSet.Status.ObservedGeneration, now
	default:
		return w.DaemonSet.Status.ObservedGeneration, now
	}
}

// SameTemplate reports whether two pod templates differ only in the hash that
// the controller adds: EqualIgnoreHash of the Deployment controller.
func SameTemplate(a, b *corev1.PodTemplateSpec) bool {
	a, b = a.DeepCopy(), b.DeepCopy()
	delete(a.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	delete(b.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	return apiequality.Semantic.DeepEqual(a, b)
}

// NewReplicaSet returns the ReplicaSet that a Deployment rolls out: the oldest one in owned
// with its template, which is the controller's choice (FindNewReplicaSet).
func NewReplicaSet(d *appsv1.Deployment, owned []*appsv1.ReplicaSet) *appsv1.ReplicaSet {
	var found *appsv1.ReplicaSet
	for _, rs := range owned {
		if !metav1.IsControlledBy(rs, d) || !SameTemplate(&rs.Spec.Template, &d.Spec.Template) {
			continue
		}
		if found == nil || rs.CreationTimestamp.Before(&found.CreationTimestamp) {
			found = rs
		}
	}
	return found
}

func (j *judgement) newRevision() {
	switch w := j.Workload; {
	case w.Deployment != nil:
		if j.replicaSet = NewReplicaSet(w.Deployment, j.ReplicaSets); j.replicaSet != nil {
			j.revision = j.replicaSet.Name
		}
	case w.StatefulSet != nil:
		j.revision = w.StatefulSet.Status.UpdateRevision
	default:
		// The controller gives the revision that matches the template the
		// highest number, also when going back (dedupCurHistories).
		var newest *appsv1.ControllerRevision
		for _, r := range j.Revisions {
			if metav1.IsControlledBy(r, w.DaemonSet) && (newest == nil || r.Revision > newest.Revision) {
				newest = r
			}
		}
		if newest != nil {
			j.revision = newest.Name
		}
	}
}

// isNew reports whether a pod belongs to the new revision.
func (j *judgement) isNew(pod *corev1.Pod) bool {
	if j.Workload.Deployment != nil {
		return j.replicaSet != nil && metav1.IsControlledBy(pod, j.replicaSet)
	}
	hash := pod.Labels[appsv1.ControllerRevisionHashLabelKey]
	if hash == "" || j.revision == "" {
		return false
	}
	// A StatefulSet labels with the revision's name, a DaemonSet with its hash.
	return j.revision == hash || j.revision == j.Workload.Object().GetName()+"-"+hash
}

func (j *judgement) mine(pod *corev1.Pod) bool {
	if j.Workload.Deployment == nil {
		return metav1.IsControlledBy(pod, j.Workload.Object())
	}
	owner := metav1.GetControllerOf(pod)
	return owner != nil && slices.ContainsFunc(j.ReplicaSets, func(rs *appsv1.ReplicaSet) bool {
		return rs.UID == owner.UID && metav1.IsControlledBy(rs, j.Workload.Deployment)
	})
}

func (j *judgement) sortPods() {
	for _, pod := range j.Pods {
		ending := pod.DeletionTimestamp != nil
		over := pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
		switch {
		case !j.mine(pod):
		case j.isNew(pod) && !ending && !over:
			j.fresh = append(j.fresh, pod)
		case j.isNew(pod) && !ending:
			j.finished = append(j.finished, pod)
		case j.isNew(pod):
		case ending:
			j.ending = append(j.ending, pod)
		case !over:
			j.old = append(j.old, pod)
		}
	}
	for _, list := range [][]*corev1.Pod{j.fresh, j.finished, j.old, j.ending} {
		slices.SortFunc(list, func(a, b *corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	}
}

// complete reads the status like kubectl
// (pkg/polymorphichelpers/rollout_status.go). waiting says what prevents the rollout from
// being complete.
func (j *judgement) complete() (bool, string) {
	var ready int32
	for _, pod := range j.fresh {
		if podutils.IsPodReady(pod) {
			ready++
		}
	}
	ok, waiting, available := j.completeByStatus()
	if ok && !j.PodsUnknown && ready < available {
		// There are two watches, and the workload's was faster than the pods'.
		return false, "reports about the new pods"
	}
	return ok, waiting
}

func (j *judgement) completeByStatus() (ok bool, waiting string, available int32) {
	wanted := j.Workload.Replicas()
	switch w := j.Workload; {
	case w.Deployment != nil:
		s := w.Deployment.Status
		if j.policy.Held {
			return s.UpdatedReplicas >= wanted && j.readyNew() >= wanted,
				fmt.Sprintf("new pods to become Ready: %d of %d", j.readyNew(), wanted), wanted
		}
		switch {
		case s.UpdatedReplicas < wanted:
			return false, fmt.Sprintf("new pods to be created: %d of %d", s.UpdatedReplicas, wanted), 0
		case s.Replicas > s.UpdatedReplicas:
			return false, fmt.Sprintf(
				"old pods to be stopped: %d left; new pods ready: %d of %d",
				s.Replicas-s.UpdatedReplicas,
				j.readyNew(),
				wanted,
			), 0
		case s.AvailableReplicas < s.UpdatedReplicas:
			return false, fmt.Sprintf("new pods to become available: %d of %d", s.AvailableReplicas, wanted), 0
		}
		return true, "", s.AvailableReplicas
	case w.StatefulSet != nil:
		s := w.StatefulSet.Status
		partition := int32(0)
		if r := w.StatefulSet.Spec.UpdateStrategy.RollingUpdate; r != nil && r.Partition != nil {
			partition = *r.Partition
		}
		must := max(0, wanted-partition)
		switch {
		case s.UpdatedReplicas < must && s.UpdateRevision != s.CurrentRevision:
			return false, fmt.Sprintf("new pods to be created: %d of %d", s.UpdatedReplicas, must), 0
		case s.ReadyReplicas < wanted || s.AvailableReplicas < wanted:
			return false, fmt.Sprintf("pods to become available: %d of %d", s.AvailableReplicas, wanted), 0
		case partition == 0 && s.UpdateRevision != s.CurrentRevision:
			return false, "the controller to name the new revision the current one", 0
		}
		return true, "", must
	default:
		s := w.DaemonSet.Status
		switch {
		case s.UpdatedNumberScheduled < s.DesiredNumberScheduled:
			return false, fmt.Sprintf("new pods to be created: %d of %d", s.UpdatedNumberScheduled, s.DesiredNumberScheduled), 0
		case s.NumberAvailable < s.DesiredNumberScheduled:
			return false, fmt.Sprintf("pods to become available: %d of %d", s.NumberAvailable, s.DesiredNumberScheduled), 0
		}
		return true, "", s.DesiredNumberScheduled
	}
}

func (j *judgement) readyNew() (n int32) {
	for _, pod := range j.fresh {
		if podutils.IsPodReady(pod) {
			n++
		}
	}
	return n
}
