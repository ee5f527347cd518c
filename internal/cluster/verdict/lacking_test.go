package verdict_test

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// TestLacking: when the time is up, be it the caller's or the controller's, the message
// names the pod and its reason, even if the pod would deserve more time.
func TestLacking(t *testing.T) {
	// change returns a world with one new pod, in its n-th second.
	at := func(n int, change ...func(*corev1.Pod)) *world {
		w := one(change...)()
		w.now = t0.Add(time.Duration(n) * time.Second)
		return w
	}
	withEvent := func(w *world, reason, message string) *world { w.event("n", reason, message); return w }
	noStatus := func(node string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Spec.NodeName, p.Status = node, corev1.PodStatus{Phase: corev1.PodPending} }
	}
	slowProbe := func(p *corev1.Pod) {
		p.Spec.Containers[0].ReadinessProbe = &corev1.Probe{InitialDelaySeconds: 300, PeriodSeconds: 10, FailureThreshold: 3}
	}
	startup := func(p *corev1.Pod) {
		p.Spec.Containers[0].StartupProbe = &corev1.Probe{InitialDelaySeconds: 30, PeriodSeconds: 10, FailureThreshold: 3}
	}
	tests := []struct {
		name  string
		world *world
		code  pipeline.Code // of the verdict after the controller has given up
		names []string
	}{
		{"the readiness probe has answered", withEvent(at(5), "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"), verdict.CodeNotReady,
			[]string{"container c of pod n", "statuscode: 503"}},
		{"the readiness probe has not run yet", at(5, slowProbe), verdict.CodeProgressDeadline, []string{"container c of pod n", "5s", "5m0s (initialDelaySeconds)"}},
		{"no probe has answered", at(5), verdict.CodeProgressDeadline, []string{"container c of pod n", "has run for 5s"}},
		{"the startup probe has not run yet", at(5, startup), verdict.CodeProgressDeadline, []string{"container c of pod n", "startup probe has not succeeded", "30s (initialDelaySeconds)"}},
		{"an init container has just begun", at(5, initContainer(corev1.Container{Name: "migrate"}, runningFor(-3*time.Second))), verdict.CodeProgressDeadline, []string{"init container migrate of pod n", "2s"}},
		{"crashed once, up again", at(5, again(1)), verdict.CodeProgressDeadline, []string{"container c of pod n", "exit code 1", "once"}},
		{"being created, without an event", at(5, waiting("ContainerCreating", "")), verdict.CodeProgressDeadline, []string{"container c of pod n", "ContainerCreating"}},
		{"the scheduler has not looked at it", at(5, noStatus("")), verdict.CodeProgressDeadline, []string{"pod n has no node yet"}},
		{"the kubelet has not looked at it", at(5, noStatus("n1")), verdict.CodeProgressDeadline, []string{"node n1 has reported nothing about pod n"}},
		{"unschedulable", at(5, unschedulable("0/1 nodes are available: 1 Insufficient cpu.")), verdict.CodeUnschedulable, []string{"pod n", "Insufficient cpu"}},
		{"Ready, but not for long enough", func() *world {
			w := at(5, ready)
			w.d.Spec.MinReadySeconds = 60
			w.pods[0].Status.Conditions[1].LastTransitionTime = metav1.NewTime(t0)
			return w
		}(), verdict.CodeProgressDeadline, []string{"pod n has been Ready for 5s", "minReadySeconds asks for 1m0s"}},
		{"no new pod, because an old one is terminating", func() *world {
			w := newWorld(1)
			w.pod("o", w.old, ending) // since 10 s before t0
			w.now = t0.Add(5 * time.Second)
			return w
		}(), verdict.CodeProgressDeadline, []string{"pod o of the old version has been terminating for 15s"}},
		{"evicted before it had a node", at(5, func(p *corev1.Pod) {
			p.Spec.NodeName, p.Status = "", corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted"}
		}), verdict.CodeEvicted, []string{"the cluster evicted pod n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			says := func(what, text string) {
				t.Helper()
				for _, name := range tt.names {
					if !strings.Contains(text, name) {
						t.Errorf("%s: %q lacks %q", what, text, name)
					}
				}
				if strings.Contains(text, "  ") {
					t.Errorf("%s: %q has two spaces", what, text)
				}
			}
			says("timeout", verdict.Lacking(tt.world.snapshot(), verdict.Policy{}))
			tt.world.d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded"}}
			v, _ := verdict.Judge(tt.world.snapshot(), verdict.Policy{}, verdict.Memory{})
			if v.State != verdict.Failed || v.Cause.Code != tt.code {
				t.Fatalf("%s %+v, want %s", v.State, v.Cause, tt.code)
			}
			says("deadline", v.Cause.What+": "+v.Cause.Why)
		})
	}
}
