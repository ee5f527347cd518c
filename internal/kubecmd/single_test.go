package kubecmd

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/joelhooks/gh-sbw/internal/receipt"
	"github.com/joelhooks/gh-sbw/internal/rollout"
)

// TestTheLifeOfAWorker follows a worker: it is created and replaced, and a bad version
// is rolled back, with each run right after the previous one.
func TestTheLifeOfAWorker(t *testing.T) {
	w := newWorld(t, 1)
	out, _ := w.run(0, "rollout", "--tag", "old", "--no-inngest")
	if want := w.ns + "/deployment/worker " + w.registry + "/o/w:old@sha256:"; !strings.HasPrefix(out, want) {
		t.Errorf("stdout is %q", out)
	}
	w.run(0, "rollout", "--tag", "new", "--no-inngest", "--no-settle")
	if !strings.Contains(w.errs.String(), "nothing verifies that they are gone") {
		t.Errorf("--no-settle is not reported:\n%s", w.errs)
	}
	stamped := w.read("k8s/worker.yaml")
	w.run(4, "rollout", "--tag", "crash", "--no-inngest")
	if w.tag(0) != "new" || w.read("k8s/worker.yaml") != stamped {
		t.Errorf("runs %s, manifest %s", w.tag(0), w.read("k8s/worker.yaml"))
	}
	entries, err := receipt.History(w.deployment(0).Annotations)
	if err != nil {
		t.Fatal(err)
	}
	var ends []string
	for _, e := range entries {
		ends = append(ends, receipt.ParseImage(e.Image).Tag+": "+e.End)
	}
	if got := strings.Join(ends, ", "); got != "crash: failed, changed and restored, new: done, old: done" {
		t.Errorf("history: %s", got)
	}
}

func TestForceContinuesDuringAnotherRollout(t *testing.T) {
	w := newWorld(t, 1)
	w.run(0, "rollout", "--tag", "old", "--no-inngest")
	// A kubectl set image whose pod takes long to become ready.
	patch := `{"spec":{"template":{"spec":{"containers":[{"name":"worker","image":"` + w.registry + `/o/w:slow"}]}}}}`
	if _, err := w.kubes[0].AppsV1().Deployments(w.ns).Patch(t.Context(), "worker", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "kubectl-set"}); err != nil {
		t.Fatal(err)
	}
	if w.run(3, "rollout", "--tag", "new", "--no-inngest", "--force-conflicts"); !strings.Contains(w.errs.String(), "in the middle of another rollout") {
		t.Error(w.errs)
	}
	w.run(0, "rollout", "--tag", "new", "--no-inngest", "--force", "--force-conflicts")
	if w.tag(0) != "new" {
		t.Errorf("runs %s", w.tag(0))
	}
}

func TestScaledToZeroIsAppliedAndReportedAsUnproven(t *testing.T) {
	w := newWorld(t, 1)
	w.write("k8s/worker.yaml", strings.Replace(w.read("k8s/worker.yaml"), "replicas: 1", "replicas: 0", 1))
	w.run(0, "rollout", "--tag", "old", "--no-inngest")
	w.run(0, "rollout", "--tag", "new", "--no-inngest")
	if w.tag(0) != "new" || !strings.Contains(w.errs.String(), "explain no-replicas") || !strings.Contains(w.errs.String(), "scaled to 0: there is no pod to probe") {
		t.Errorf("runs %s\n%s", w.tag(0), w.errs)
	}
}

// TestADirectoryWithAKustomization: the directory is read as with kubectl's -k, and the
// stamp goes where the image is decided.
func TestADirectoryWithAKustomization(t *testing.T) {
	w := newWorld(t, 1)
	base := w.read("k8s/worker.yaml")
	w.write("k8s/base/worker.yaml", base)
	w.write("k8s/base/kustomization.yaml", "resources: [worker.yaml]\n")
	overlay := "resources: [../base]\nimages:\n  - name: " + w.registry + "/o/w  # which\n    newTag: none\n"
	w.write("k8s/prod/kustomization.yaml", overlay)
	w.run(0, "rollout", "--tag", "old", "--no-inngest", "-f", "k8s/prod")
	if w.tag(0) != "old" || w.read("k8s/base/worker.yaml") != base {
		t.Errorf("runs %s; the base is\n%s", w.tag(0), w.read("k8s/base/worker.yaml"))
	}
	if got := w.read("k8s/prod/kustomization.yaml"); got == overlay || !strings.Contains(got, "# which") {
		t.Errorf("the overlay is\n%s", got)
	}
}

