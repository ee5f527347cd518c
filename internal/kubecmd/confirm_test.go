package kubecmd

import (
	"strings"
	"testing"
)

// TestConfirmRun sends an event with the key from --event-key-from, because the
// worker's environment has none, and follows its run through the new pods. If the
// server refuses the key, the previous version is restored.
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
	// A key that cannot be read is reported before anything is changed.
	if _, errs := w.run(3, "rollout", "--tag", "old", "--confirm-run", "approval/requested", "--event-key-from", "file:none.key"); w.tag(0) != "new" ||
		!strings.Contains(errs, "key-source-unread") {
		t.Errorf("runs %s\n%s", w.tag(0), errs)
	}
}

// While keys are rotated, the server still has the old key, which is the worker's
// fallback: the worker works, so a rollout of it does, too.
func TestFallbackKey(t *testing.T) {
	const newKey = "signkey-test-ffffffffffffffffffffffffffffffff"
	w := newWorld(t, 1)
	w.withInngest(map[string]string{"INNGEST_SIGNING_KEY": newKey, "INNGEST_SIGNING_KEY_FALLBACK": testSigningKey})
	w.write("k8s/worker.yaml", strings.Replace(w.read("k8s/worker.yaml"), testSigningKey, newKey, 1))
	if _, errs := w.run(3, "rollout", "--tag", "old"); !strings.Contains(errs, "inngest-wrong-signing-key") {
		t.Error(errs)
	}
	w.write("k8s/worker.yaml", strings.Replace(w.read("k8s/worker.yaml"), "env: [", "env: [{name: INNGEST_SIGNING_KEY_FALLBACK, value: "+testSigningKey+"}, ", 1))
	if _, errs := w.run(0, "rollout", "--tag", "old"); !strings.Contains(errs, "fallback signing key") || w.tag(0) != "old" {
		t.Errorf("runs %s\n%s", w.tag(0), errs)
	}
}
