package kubecmd

import (
	"maps"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
	"github.com/joelhooks/gh-sbw/internal/imageref"
)

// podUIDs returns the UIDs of the worker's pods that are not terminating.
func (w *world) podUIDs() []string {
	w.Helper()
	pods, err := w.kubes[0].CoreV1().Pods(w.ns).List(w.Context(), metav1.ListOptions{LabelSelector: "app=worker"})
	if err != nil {
		w.Fatal(err)
	}
	var uids []string
	for _, p := range pods.Items {
		if p.DeletionTimestamp == nil {
			uids = append(uids, string(p.UID))
		}
	}
	return slices.Sorted(slices.Values(uids))
}

// With either strategy, a restart brings up new pods of the same image. The manifest
// file stays as it is, and rolling out the same tag again replaces no pod.
func TestRestart(t *testing.T) {
	w := newSwitchWorld(t)
	file, image := w.read("k8s/worker.yaml"), w.deployment(0).Spec.Template.Spec.Containers[0].Image
	for _, strategy := range []handover.Strategy{handover.StrategyRolling, handover.StrategySwitch} {
		before := w.podUIDs()
		out, errs := w.run(0, "restart", "--no-inngest", "--strategy", string(strategy), "-o", "json")
		if s := decoded(t, out).Strategy; s.Strategy != strategy {
			t.Errorf("%+v", s)
		}
		w.released()
		after := w.podUIDs()
		if slices.ContainsFunc(after, func(uid string) bool { return slices.Contains(before, uid) }) || len(after) != len(before) {
			t.Errorf("%s: pods %v, then %v\n%s", strategy, before, after, errs)
		}
		if now := w.deployment(0).Spec.Template.Spec.Containers[0].Image; now != image || w.read("k8s/worker.yaml") != file {
			t.Errorf("%s: the image is %s", strategy, now)
		}
		w.run(0, "rollout", "--no-inngest", "--tag", imageref.Split(image).Tag)
		if now := w.podUIDs(); !slices.Equal(now, after) {
			t.Errorf("%s: rolling out what runs has replaced pods: %v, then %v", strategy, after, now)
		}
	}
	if d := w.deployment(0); d.Annotations[apply.ChangeCause] == "" || d.Spec.Template.Annotations[apply.RestartedAt] == "" {
		t.Errorf("%v %v", d.Annotations, d.Spec.Template.Annotations)
	}
	before := w.podUIDs()
	if out, _ := w.run(0, "restart", "--no-inngest", "--dry-run=server", "--diff"); !strings.Contains(out, apply.RestartedAt) || !slices.Equal(w.podUIDs(), before) {
		t.Error(out)
	}
}

// A restart in several clusters replaces the pods of each, which keeps its own image,
// and leaves the manifest alone.
func TestRestartInSeveralClusters(t *testing.T) {
	w := newWorld(t, 2)
	w.run(0, "rollout", "--context", "eu", "--tag", "old", "--no-inngest")
	w.run(0, "rollout", "--context", "us", "--tag", "new", "--no-inngest")
	file := w.read("k8s/worker.yaml")
	res := w.fleet(0, "restart", "--contexts", "*")
	w.wantEnds(res, "eu: done, runs old", "us: done, runs new")
	for i := range 2 {
		if w.deployment(i).Spec.Template.Annotations[apply.RestartedAt] == "" {
			t.Errorf("cluster %d was not restarted", i)
		}
	}
	if w.read("k8s/worker.yaml") != file {
		t.Error("the manifest was changed")
	}
}

// A restart whose new pods fail the proof leaves the old ones, and the next restart
// continues one that was killed.
func TestRestartThatFails(t *testing.T) {
	w := newSwitchWorld(t)
	before, mark := w.podUIDs(), maps.Clone(w.deployment(0).Spec.Template.Annotations)
	_, errs := w.run(4, "restart", "--no-inngest", "--strategy", "switch", "--probe-expect", "what no page has")
	w.released()
	if now := w.podUIDs(); !slices.Equal(now, before) || !maps.Equal(w.deployment(0).Spec.Template.Annotations, mark) {
		t.Errorf("pods %v, then %v\n%s", before, now, errs)
	}
	for _, at := range []string{"stage-finished hold", "stage-finished watch", "note switch", "stage-started release"} {
		w.kill(at, "restart", "--no-inngest", "--strategy", "switch")
		begun := w.deployment(0).Spec.Template.Annotations[apply.RestartedAt]
		_, errs := w.run(0, "restart", "--no-inngest", "--strategy", "switch")
		w.released()
		if now := w.deployment(0).Spec.Template.Annotations[apply.RestartedAt]; now != begun {
			t.Errorf("killed at %s: another restart was started, %s and %s\n%s", at, begun, now, errs)
		}
	}
}

// A rollout that replaces no pod interrupts no step, so it is not refused because of a
// step that must not be interrupted. That happens after a run that was killed at its end.
func TestNoPodIsReplaced(t *testing.T) {
	w := newWorld(t, 1)
	p := w.withInngest(map[string]string{"SLOW_MS": "600000"})
	w.run(0, "rollout", "--tag", "old")
	w.send("voice/missed")
	began(t, p, "call")
	pods := w.podUIDs()
	w.run(0, "rollout", "--tag", "old", "--strategy", "auto")
	if now := w.podUIDs(); !slices.Equal(now, pods) {
		t.Errorf("pods %v, then %v", pods, now)
	}
}
