package kubecmd

import (
	"strings"
	"testing"
)

// TestConfirmRun sends an event with the key from --event-key-from, because the
// worker's environment has none, and follows its run through the new pods. A key that
// the server refuses is found out before anything is changed.
func TestConfirmRun(t *testing.T) {
	w := newWorld(t, 1)
	w.withInngest(map[string]string{"SLOW_MS": "10"})
	w.run(0, "rollout", "--tag", "old")
	w.write("good.key", testEventKey+"\n")
	w.write("wrong.key", "another\n")
	w.write("slash.key", "another/one\n")

	if _, errs := w.run(0, "rollout", "--tag", "new", "--confirm-run", "approval/requested", "--event-key-from", "file:good.key"); w.tag(0) != "new" ||
		!strings.Contains(errs, "1 run of approval/requested completed") || strings.Contains(errs, testEventKey+"\n") {
		t.Errorf("runs %s\n%s", w.tag(0), errs)
	}
	for key, why := range map[string]string{"wrong.key": "does not accept the event key", "slash.key": "the key has a slash"} {
		if _, errs := w.run(3, "rollout", "--tag", "old", "--confirm-run", "approval/requested", "--event-key-from", "file:"+key); w.tag(0) != "new" ||
			!strings.Contains(errs, why) {
			t.Errorf("%s: runs %s\n%s", key, w.tag(0), errs)
		}
	}
	// So is a key that cannot be read.
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
