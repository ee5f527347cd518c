package kubecmd

import (
	"context"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/rollout"
)

// restartPods makes the containers of a version's pods look as if they had restarted once.
func (w *world) restartPods(tag string) {
	w.Helper()
	pods, err := w.kubes[0].CoreV1().Pods(w.ns).List(w.Context(), metav1.ListOptions{LabelSelector: "app=worker"})
	if err != nil {
		w.Fatal(err)
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		if p.DeletionTimestamp != nil || !strings.Contains(p.Spec.Containers[0].Image, ":"+tag+"@") {
			continue
		}
		p.Status.ContainerStatuses[0].RestartCount++
		if _, err := w.kubes[0].CoreV1().Pods(w.ns).UpdateStatus(w.Context(), p, metav1.UpdateOptions{}); err != nil {
			w.Fatal(err)
		}
	}
}

// A new version that does worse after the switch loses the Services again while the
// old pods are still there, and everything else is restored as well. A version that
// does well stays.
func TestBake(t *testing.T) {
	w := newSwitchWorld(t)
	file := w.read("k8s/worker.yaml")
	args := []string{"rollout", "--no-inngest", "--tag", "new", "--strategy", "switch", "--bake"}
	_, out := w.runInterrupted("drain", func(context.CancelCauseFunc) { w.restartPods("new") }, append(args, "10m")...)
	if out.End != pipeline.Restored || !slices.Contains(codes(out), rollout.CodeBakeFailed) {
		t.Errorf("%v %v: %v", out.End, codes(out), out.Err)
	}
	w.released()
	if got := w.serving(); !slices.Equal(got, []string{"old"}) || w.tag(0) != "old" || w.read("k8s/worker.yaml") != file {
		t.Errorf("%v serve, the Deployment has %s", got, w.tag(0))
	}
	w.run(0, append(args, "10ms")...)
	w.released()
	if got := w.serving(); !slices.Equal(got, []string{"new"}) {
		t.Errorf("%v serve", got)
	}
}

// Without --bake, the new pods are watched for as long as the old ones still
// have work.
func TestNewPodsAreWatchedWhileOldOnesWork(t *testing.T) {
	w := newWorld(t, 1)
	p := w.withInngest(map[string]string{"SLOW_MS": "600000"})
	w.run(0, "rollout", "--tag", "old")
	w.send("voice/missed")
	began(t, p, "call")
	_, out := w.runInterrupted("drain", func(context.CancelCauseFunc) { w.restartPods("new") },
		"rollout", "--tag", "new", "--strategy", "switch")
	if out.End != pipeline.Restored || !slices.Contains(codes(out), rollout.CodeBakeFailed) || w.tag(0) != "old" {
		t.Errorf("%v %v, runs %s: %v", out.End, codes(out), w.tag(0), out.Err)
	}
}
