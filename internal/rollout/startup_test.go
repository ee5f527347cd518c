package rollout

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/watch"
)

// at holds the moments of a start, as durations since the first write.
type at struct{ ran, served, failed, ready time.Duration }

// started returns the observations of a pod that started at these moments.
func started(a at, onStart, readiness *corev1.Probe) *startup {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := &startup{container: "worker", began: began}
	if a.served > 0 {
		s.ask = func(*corev1.Pod) time.Time { return began.Add(a.served) }
	}
	see := func(after time.Duration, ready corev1.ConditionStatus, events ...*corev1.Event) {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "worker-1", UID: "1", Namespace: "ns"},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "sidecar"}, {Name: "worker", StartupProbe: onStart, ReadinessProbe: readiness}}},
			Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}},
				ContainerStatuses: []corev1.ContainerStatus{{Name: "worker", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}}}
		s.see(watch.Result{Verdict: verdict.Verdict{Pods: []verdict.Pod{{Name: "worker-1", UID: "1"}}},
			Snapshot: verdict.Snapshot{Pods: []*corev1.Pod{pod}, Events: events}}, began.Add(after))
	}
	pulled := &corev1.Event{InvolvedObject: corev1.ObjectReference{UID: "1"}, Reason: "Pulled",
		Message: `Successfully pulled image "r/w:t" in 900ms (1.5s including waiting). Image size: 33 bytes.`}
	see(a.ran, corev1.ConditionFalse, pulled)
	var failure []*corev1.Event
	if a.failed > 0 {
		failure = []*corev1.Event{{InvolvedObject: corev1.ObjectReference{UID: "1"}, Reason: "Unhealthy", Count: 1}}
		see(a.failed, corev1.ConditionFalse, failure...)
	}
	if a.ready > 0 {
		see(a.ready, corev1.ConditionTrue, failure...)
	}
	s.asking.Wait()
	return s
}

func TestProbeDelay(t *testing.T) {
	const second = time.Second
	slow := &corev1.Probe{InitialDelaySeconds: 5, PeriodSeconds: 10}
	quick := &corev1.Probe{PeriodSeconds: 1}
	for _, test := range []struct {
		name               string
		at                 at
		startup, readiness *corev1.Probe
		added              string // with the settings; empty: nothing to say
	}{
		{"readiness probe settings", at{ran: 2 * second, served: 4300 * time.Millisecond, ready: 12400 * time.Millisecond}, nil, slow,
			"8.1s readinessProbe: initialDelaySeconds 5 and periodSeconds 10"},
		{"startup probe settings", at{ran: second, served: 2 * second, ready: 20 * second}, slow, quick,
			"18.0s startupProbe: initialDelaySeconds 5 and periodSeconds 10"},
		{"the probe runs every second", at{ran: second, served: 2 * second, ready: 20 * second}, nil, quick, ""},
		{"no probe", at{ran: second, served: 2 * second, ready: 20 * second}, nil, nil, ""},
		{"Ready soon after serving", at{ran: second, served: 2 * second, ready: 4 * second}, nil, slow, ""},
		{"the probe failed after the pod served", at{ran: second, served: 2 * second, failed: 11 * second, ready: 21 * second}, nil, slow,
			"10.0s readinessProbe: initialDelaySeconds 5 and periodSeconds 10"},
		{"unknown when it served", at{ran: second, ready: 20 * second}, nil, slow, ""},
		{"never Ready", at{ran: second, served: 2 * second}, nil, slow, ""},
	} {
		f := started(test.at, test.startup, test.readiness).delay()
		if (f != nil) != (test.added != "") {
			t.Errorf("%s: %+v", test.name, f)
			continue
		}
		added, settings, _ := strings.Cut(test.added, " ")
		if f != nil && (f.Code != CodeProbeDelay || !strings.HasSuffix(f.What, " by "+added) || !strings.HasSuffix(f.Why, settings)) {
			t.Errorf("%s: %s: %s", test.name, f.What, f.Why)
		}
	}
}

func TestStartup(t *testing.T) {
	got := started(at{ran: 2 * time.Second, served: 3 * time.Second, ready: 10 * time.Second}, nil, nil).result()
	if want := (Startup{Pod: "worker-1", Pull: 1.5, Started: 2, Served: 1, Ready: 8}); got == nil || *got != want {
		t.Errorf("%+v", got)
	}
	if got := (&startup{}).result(); got != nil {
		t.Errorf("%+v", got)
	}
	for _, message := range []string{`Container image "r/w:t" already present on machine`, "", "pulled in haste (quickly including waiting)"} {
		if d := pulledIn(message); d != 0 {
			t.Errorf("%q: %s", message, d)
		}
	}
	if !slices.Contains(strings.Fields(started(at{ran: time.Second}, nil, nil).result().String()), "1.5s,") {
		t.Error("the pull is missing")
	}
}

// The wait before the switch begins when the last pod accepted connections, which may be
// long before its readiness probe ran.
func TestServingSince(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "1"}}
	other := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "2"}}
	for _, test := range []struct {
		name string
		at   at
		pods []*corev1.Pod
		want time.Duration // negative: not known
	}{
		{"it accepted connections before it was Ready", at{ran: time.Second, served: 2 * time.Second, ready: 9 * time.Second}, []*corev1.Pod{pod}, 2 * time.Second},
		{"unknown when it accepted connections", at{ran: time.Second, ready: 9 * time.Second}, []*corev1.Pod{pod}, 9 * time.Second},
		{"it was asked late", at{ran: time.Second, served: 10 * time.Second, ready: 9 * time.Second}, []*corev1.Pod{pod}, 9 * time.Second},
		{"not Ready", at{ran: time.Second, served: 2 * time.Second}, []*corev1.Pod{pod}, -1},
		{"another pod was not observed", at{ran: time.Second, served: 2 * time.Second, ready: 3 * time.Second}, []*corev1.Pod{pod, other}, -1},
		{"no pod", at{ran: time.Second, served: 2 * time.Second, ready: 3 * time.Second}, nil, -1},
	} {
		s := started(test.at, nil, nil)
		got := s.serving(test.pods)
		if test.want < 0 && !got.IsZero() || test.want >= 0 && got != s.began.Add(test.want) {
			t.Errorf("%s: %s", test.name, got.Sub(s.began))
		}
	}
}
