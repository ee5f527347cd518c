package handover

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelpers "k8s.io/component-helpers/resource"
)

var one = resource.NewQuantity(1, resource.DecimalSI)

// fit returns how many pods with these requests a node has room for, in addition to
// the pods that it runs. A resource that the node does not have counts as 0.
func fit(node *corev1.Node, pods []corev1.Pod, requests corev1.ResourceList) int64 {
	free := node.Status.Allocatable.DeepCopy()
	for i := range pods {
		if pods[i].Spec.NodeName != node.Name {
			continue
		}
		used := resourcehelpers.PodRequests(&pods[i], resourcehelpers.PodResourcesOptions{})
		used[corev1.ResourcePods] = *one
		for name, q := range used {
			left := free[name]
			left.Sub(q)
			free[name] = left
		}
	}
	fits := int64(-1)
	for name, need := range requests {
		if need.IsZero() {
			continue
		}
		left := free[name]
		n := max(0, left.MilliValue()/need.MilliValue())
		if fits < 0 || n < fits {
			fits = n
		}
	}
	return max(0, fits)
}
