package handover

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// A new pod that has ended since it was proven must not get the Services, even
// if its condition still says Ready and another pod serves.
func TestEnded(t *testing.T) {
	controller := true
	set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{UID: "set", Labels: map[string]string{hashLabel: "new"}}}
	for name, tc := range map[string]struct {
		status corev1.ContainerStatus
		ending bool
		before int32 // restarts when it was proven
		want   string
	}{
		"runs":                              {status: corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}},
		"restarted before it was proven":    {status: corev1.ContainerStatus{RestartCount: 1, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}, before: 1},
		"has restarted since":               {status: corev1.ContainerStatus{RestartCount: 2, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}, before: 1, want: "pod"},
		"is being created":                  {status: corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}}},
		"has ended":                         {status: corev1.ContainerStatus{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}, want: "pod"},
		"waits for its restart":             {status: corev1.ContainerStatus{RestartCount: 1, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}}, want: "pod"},
		"has ended, as the kubelet reports": {status: corev1.ContainerStatus{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}, ending: true},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "pod", UID: "pod", OwnerReferences: []metav1.OwnerReference{{UID: "set", Controller: &controller}}},
				Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{tc.status}}}
			if tc.ending {
				now := metav1.Now()
				pod.DeletionTimestamp = &now
			}
			s := &State{ReplicaSets: []*appsv1.ReplicaSet{set}, Pods: []*corev1.Pod{pod}}
			proven := map[types.UID]int32{"pod": tc.before}
			if got := s.ended("new", proven); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
			if got := s.ended("old", proven); got != "" {
				t.Errorf("of another version: %q", got)
			}
		})
	}
}
