package kubecmd

import (
	"strings"
	"testing"
)

// stamps splits a manifest into its image and all other bytes.
func stamps(t *testing.T, text, repository string) (image, rest string) {
	t.Helper()
	from := strings.Index(text, repository)
	if from < 0 {
		t.Fatalf("no image in\n%s", text)
	}
	to := from + strings.IndexAny(text[from:], "\"' \r\n")
	return text[from:to], text[:from] + text[to:]
}

// TestUndoRestoresTheManifest: an undo changes the image in the file, and no other byte,
// whatever else is there.
func TestUndoRestoresTheManifest(t *testing.T) {
	w := newWorld(t, 1)
	file := w.read("k8s/worker.yaml")
	file = strings.Replace(file, "image: "+w.registry+"/o/w:none   #", "image:   \""+w.registry+"/o/w:none\"\t #", 1)
	other := "# another worker of the same image\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\ndata: {image: '" + "o/w:none" + "'}\n"
	file = strings.ReplaceAll(file+"---\n"+other+"...", "\n", "\r\n") // without a final line break
	w.write("k8s/worker.yaml", file)
	_, rest := stamps(t, file, w.registry)

	w.run(0, "rollout", "--tag", "old", "--no-inngest")
	old := w.read("k8s/worker.yaml")
	w.run(0, "rollout", "--tag", "new", "--no-inngest")
	now := w.read("k8s/worker.yaml")
	w.run(0, "undo", "--no-inngest", "--no-write")
	if w.tag(0) != "old" || w.read("k8s/worker.yaml") != now {
		t.Errorf("--no-write: runs %s\n%s", w.tag(0), w.read("k8s/worker.yaml"))
	}

	// The file names an image that is not running: somebody wants to ship it.
	_, errs := w.run(0, "undo", "--no-inngest", "--to-revision", "2")
	if w.tag(0) != "new" || w.read("k8s/worker.yaml") != now || !strings.Contains(errs, "already has this image") {
		t.Errorf("runs %s\n%s\n%s", w.tag(0), w.read("k8s/worker.yaml"), errs)
	}
	out, errs := w.run(0, "undo", "--no-inngest", "-o", "json")
	if w.tag(0) != "old" || w.read("k8s/worker.yaml") != old || !strings.Contains(out, `"k8s/worker.yaml: `+w.registry+`/o/w:old@sha256:`) {
		t.Errorf("runs %s\n%s\n%s\n%s", w.tag(0), w.read("k8s/worker.yaml"), out, errs)
	}
	if image, left := stamps(t, w.read("k8s/worker.yaml"), w.registry); left != rest || !strings.Contains(image, ":old@") {
		t.Errorf("image %s, and other bytes differ:\n%q\n%q", image, left, rest)
	}
	edited := strings.Replace(old, ":old@", ":wanted@", 1)
	w.write("k8s/worker.yaml", edited)
	_, errs = w.run(0, "undo", "--no-inngest")
	if w.tag(0) != "new" || w.read("k8s/worker.yaml") != edited || !strings.Contains(errs, "manifest-left") {
		t.Errorf("runs %s\n%s\n%s", w.tag(0), w.read("k8s/worker.yaml"), errs)
	}

	// A file that is missing or invalid does not prevent an undo, unless it was named
	// on the command line.
	w.write("k8s/worker.yaml", "a: [")
	w.run(2, "undo", "--no-inngest", "-f", "k8s/none.yaml")
	w.run(3, "undo", "--no-inngest", "-f", "k8s/worker.yaml")
	if _, errs = w.run(0, "undo", "--no-inngest"); w.tag(0) != "old" || w.read("k8s/worker.yaml") != "a: [" || !strings.Contains(errs, "warning: ") {
		t.Errorf("runs %s\n%s", w.tag(0), errs)
	}
	w.run(3, "undo", "--no-inngest", "--to-revision", "99")
	w.run(2, "undo", "--no-inngest", "--to-revision", "-1")
	w.pause(0, true)
	if _, errs = w.run(3, "undo", "--no-inngest"); !strings.Contains(errs, "paused") {
		t.Error(errs)
	}
}

// TestUndoGuardsRunningSteps: an undo protects running steps as a rollout does.
func TestUndoGuardsRunningSteps(t *testing.T) {
	w := newWorld(t, 1)
	p := w.withInngest(map[string]string{"SLOW_MS": "600000"})
	w.run(0, "rollout", "--tag", "old")
	old := w.read("k8s/worker.yaml")
	w.run(0, "rollout", "--tag", "new")
	now := w.read("k8s/worker.yaml")

	w.send("approval/requested")
	began(t, p, "slow")
	_, errs := w.run(0, "undo")
	if w.tag(0) != "old" || w.read("k8s/worker.yaml") != old || !strings.Contains(errs, "inngest-step-delayed") {
		t.Errorf("runs %s\n%s\n%s", w.tag(0), w.read("k8s/worker.yaml"), errs)
	}

	w.send("voice/missed")
	began(t, p, "call")
	if _, errs = w.run(3, "undo"); !strings.Contains(errs, "inngest-step-killed") || w.tag(0) != "old" {
		t.Errorf("runs %s\n%s", w.tag(0), errs)
	}
	if _, errs = w.run(1, "undo", "--wait-idle=200ms"); !strings.Contains(errs, "inngest-not-idle") || w.tag(0) != "old" {
		t.Errorf("runs %s\n%s", w.tag(0), errs)
	}
	if _, errs = w.run(0, "undo", "--force"); w.tag(0) != "new" || w.read("k8s/worker.yaml") != now || !strings.Contains(errs, "inngest-step-killed") {
		t.Errorf("runs %s\n%s", w.tag(0), errs)
	}
}
