package evidence_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"unicode"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster/evidence"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/watch"
	"github.com/joelhooks/gh-sbw/internal/sandbox/controlplane/cptest"
)

func TestMain(m *testing.M) { os.Exit(cptest.Main(m)) }

func TestCollect(t *testing.T) {
	kube := cptest.Kube(t, cptest.Shared(t))
	ns := cptest.Namespace(t, kube, nil)
	node := cptest.NewNode(t, kube)
	asked := 0
	node.Log = func(pod, container string, previous bool) (string, int) {
		asked++
		switch {
		case previous && pod == "w-1":
			return "unable to retrieve container logs for containerd://55d2", 0
		case previous:
			return "first try\n", 0
		case pod == "w-2":
			return "gone", http.StatusInternalServerError
		}
		return "starting\n\x1b[31mError:\x1b[0m Cannot find module 'x'\r\n\x1b]0;title\x07end\n", 0
	}
	var r watch.Result
	for i := range 6 {
		name := fmt.Sprintf("w-%d", i)
		pod, err := kube.CoreV1().Pods(ns).Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: corev1.PodSpec{NodeName: node.Name, Containers: []corev1.Container{{Name: "c", Image: "x"}}}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		end := &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", Message: "bad\x1b[2J"}
		pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse, Reason: "ContainersNotReady"}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: "c", RestartCount: 2, State: corev1.ContainerState{Terminated: end}, LastTerminationState: corev1.ContainerState{Terminated: end}}}}
		if pod, err = kube.CoreV1().Pods(ns).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		r.Snapshot.Pods = append(r.Snapshot.Pods, pod)
		r.Verdict.Pods = append(r.Verdict.Pods, verdict.Pod{Name: name, UID: string(pod.UID), Ready: i == 0})
	}
	r.Verdict.Cause = &verdict.Cause{Code: "crash-loop", Pod: "w-3", Container: "c"}
	r.Snapshot.Events = []*corev1.Event{{Reason: "BackOff", Message: "Back-off\x07 restarting", Count: 3, InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: "w-3"}}}

	e := evidence.Collect(t.Context(), kube, r)
	if len(e.Pods) != 3 || e.Pods[0].Name != "w-3" || asked != 6 {
		t.Fatalf("%d pods, %d logs asked for: %+v", len(e.Pods), asked, e)
	}
	c := e.Pods[0].Containers[0]
	if got := strings.Join(c.Log, "|"); got != "starting|Error: Cannot find module 'x'|end" {
		t.Errorf("log %q", got)
	}
	if got := strings.Join(c.Previous, "|"); got != "first try" || c.Restarts != 2 || !strings.Contains(c.State, "exit code 1") {
		t.Errorf("%+v", c)
	}
	if len(e.Missed) != 2 || !strings.Contains(strings.Join(e.Missed, "\n"), "unable to retrieve") {
		t.Errorf("missed %q", e.Missed)
	}
	if brief := e.Brief(2); strings.Join(brief, "|") != "log of w-3/c:|  Error: Cannot find module 'x'|  end" {
		t.Errorf("brief %q", brief)
	}
	if len(e.Events) != 1 || e.Events[0].Object != "pod/w-3" || e.Events[0].Count != 3 {
		t.Errorf("events %+v", e.Events)
	}
	data, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range string(data) {
		if unicode.IsControl(r) || strings.Contains(string(data), `\u001b`) || strings.Contains(string(data), `\u0007`) {
			t.Fatalf("control characters in %s", data)
		}
	}
	if e := (evidence.Evidence{}); e.Brief(5) != nil {
		t.Error("nothing has a brief")
	}
}
