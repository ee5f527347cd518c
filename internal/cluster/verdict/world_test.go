package verdict_test

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
)

var t0 = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

type world struct {
	d        *appsv1.Deployment
	old, new *appsv1.ReplicaSet
	pods     []*corev1.Pod
	events   []*corev1.Event
	logs     map[verdict.Container]string
	now      time.Time
}

func owner(uid types.UID, kind string) []metav1.OwnerReference {
	yes := true
	return []metav1.OwnerReference{{UID: uid, Kind: kind, Controller: &yes}}
}

func newWorld(n int32) *world {
	probe := &corev1.Probe{PeriodSeconds: 10, FailureThreshold: 3}
	template := func(image, hash string) corev1.PodTemplateSpec {
		return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "w", "pod-template-hash": hash}},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: image, ReadinessProbe: probe}}}}
	}
	rs := func(name, image string, age time.Duration) *appsv1.ReplicaSet {
		return &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), OwnerReferences: owner("d", "Deployment"), CreationTimestamp: metav1.NewTime(t0.Add(-age))},
			Spec: appsv1.ReplicaSetSpec{Template: template(image, name)}}
	}
	w := &world{old: rs("w-old", "x:1", time.Hour), new: rs("w-new", "x:2", 0), now: t0, logs: map[verdict.Container]string{}}
	w.d = &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "w", UID: "d", Generation: 2},
		Spec:   appsv1.DeploymentSpec{Replicas: &n, Template: template("x:2", "")},
		Status: appsv1.DeploymentStatus{ObservedGeneration: 2}}
	delete(w.d.Spec.Template.Labels, "pod-template-hash")
	return w
}

func (w *world) pod(name string, rs *appsv1.ReplicaSet, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), OwnerReferences: owner(rs.UID, "ReplicaSet"), CreationTimestamp: metav1.NewTime(t0)},
		Spec: *rs.Spec.Template.Spec.DeepCopy(),
		Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}, {Type: corev1.PodReady, Status: corev1.ConditionFalse}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: "c", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(t0)}}}}}}
	p.Spec.NodeName = "n1"
	for _, c := range change {
		c(p)
	}
	w.pods = append(w.pods, p)
	return p
}

func ready(p *corev1.Pod) {
	p.Status.Conditions[1].Status = corev1.ConditionTrue
	p.Status.ContainerStatuses[0].Ready = true
}

func ending(p *corev1.Pod) {
	at, grace := metav1.NewTime(t0.Add(20*time.Second)), int64(30)
	p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &at, &grace
}

func waiting(reason, message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.Phase = corev1.PodPending
		p.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	}
}

func ended(restarts int32, code int32, reason, message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		end := &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, Message: message}
		s := &p.Status.ContainerStatuses[0]
		s.RestartCount, s.State = restarts, corev1.ContainerState{Terminated: end}
		if restarts > 0 {
			s.LastTerminationState.Terminated = end
		}
	}
}

// backOff makes a container that ended wait for its restart.
func backOff(p *corev1.Pod) {
	s := &p.Status.ContainerStatuses[0]
	s.LastTerminationState.Terminated = s.State.Terminated
	s.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
}

func again(restarts int32) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		s := &p.Status.ContainerStatuses[0]
		s.RestartCount, s.LastTerminationState.Terminated = restarts, &corev1.ContainerStateTerminated{ExitCode: 1}
	}
}

func unschedulable(message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status = corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: message}, {Type: corev1.PodReady, Status: corev1.ConditionFalse}}}
	}
}

func (w *world) event(uid, reason, message string) {
	w.events = append(w.events, &corev1.Event{InvolvedObject: corev1.ObjectReference{UID: types.UID(uid), FieldPath: "spec.containers{c}"}, Reason: reason, Message: message, LastTimestamp: metav1.NewTime(w.now)})
}

func (w *world) status(replicas, updated, available int32) {
	w.d.Status.Replicas, w.d.Status.UpdatedReplicas, w.d.Status.AvailableReplicas = replicas, updated, available
}

func (w *world) snapshot() verdict.Snapshot {
	return verdict.Snapshot{Workload: &workload.Workload{Deployment: w.d}, ReplicaSets: []*appsv1.ReplicaSet{w.old, w.new}, Pods: w.pods, Events: w.events, Logs: w.logs, Now: w.now}
}

func one(change ...func(*corev1.Pod)) func() *world {
	return func() *world {
		w := newWorld(1)
		w.pod("n", w.new, change...)
		w.status(1, 1, 0)
		return w
	}
}
