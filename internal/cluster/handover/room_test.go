package handover

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func list(cpu, memory, pods string) corev1.ResourceList {
	all := corev1.ResourceList{}
	for name, value := range map[corev1.ResourceName]string{corev1.ResourceCPU: cpu, corev1.ResourceMemory: memory, corev1.ResourcePods: pods} {
		if value != "" {
			all[name] = resource.MustParse(value)
		}
	}
	return all
}

func TestFit(t *testing.T) {
	on := func(node, cpu, memory string) corev1.Pod {
		return corev1.Pod{Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: list(cpu, memory, "")}}}}}
	}
	for _, test := range []struct {
		name        string
		allocatable corev1.ResourceList
		pods        []corev1.Pod
		requests    corev1.ResourceList
		want        int64
	}{
		{"empty node", list("2", "4Gi", "110"), nil, list("500m", "1Gi", "1"), 4},
		{"the scarcest resource decides", list("2", "4Gi", "110"), nil, list("100m", "3Gi", "1"), 1},
		{"other pods' requests are subtracted", list("2", "4Gi", "110"), []corev1.Pod{on("n", "1500m", "1Gi"), on("other", "2", "4Gi")}, list("500m", "", "1"), 1},
		{"full", list("2", "4Gi", "110"), []corev1.Pod{on("n", "2", "")}, list("1m", "", "1"), 0},
		{"overcommitted", list("2", "4Gi", "110"), []corev1.Pod{on("n", "3", "")}, list("1m", "", "1"), 0},
		{"no requests", list("2", "4Gi", "3"), []corev1.Pod{on("n", "", ""), on("n", "", "")}, list("", "", "1"), 1},
		{"a resource that the node lacks", list("2", "4Gi", "110"), nil, corev1.ResourceList{"example.test/gpu": resource.MustParse("1")}, 0},
	} {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Status: corev1.NodeStatus{Allocatable: test.allocatable}}
		if got := fit(node, test.pods, test.requests); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}
