package conn

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestOldestStart(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 11, 28, 12, minute, 0, 0, time.UTC) }
	pod := func(started ...time.Time) (p corev1.Pod) {
		for _, when := range started {
			s := corev1.ContainerStatus{}
			if !when.IsZero() {
				s.State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(when)}
			}
			p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, s)
		}
		return p
	}
	for name, c := range map[string]struct {
		pods []corev1.Pod
		want time.Time
	}{
		"no pods":                        {nil, time.Time{}},
		"one that has not started":       {[]corev1.Pod{pod(time.Time{})}, time.Time{}},
		"one pod":                        {[]corev1.Pod{pod(at(5))}, at(5)},
		"one whose container restarted":  {[]corev1.Pod{pod(at(5), at(9))}, at(9)},
		"several that share a queue":     {[]corev1.Pod{pod(at(9)), pod(at(5)), pod(at(7))}, at(5)},
		"one that starts beside another": {[]corev1.Pod{pod(time.Time{}), pod(at(7))}, at(7)},
	} {
		if got := oldestStart(c.pods); !got.Equal(c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