// TestKustomizationAppliedAsRendered: whichever form the entry has, the cluster gets what
// the stamped files render, including the init container that also changes, and the run
// names what changed.
func TestKustomizationAppliedAsRendered(t *testing.T) {
	t.Parallel()
	for name, entry := range map[string]string{"tag": "newTag: none", "digest": "digest: sha256:" + strings.Repeat("a", 64)} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1)
			repository := w.registry + "/o/w"
			base := strings.Replace(w.read("k8s/worker.yaml"), "      containers:\n", "      initContainers: [{name: migrate, image: '"+repository+"'}]\n      containers:\n", 1)
			w.write("k8s/kustomization.yaml", "resources: [worker.yaml]\nimages: [{name: "+repository+", "+entry+"}]\n")
			w.write("k8s/worker.yaml", base)
			w.run(0, "rollout", "--tag", "old", "--no-inngest", "-f", "k8s")
			live, err := w.kubes[0].AppsV1().Deployments(w.ns).Get(t.Context(), "worker", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			pod := live.Spec.Template.Spec
			rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(w.dir, "k8s"))
			if err != nil {
				t.Fatal(err)
			}
			text, err := rendered.AsYaml()
			if err != nil {
				t.Fatal(err)
			}
			if image := pod.Containers[0].Image; pod.InitContainers[0].Image != image || strings.Count(string(text), "image: "+image+"\n") != 2 {
				t.Errorf("runs %s with %s; the files render\n%s", image, pod.InitContainers[0].Image, text)
			}
			if !strings.Contains(w.errs.String(), "container migrate of Deployment worker also changes") || !strings.Contains(w.errs.String(), "k8s/worker.yaml:") {
				t.Errorf("what also changes is not reported:\n%s", w.errs)
			}
			before := live.DeepCopy()
			w.run(0, "rollout", "--tag", "old", "--no-inngest", "-f", "k8s")
			if live, err = w.kubes[0].AppsV1().Deployments(w.ns).Get(t.Context(), "worker", metav1.GetOptions{}); err != nil || !equality.Semantic.DeepEqual(live.Spec.Template, before.Spec.Template) {
				t.Errorf("the same again changed the pods (%v): %s", err, cmp.Diff(before.Spec.Template, live.Spec.Template))
			}
		})
	}
}

// history returns what `history -o json` prints.
func (w *world) history() []rollout.Past {
	w.Helper()
	out, _ := w.run(0, "history", "-o", "json")
	var d historyDocument
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		w.Fatal(err)
	}
	return d.Revisions
}

func TestHistoryKeepsWhatCameBeforeAnUndo(t *testing.T) {
	w := newWorld(t, 1)
	w.run(0, "rollout", "--tag", "old", "--no-inngest")
	w.run(0, "rollout", "--tag", "new", "--no-inngest")
	out, _ := w.run(0, "undo", "--no-inngest", "-o", "json")
	var undone rolloutDocument
	if err := json.Unmarshal([]byte(out), &undone); err != nil {
		t.Fatal(err)
	}
	if undone.Command != "kubectl sbw undo" || undone.End != "done" || undone.Revision != 1 || undone.Tag != "old" ||
		!strings.Contains(undone.Previous, ":new@") || !strings.Contains(undone.Image, ":old@") || !undone.Settled {
		t.Errorf("%+v", undone)
	}
	w.run(4, "rollout", "--tag", "crash", "--no-inngest")
	patch := `{"spec":{"template":{"metadata":{"labels":{"by":"hand"}}}}}`
	if _, err := w.kubes[0].AppsV1().Deployments(w.ns).Patch(t.Context(), "worker", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "kubectl-edit"}); err != nil {
		t.Fatal(err)
	}
	w.until(func() bool { return len(w.history()) == 5 }) // the ReplicaSet of the crash stays and is shown on its run's line
	var got []string
	for _, p := range w.history() {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s", p.Command, p.Tag, p.End)))
	}
	// Sorted by time; the manual revision and the run before it are within the same second.
	slices.Sort(got)
	if want := []string{"old", "rollout crash restored", "rollout new done", "rollout old done", "undo old done"}; !slices.Equal(got, want) {
		t.Errorf("history: %q", got)
	}
	table, _ := w.run(0, "history")
	if !strings.Contains(table, "done (undo)") || strings.Count(table, " * ") != 1 {
		t.Errorf("\n%s", table)
	}
}

// TestWithoutARegistry: without the registry nobody can verify later that what runs is
// what the tag meant, so the rollout is refused unless that is accepted.
func TestWithoutARegistry(t *testing.T) {
	w := newWorld(t, 1)
	w.run(0, "rollout", "--tag", "old", "--no-inngest")
	if _, errs := w.run(3, "rollout", "--image", "127.0.0.1:1/o/w", "--tag", "x", "--no-inngest"); !strings.Contains(errs, "registry-unreachable") || !strings.Contains(errs, "--no-pin") {
		t.Error(errs)
	}
	w.run(0, "rollout", "--image", "127.0.0.1:1/o/w", "--tag", "x", "--no-inngest", "--no-pin", "--dry-run=client")
}

// TestAFileThatCannotBeWritten: it is reported before anything is changed.
func TestAFileThatCannotBeWritten(t *testing.T) {
	w := newWorld(t, 1)
	if err := os.Chmod(filepath.Join(w.dir, "k8s/worker.yaml"), 0o444); err != nil {
		t.Fatal(err)
	}
	if _, errs := w.run(3, "rollout", "--tag", "old", "--no-inngest"); !strings.Contains(errs, "manifest-not-written") {
		t.Error(errs)
	}
	w.run(0, "rollout", "--tag", "old", "--no-inngest", "--no-write")
}

// TestAClosedPipeKillsNothing: when the reader of the result is gone, the program still
// ends by itself.
func TestAClosedPipeKillsNothing(t *testing.T) {
	r, wr, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "explain")
	cmd.Env = append(os.Environ(), asPlugin+"=1", "HOME="+t.TempDir())
	cmd.Stdout, cmd.Stderr = wr, wr
	if err := cmd.Run(); err == nil || cmd.ProcessState == nil || !cmd.ProcessState.Exited() {
		t.Errorf("%v", err)
	}
}
