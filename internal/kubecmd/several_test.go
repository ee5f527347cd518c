package kubecmd

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestSeveralWorkersInOneManifest: objects that are not the worker's are named, listed
// with the configuration to write, or warned about.
func TestSeveralWorkersInOneManifest(t *testing.T) {
	w := newWorld(t, 1)
	worker := w.read("k8s/worker.yaml")
	second := strings.NewReplacer("name: worker", "name: other", "app: worker", "app: other").Replace(worker)
	w.write("k8s/worker.yaml", worker+"---\n"+second)
	w.write(".sbw.yaml", fmt.Sprintf(`workers:
  worker: {inngest: none, probe: none, deploy: {manifest: k8s/worker.yaml, namespace: %[1]s, timeout: 30s}}
  other: {inngest: none, probe: none, deploy: {manifest: k8s/worker.yaml, namespace: %[1]s, timeout: 30s}}
  third: {inngest: none, probe: none, deploy: {manifest: k8s/worker.yaml, namespace: %[1]s, timeout: 30s}}
`, w.ns))
	_, errs := w.run(2, "rollout", "--tag", "old")
	if !strings.Contains(errs, "worker-ambiguous") || !strings.Contains(errs, "--worker: other, third, worker") {
		t.Error(errs)
	}
	_, errs = w.run(3, "rollout", "--tag", "old", "--worker", "third")
	for _, want := range []string{"manifest-target", "deployment/worker", "deployment/other", "k8s/worker.yaml:2: deploy: {kind: Deployment", "worker third"} {
		if !strings.Contains(errs, want) {
			t.Errorf("%q is not in\n%s", want, errs)
		}
	}

	w.run(0, "rollout", "--tag", "old", "--worker", "worker")
	w.run(0, "rollout", "--tag", "old", "--worker", "other")
	if _, errs = w.run(0, "doctor", "--tag", "new", "--worker", "worker"); strings.Contains(errs, "manifest-others") {
		t.Error(errs)
	}
	// Somebody else has rolled out the other worker from another machine.
	patch := []byte(`{"spec":{"template":{"spec":{"containers":[{"name":"other","image":"` + w.registry + `/o/w:newer"}]}}}}`)
	deployments := w.kubes[0].AppsV1().Deployments(w.ns)
	if _, err := deployments.Patch(t.Context(), "other", types.StrategicMergePatchType, patch, metav1.PatchOptions{FieldManager: "by-hand"}); err != nil {
		t.Fatal(err)
	}
	_, errs = w.run(0, "rollout", "--tag", "new", "--worker", "worker", "--force-conflicts", "--dry-run=server")
	if !strings.Contains(errs, "manifest-others") || !strings.Contains(errs, "/o/w:newer → ") {
		t.Error(errs)
	}
}

// TestManifestWithNothingToApply: one line says what is wrong and where.
func TestManifestWithNothingToApply(t *testing.T) {
	w := newWorld(t, 1)
	w.configure("    inngest: none\n    probe: none\n")
	worker := w.read("k8s/worker.yaml")
	for name, tt := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"comments":   {map[string]string{"m/a.yaml": "# a runner's contract\n#\n# apiVersion: v1\n"}, []string{"only comments", "gh sbw publish"}},
		"empty":      {map[string]string{"m/a.yaml": ""}, []string{"has no objects"}},
		"separators": {map[string]string{"m/a.yaml": "---\n# x\n---\n"}, []string{"has no objects"}},
		"unrelated files": {map[string]string{"m/a.yaml": worker, "m/compose.yml": "# x\nservices: {}\n", "m/values.yaml": "tag: v1\n", "m/notes.txt": "x"},
			[]string{"manifest-not-objects", "m/compose.yml:2", "m/values.yaml:1", "-f ", "m/a.yaml"}},
		"a list":  {map[string]string{"m/a.yaml": worker, "m/list.yaml": "- op: add\n  path: /x\n"}, []string{"m/list.yaml:1"}},
		"latin 1": {map[string]string{"m/a.yaml": "# caf\xe9\n" + worker}, []string{"m/a.yaml:1", "not UTF-8"}},
		"syntax":  {map[string]string{"m/a.yaml": worker + "\n\tx: y\n"}, []string{"m/a.yaml:"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := strings.ReplaceAll(name, " ", "-")
			for file, text := range tt.files {
				w.write(strings.Replace(file, "m/", dir+"/", 1), text)
			}
			_, errs := w.run(3, "rollout", "--tag", "old", "-f", dir)
			for _, want := range tt.want {
				if !strings.Contains(errs, strings.Replace(want, "m/", dir+"/", 1)) {
					t.Errorf("%q is not in\n%s", want, errs)
				}
			}
		})
	}
}
