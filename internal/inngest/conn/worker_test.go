package conn

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestLiveSince(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	at := func(ago time.Duration) metav1.Time { return metav1.NewTime(now.Add(-ago)) }
	pod := func(created time.Duration, phase corev1.PodPhase, started ...time.Duration) corev1.Pod {
		p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: at(created)}, Status: corev1.PodStatus{Phase: phase}}
		for _, s := range started {
			p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{
				Name: "worker", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at(s)}},
			})
		}
		return p
	}
	ahead := func(p corev1.Pod, by time.Duration) corev1.Pod {
		scheduled := metav1.NewTime(p.CreationTimestamp.Time)
		start := metav1.NewTime(scheduled.Add(by))
		p.Status.StartTime = &start
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: scheduled}}
		return p
	}
	for name, c := range map[string]struct {
		pods []corev1.Pod
		want time.Duration
	}{
		"no pods":                            {nil, 0},
		"one pod":                            {[]corev1.Pod{pod(time.Hour, corev1.PodRunning, time.Hour)}, time.Hour},
		"a container that was restarted":     {[]corev1.Pod{pod(time.Hour, corev1.PodRunning, time.Minute)}, time.Minute},
		"a node whose clock is ahead":        {[]corev1.Pod{ahead(pod(time.Hour, corev1.PodRunning, time.Minute), 5*time.Minute)}, 6 * time.Minute},
		"a node whose clock is behind":       {[]corev1.Pod{ahead(pod(time.Hour, corev1.PodRunning, time.Hour), -5*time.Minute)}, time.Hour},
		"two pods":                           {[]corev1.Pod{pod(time.Hour, corev1.PodRunning, time.Hour), pod(time.Minute, corev1.PodRunning, time.Minute)}, time.Hour},
		"an old pod that has ended":          {[]corev1.Pod{pod(time.Hour, corev1.PodFailed), pod(time.Minute, corev1.PodRunning, time.Minute)}, time.Minute},
		"a pod whose containers are unknown": {[]corev1.Pod{pod(time.Hour, corev1.PodRunning)}, time.Hour},
	} {
		if got := now.Sub(liveSince(c.pods, "worker", now)); got != c.want {
			t.Errorf("%s: %s ago, want %s", name, got, c.want)
		}
	}
}

func TestServiceOf(t *testing.T) {
	for host, want := range map[string]string{
		"worker": "own/worker", "worker.ns": "ns/worker", "worker.ns.svc": "ns/worker", "worker.ns.svc.cluster.local": "ns/worker",
		"localhost": "", "10.0.0.1": "", "host.docker.internal": "", "a.b.example.com": "",
	} {
		namespace, name, ok := ServiceOf(host, "own")
		if got := namespace + "/" + name; ok != (want != "") || ok && got != want {
			t.Errorf("%s: %s, %v; want %q", host, got, ok, want)
		}
	}
}
