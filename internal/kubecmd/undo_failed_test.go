package kubecmd

import (
	"testing"
)

// TestUndoDoesNotGoBackToWhatFailed: the revision before the current one is the
// one that the last rollout had to give up.
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
