package verdict_test

import (
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
)

func TestDescription(t *testing.T) {
	w := newWorld(2)
	w.pod("o1", w.old, ready)
	w.pod("o2", w.old, ready, ending)
	w.pod("n2", w.new, waiting("ContainerCreating", ""))
	w.pod("n1", w.new, ready, func(p *corev1.Pod) {
		p.Status.ContainerStatuses[0].ImageID = "x@sha256:1"
		p.Status.ContainerStatuses[0].RestartCount = 2
	})
	w.pod("n0", w.new, ending) // scaled down again
	stranger := w.pod("stranger", w.new)
	stranger.OwnerReferences = owner("other", "ReplicaSet")
	w.status(3, 2, 2)
	v, _ := verdict.Judge(w.snapshot(), verdict.Policy{}, verdict.Memory{})
	if v.Revision != "w-new" || v.Wanted != 2 || v.Updated != 2 || v.Ready != 1 || !slices.Equal(v.Old, []string{"o1"}) {
		t.Errorf("%+v", v)
	}
	if len(v.Ending) != 1 || v.Ending[0].Name != "o2" || v.Ending[0].Since != 10*time.Second || v.Ending[0].Left != 20*time.Second {
		t.Errorf("%+v", v.Ending)
	}
	if len(v.Pods) != 2 || v.Pods[0].Name != "n1" || v.Pods[0].ImageID != "x@sha256:1" || v.Pods[0].Restarts != 2 || !v.Pods[0].Ready || v.Pods[1].State != "ContainerCreating" {
		t.Errorf("%+v", v.Pods)
	}
}

func TestInitContainers(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	build := func(sidecar bool, status corev1.ContainerStatus) *world {
		w := one(waiting("PodInitializing", ""))()
		p := w.pods[0]
		p.Spec.InitContainers = []corev1.Container{{Name: "init"}}
		if sidecar {
			p.Spec.InitContainers[0].RestartPolicy = &always
		}
		status.Name = "init"
		p.Status.InitContainerStatuses = []corev1.ContainerStatus{status}
		return w
	}
	end := func(code, restarts int32) corev1.ContainerStatus {
		return corev1.ContainerStatus{RestartCount: restarts, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code}}}
	}
	tests := []struct {
		name string
		w    *world
		want string
	}{
		{"did its work", build(false, end(0, 0)), ""},
		{"fails", build(false, end(3, 1)), "crash-loop"},
		{"runs for long", build(false, corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(t0.Add(-time.Hour))}}}), "init-running"},
		{"has just started", build(false, corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(t0.Add(-time.Second))}}}), ""},
		{"a sidecar must not end", build(true, end(0, 1)), "exits"},
	}
	for _, tt := range tests {
		v, _ := verdict.Judge(tt.w.snapshot(), verdict.Policy{}, verdict.Memory{})
		got := ""
		if v.Cause != nil {
			got = string(v.Cause.Code)
		}
		if got != tt.want || got != "" && v.Cause.Container != "init" {
			t.Errorf("%s: %+v", tt.name, v.Cause)
		}
	}
}

