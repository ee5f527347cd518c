package kubecmd

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// head runs a command with -o json and returns the head of its document.
func (w *world) head(code int, argv ...string) cli.Head {
	w.Helper()
	out, _ := w.run(code, append(argv, "-o", "json")...)
	var d struct{ cli.Head }
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		w.Fatal(err)
	}
	return d.Head
}

// TestMissingPermissionsAreOneRole: whatever a command may not do, one finding has one
// Role to apply, and one note lists what could not be checked for that reason.
func TestMissingPermissionsAreOneRole(t *testing.T) {
	w := newWorld(t, 1)
	w.run(0, "rollout", "--tag", "old", "--no-inngest")
	w.mayOnlyGet(0, "looker")
	for _, argv := range [][]string{
		{"rollout", "--tag", "new", "--no-inngest", "--as", "nobody"},
		{"rollout", "--tag", "new", "--no-inngest", "--as", "looker"},
		{"rollout", "--tag", "new", "--as", "nobody"},
		{"rollout", "--tag", "new", "--strategy", "auto", "--no-inngest", "--as", "nobody"},
		{"doctor", "--tag", "new", "--as", "nobody"},
		{"undo", "--no-inngest", "--as", "nobody"},
	} {
		t.Run(strings.Join(argv, " "), func(t *testing.T) {
			var codes, roles []string
			for _, f := range w.head(3, argv...).Findings {
				if f.Code == "rbac" || f.Severity == pipeline.Error {
					codes = append(codes, string(f.Code))
				}
				for _, line := range f.Evidence {
					if strings.HasPrefix(line, "kind: ") {
						roles = append(roles, line)
					}
				}
			}
			if !slices.Equal(codes, []string{"rbac"}) || !slices.Equal(roles, []string{"kind: Role"}) {
				t.Errorf("%q %q\n%s", codes, roles, w.errs)
			}
		})
	}
}

// TestNothingAppliedIsNothingChanged: if the API server refuses the apply after the
// preflight, nothing is changed, and the manifest file is restored.
func TestNothingAppliedIsNothingChanged(t *testing.T) {
	w := newWorld(t, 1)
	w.run(0, "rollout", "--tag", "old", "--no-inngest")
	file := w.read("k8s/worker.yaml")
	w.policy(0, admissionv1.Update, "apps", "deployments", "request.dryRun")
	w.until(func() bool { // the API server starts to enforce it asynchronously
		_, err := w.kubes[0].AppsV1().Deployments(w.ns).Patch(t.Context(), "worker", types.MergePatchType, []byte(`{"spec":{"paused":false}}`), metav1.PatchOptions{})
		return err != nil
	})
	for _, argv := range [][]string{
		{"rollout", "--tag", "new", "--no-inngest"},
		{"rollout", "--tag", "new", "--no-inngest", "--image-only"},
		{"rollout", "--tag", "new", "--no-inngest", "--no-write"},
	} {
		if h := w.head(int(pipeline.Unchanged), argv...); h.End != "unchanged" || w.tag(0) != "old" || w.read("k8s/worker.yaml") != file {
			t.Errorf("%q: end %s, runs %s\n%s", argv, h.End, w.tag(0), w.errs)
		}
	}
}
