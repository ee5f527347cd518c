package handover

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
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

// The Services get their selectors back only when no controller publishes an old pod as
// ready any more.
func TestAllEnding(t *testing.T) {
	yes, now := true, metav1.Now()
	template := func(image string) corev1.PodTemplateSpec {
		return corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "worker", Image: image}}}}
	}
	set := func(image string, wanted *int32, counted int32) *appsv1.ReplicaSet {
		return &appsv1.ReplicaSet{
			ObjectMeta: metav1.ObjectMeta{UID: types.UID(image), Generation: 2, OwnerReferences: []metav1.OwnerReference{{UID: "worker", Controller: &yes}}},
			Spec:       appsv1.ReplicaSetSpec{Replicas: wanted, Template: template(image)},
			Status:     appsv1.ReplicaSetStatus{Replicas: counted, ObservedGeneration: 2},
		}
	}
	pod := func(of string, ending bool) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{{UID: types.UID(of), Controller: &yes}}}}
		if ending {
			p.DeletionTimestamp = &now
		}
		return p
	}
	two, none := int32(2), int32(0)
	unseen := set("old", &none, 0)
	unseen.Status.ObservedGeneration = 1
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{UID: "worker"}, Spec: appsv1.DeploymentSpec{Template: template("new")}}
	for name, tc := range map[string]struct {
		old     *appsv1.ReplicaSet
		pods    []*corev1.Pod
		unknown bool
		want    bool
	}{
		"all are terminating, and their controller has seen it": {old: set("old", &none, 0), pods: []*corev1.Pod{pod("old", true)}, want: true},
		"all are gone":                                      {old: set("old", &none, 0), want: true},
		"their controller still counts them":                {old: set("old", &none, 1), pods: []*corev1.Pod{pod("old", true)}},
		"their controller has not seen that none is wanted": {old: unseen, pods: []*corev1.Pod{pod("old", true)}},
		"they are still wanted":                             {old: set("old", &two, 2), pods: []*corev1.Pod{pod("old", false)}},
		"the default number is wanted":                      {old: set("old", nil, 1), pods: []*corev1.Pod{pod("old", false)}},
		"one is not terminating yet":                        {old: set("old", &none, 0), pods: []*corev1.Pod{pod("old", true), pod("old", false)}},
		"the pods are not known":                            {old: set("old", &none, 0), unknown: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := verdict.Snapshot{ReplicaSets: []*appsv1.ReplicaSet{set("new", &two, 2), tc.old}, Pods: append(tc.pods, pod("new", false)), PodsUnknown: tc.unknown}
			if got := allEnding(&workload.Workload{Deployment: d}, s); got != tc.want {
				t.Errorf("%t, want %t", got, tc.want)
			}
		})
	}
}
