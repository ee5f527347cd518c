package handover

import (
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/kubectl/pkg/util/podutils"
)

// serving returns the only version that has Ready pods.
func (s *Situation) serving() (hash, why string) {
	ready := map[string]int{}
	for _, pod := range s.Pods {
		if rs := s.replicaSet(pod); rs != nil && pod.DeletionTimestamp == nil && podutils.IsPodReady(pod) {
			ready[rs.Labels[hashLabel]]++
		}
	}
	versions := slices.Sorted(maps.Keys(ready))
	switch {
	case len(versions) == 0:
		return "", "no pod of the current version is Ready: there is nothing to keep serving"
	case len(versions) > 1:
		return "", fmt.Sprintf("pods of %d versions are Ready: there is no single version to keep serving", len(versions))
	case versions[0] == "":
		return "", "its ReplicaSet has no pod-template-hash label"
	}
	return versions[0], ""
}

// replicaSet returns the Deployment's own ReplicaSet that a pod belongs to; nil for pods
// of other owners.
func (s *Situation) replicaSet(pod *corev1.Pod) *appsv1.ReplicaSet {
	owner := metav1.GetControllerOf(pod)
	if owner == nil {
		return nil
	}
	for _, rs := range s.ReplicaSets {
		if rs.UID == owner.UID && metav1.IsControlledBy(rs, s.Live.Deployment) {
			return rs
		}
	}
	return nil
}

// selects reports whether a Service selects the workload's pods, old or new.
func (s *Situation) selects(svc *corev1.Service) bool {
	if len(svc.Spec.Selector) == 0 || svc.Spec.Type == corev1.ServiceTypeExternalName {
		return false
	}
	want := maps.Clone(svc.Spec.Selector)
	delete(want, hashLabel)
	if len(want) == 0 {
		return false // it selects by the hash alone, and therefore a single version
	}
	sel := labels.SelectorFromSet(want)
	return sel.Matches(labels.Set(s.Live.Template().Labels)) || sel.Matches(labels.Set(s.next().Template().Labels))
}

// selecting returns the Services to switch, or why they cannot be switched.
func (s *Situation) selecting() (all []*corev1.Service, why string) {
	for _, svc := range s.Services {
		if len(svc.Spec.Selector) == 0 && svc.Name == s.Route {
			return nil, fmt.Sprintf("Service %s, which Inngest calls, has no selector: labels do not decide which pods serve", svc.Name)
		}
		if pinned, why := s.pinned(svc); pinned {
			return nil, why
		}
		if s.selects(svc) {
			all = append(all, svc)
		}
	}
	if len(all) == 0 {
		return nil, "no Service selects its pods: there is nothing to switch"
	}
	if s.Route != "" && !slices.ContainsFunc(all, func(svc *corev1.Service) bool { return svc.Name == s.Route }) {
		return nil, fmt.Sprintf("Service %s, which Inngest calls, does not select its pods", s.Route)
	}
	for _, svc := range all {
		if why := s.unswitchable(svc); why != "" {
			return nil, why
		}
	}
	return all, ""
}

// pinned reports whether something else switches a Service between versions.
func (s *Situation) pinned(svc *corev1.Service) (bool, string) {
	hash, has := svc.Spec.Selector[hashLabel]
	if !has || svc.Annotations[Annotation] != "" {
		return false, "" // nothing switches it, or a hand-over does, which Decide deals with
	}
	ours := s.selects(svc)
	for _, rs := range s.ReplicaSets {
		ours = ours || rs.Labels[hashLabel] == hash
	}
	return ours, fmt.Sprintf(
		"Service %s already selects pod-template-hash %s: something else decides which version it points to",
		svc.Name,
		hash,
	)
}

func (s *Situation) unswitchable(svc *corev1.Service) string {
	if !labels.SelectorFromSet(without(svc.Spec.Selector)).Matches(labels.Set(s.next().Template().Labels)) {
		return fmt.Sprintf("Service %s selects the current pods but not the new ones, whose labels differ", svc.Name)
	}
	if !labels.SelectorFromSet(without(svc.Spec.Selector)).Matches(labels.Set(s.Live.Template().Labels)) {
		return fmt.Sprintf("Service %s selects the new pods but not the current ones, whose labels differ", svc.Name)
	}
	sel := labels.SelectorFromSet(without(svc.Spec.Selector))
	for _, pod := range s.Pods {
		if s.replicaSet(pod) == nil && pod.DeletionTimestamp == nil && sel.Matches(labels.Set(pod.Labels)) &&
			pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed {
			return fmt.Sprintf(
				"Service %s also selects pod %s, which does not belong to this Deployment: a switch would cut it off",
				svc.Name,
				pod.Name,
			)
		}
	}
	switch field := localPolicy(svc); {
	case field != "" && s.Nodes != 1:
		return fmt.Sprintf(
			"Service %s reaches only pods on the node that gets the request (%s: Local), and the new pods may be on other nodes",
			svc.Name,
			field,
		)
	case slices.Contains(s.Altered, svc.Name):
		return fmt.Sprintf("the manifest changes Service %s itself: one patch cannot switch it and change it", svc.Name)
	case slices.Contains(s.Denied, svc.Name):
		return fmt.Sprintf("you may not patch Service %s", svc.Name)
	}
	return ""
}

// without returns a selector without the key that a hold adds.
func without(selector map[string]string) map[string]string {
	plain := maps.Clone(selector)
	delete(plain, hashLabel)
	return plain
}

// localPolicy returns the field by which a Service reaches only pods of the same node;
// empty if it reaches all of them.
func localPolicy(svc *corev1.Service) string {
	switch internal := svc.Spec.InternalTrafficPolicy; {
	case internal != nil && *internal == corev1.ServiceInternalTrafficPolicyLocal:
		return "internalTrafficPolicy"
	case svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal:
		return "externalTrafficPolicy"
	}
	return ""
}
