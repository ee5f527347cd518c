package kubecmd

import (
	"strings"
	"testing"
)

// TestUndoDoesNotGoBackToWhatFailed: the revision before the current one is the
// one that the last rollout had to abandon.
func TestUndoDoesNotGoBackToWhatFailed(t *testing.T) {
	w := newWorld(t, 1)
	w.run(0, "rollout", "--tag", "old", "--no-inngest")
	w.run(0, "rollout", "--tag", "new", "--no-inngest")
	w.run(4, "rollout", "--tag", "crash", "--no-inngest")
	w.run(0, "undo", "--no-inngest")
	if w.tag(0) != "old" {
		t.Errorf("runs %s, want what ran before the last that was good", w.tag(0))
	}
}

// TestUndoAfterTheSameImageFailed: failure belongs to a revision, not to an image. The
// last attempt has the image of a good revision, but other arguments.
func TestUndoAfterTheSameImageFailed(t *testing.T) {
	w := newWorld(t, 1)
	w.run(0, "rollout", "--tag", "old", "--no-inngest")
	w.run(0, "rollout", "--tag", "new", "--no-inngest")
	file := w.read("k8s/worker.yaml")
	w.write("k8s/worker.yaml", strings.Replace(file, "containers:", "nodeSelector: {none: \"such\"}\n      containers:", 1))
	w.run(4, "rollout", "--tag", "new", "--no-inngest", "--probe-expect", "what no page has")
	w.run(0, "undo", "--no-inngest")
	if w.tag(0) != "old" {
		t.Errorf("runs %s, want what ran before the last that was good", w.tag(0))
	}
	for _, c := range w.deployment(0).Spec.Template.Spec.NodeSelector {
		t.Errorf("the failed attempt's selector is there: %s", c)
	}
}