func TestStatefulSet(t *testing.T) {
	three := int32(3)
	set := func(status appsv1.StatefulSetStatus, change ...func(*appsv1.StatefulSet)) *appsv1.StatefulSet {
		s := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "w", UID: "s", Generation: 2}, Spec: appsv1.StatefulSetSpec{Replicas: &three}, Status: status}
		s.Status.ObservedGeneration = 2
		for _, c := range change {
			c(s)
		}
		return s
	}
	pod := func(name, revision string, change ...func(*corev1.Pod)) *corev1.Pod {
		w := newWorld(1)
		p := w.pod(name, w.new, change...)
		p.OwnerReferences, p.Labels = owner("s", "StatefulSet"), map[string]string{"controller-revision-hash": revision}
		return p
	}
	partition := func(n int32) func(*appsv1.StatefulSet) {
		return func(s *appsv1.StatefulSet) {
			s.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: &n}
		}
	}
	tests := []struct {
		name string
		s    *appsv1.StatefulSet
		pods []*corev1.Pod
		want string
	}{
		{"complete", set(appsv1.StatefulSetStatus{CurrentRevision: "w-2", UpdateRevision: "w-2", UpdatedReplicas: 3, ReadyReplicas: 3, AvailableReplicas: 3, Replicas: 3}),
			[]*corev1.Pod{pod("w-0", "w-2", ready), pod("w-1", "w-2", ready), pod("w-2", "w-2", ready)}, "complete"},
		{"one by one", set(appsv1.StatefulSetStatus{CurrentRevision: "w-1", UpdateRevision: "w-2", UpdatedReplicas: 1, ReadyReplicas: 3, AvailableReplicas: 3, Replicas: 3}),
			[]*corev1.Pod{pod("w-0", "w-1", ready), pod("w-1", "w-1", ready), pod("w-2", "w-2", ready)}, "progressing new pods to be created: 1 of 3"},
		{"the first new one fails", set(appsv1.StatefulSetStatus{CurrentRevision: "w-1", UpdateRevision: "w-2", UpdatedReplicas: 1, ReadyReplicas: 2, Replicas: 3}),
			[]*corev1.Pod{pod("w-0", "w-1", ready), pod("w-2", "w-2", waiting("ErrImagePull", "x:2: not found"))}, "failed image-not-found"},
		{"an old one's trouble", set(appsv1.StatefulSetStatus{CurrentRevision: "w-1", UpdateRevision: "w-2", UpdatedReplicas: 1, ReadyReplicas: 2, Replicas: 3}),
			[]*corev1.Pod{pod("w-0", "w-1", waiting("ErrImagePull", "x:1: not found"))}, "progressing new pods to be created: 1 of 3"},
		{"partition", set(appsv1.StatefulSetStatus{CurrentRevision: "w-1", UpdateRevision: "w-2", UpdatedReplicas: 1, ReadyReplicas: 3, AvailableReplicas: 3, Replicas: 3}, partition(2)),
			[]*corev1.Pod{pod("w-2", "w-2", ready)}, "complete"},
		{"by hand only", set(appsv1.StatefulSetStatus{CurrentRevision: "w-1", UpdateRevision: "w-2", ReadyReplicas: 3, AvailableReplicas: 3}, func(s *appsv1.StatefulSet) {
			s.Spec.UpdateStrategy.Type = appsv1.OnDeleteStatefulSetStrategyType
		}), nil, "failed on-delete"},
	}
	for _, tt := range tests {
		v, _ := verdict.Judge(verdict.Snapshot{Workload: &workload.Workload{StatefulSet: tt.s}, Pods: tt.pods, Now: t0}, verdict.Policy{}, verdict.Memory{})
		if got := outline(v); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	// No condition reports refused pods; the event does, while pods are
	// missing.
	s := set(appsv1.StatefulSetStatus{CurrentRevision: "w-1", UpdateRevision: "w-2"})
	e := &corev1.Event{InvolvedObject: corev1.ObjectReference{UID: "s"}, Reason: "FailedCreate", Message: `violates PodSecurity "restricted"`, LastTimestamp: metav1.NewTime(t0)}
	v, _ := verdict.Judge(verdict.Snapshot{Workload: &workload.Workload{StatefulSet: s}, Events: []*corev1.Event{e}, Now: t0}, verdict.Policy{}, verdict.Memory{})
	if got := outline(v); got != "failed pod-security" {
		t.Error(got)
	}
}

func outline(v verdict.Verdict) string {
	switch {
	case v.Cause != nil:
		return string(v.State) + " " + string(v.Cause.Code)
	case v.Waiting != "":
		return string(v.State) + " " + v.Waiting
	}
	return string(v.State)
}

func TestDaemonSet(t *testing.T) {
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "w", UID: "ds", Generation: 2}, Status: appsv1.DaemonSetStatus{ObservedGeneration: 2, DesiredNumberScheduled: 2, UpdatedNumberScheduled: 1, NumberAvailable: 1}}
	revision := func(hash string, n int64) *appsv1.ControllerRevision {
		return &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Name: "w-" + hash, OwnerReferences: owner("ds", "DaemonSet")}, Revision: n, Data: runtime.RawExtension{}}
	}
	pod := func(name, hash string, change ...func(*corev1.Pod)) *corev1.Pod {
		w := newWorld(1)
		p := w.pod(name, w.new, change...)
		p.OwnerReferences, p.Labels = owner("ds", "DaemonSet"), map[string]string{"controller-revision-hash": hash}
		return p
	}
	s := verdict.Snapshot{Workload: &workload.Workload{DaemonSet: ds}, Now: t0,
		// Going back gives the old revision the highest number.
		Revisions: []*appsv1.ControllerRevision{revision("aaa", 3), revision("bbb", 2)},
		Pods:      []*corev1.Pod{pod("p1", "aaa"), pod("p2", "bbb", ready)}}
	v, _ := verdict.Judge(s, verdict.Policy{}, verdict.Memory{})
	if outline(v) != "progressing new pods to be created: 1 of 2" || v.Revision != "w-aaa" || len(v.Pods) != 1 || v.Pods[0].Name != "p1" {
		t.Errorf("%s %+v", outline(v), v)
	}
	s.Pods[0] = pod("p1", "aaa", waiting("ErrImagePull", "x: not found"))
	if v, _ = verdict.Judge(s, verdict.Policy{}, verdict.Memory{}); outline(v) != "failed image-not-found" {
		t.Error(outline(v))
	}
	s.Pods = []*corev1.Pod{pod("p1", "aaa", ready), pod("p2", "aaa", ready)}
	ds.Status.UpdatedNumberScheduled, ds.Status.NumberAvailable = 2, 2
	if v, _ = verdict.Judge(s, verdict.Policy{}, verdict.Memory{}); outline(v) != "complete" {
		t.Error(outline(v))
	}
}
