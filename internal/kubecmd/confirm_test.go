package kubecmd

import (
	"strings"
	"testing"
)

// TestConfirmRun sends an event with the key that a person names, the worker's
// environment having none, and follows its run through the new pods; where the
// server refuses the key, what ran before is put back.
func TestConfirmRun(t *testing.T) {
	w := newWorld(t, 1)
	w.withInngest(map[string]string{"SLOW_MS": "10"})
	w.run(0, "rollout", "--tag", "old")
	w.write("good.key", testEventKey+"\n")
	w.write("wrong.key", "another\n")

	if _, errs := w.run(0, "rollout", "--tag", "new", "--confirm-run", "approval/requested", "--event-key-from", "file:good.key"); w.tag(0) != "new" ||
		!strings.Contains(errs, "1 run of approval/requested completed") || strings.Contains(errs, testEventKey+"\n") {
		t.Errorf("runs %s\n%s", w.tag(0), errs)
	}
	if _, errs := w.run(4, "rollout", "--tag", "old", "--confirm-run", "approval/requested", "--event-key-from", "file:wrong.key"); w.tag(0) != "new" ||
		!strings.Contains(errs, "event key") {
		t.Errorf("runs %s\n%s", w.tag(0), errs)
	}
	// What cannot be read is known before anything is changed.
	if _, errs := w.run(3, "rollout", "--tag", "old", "--confirm-run", "approval/requested", "--event-key-from", "file:none.key"); w.tag(0) != "new" ||
		!strings.Contains(errs, "key-source-unread") {
		t.Errorf("runs %s\n%s", w.tag(0), errs)
	}
}
