package kubecmd

import (
	"context"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestNamespaceThatDoesNotExist: one line says so, whichever command finds out.
func TestNamespaceThatDoesNotExist(t *testing.T) {
	w := newWorld(t, 1)
	missing := w.ns + "-missing"
	for _, tt := range []struct {
		code int
		args []string
	}{
		{3, []string{"rollout", "--tag", "old"}},
		{3, []string{"rollout", "--tag", "old", "--dry-run=client"}},
		{3, []string{"rollout", "--tag", "old", "--no-inngest", "--strategy", "switch"}},
		{3, []string{"rollout", "--tag", "old", "--image-only"}},
		{3, []string{"doctor", "--tag", "old"}},
		{3, []string{"undo"}},
		{1, []string{"status"}},
	} {
		_, errs := w.run(tt.code, append(tt.args, "--namespace", missing)...)
		if n := strings.Count(errs, "error: "); n != 1 || !strings.Contains(errs, "the cluster has no namespace "+missing) || !strings.Contains(errs, "namespace-missing") {
			t.Errorf("%v: %d errors\n%s", tt.args, n, errs)
		}
	}
}

// TestManifestMakesItsNamespace: a first rollout may create it. If the rollout fails, the
// namespace stays, because others may have put something into it.
func TestManifestMakesItsNamespace(t *testing.T) {
	w := newWorld(t, 1)
	ns := w.ns + "-made"
	t.Cleanup(func() {
		if err := w.kubes[0].CoreV1().Namespaces().Delete(context.WithoutCancel(t.Context()), ns, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	w.write("k8s/worker.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: "+ns+"}\n---\n"+w.read("k8s/worker.yaml"))
	w.run(0, "rollout", "--tag", "old", "--no-inngest", "--namespace", ns, "--dry-run=server")
	_, errs := w.run(4, "rollout", "--tag", "old", "--no-inngest", "--namespace", ns, "--timeout", "2s") // nothing runs pods there
	if !strings.Contains(errs, "restore-left") {
		t.Error(errs)
	}
	got, err := w.kubes[0].CoreV1().Namespaces().Get(t.Context(), ns, metav1.GetOptions{})
	if err != nil || got.DeletionTimestamp != nil {
		t.Errorf("the namespace is gone: %v", err)
	}
	if _, err := w.kubes[0].AppsV1().Deployments(ns).Get(t.Context(), "worker", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the Deployment is still there: %v", err)
	}
}
