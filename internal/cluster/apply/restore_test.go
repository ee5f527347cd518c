package apply_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
)

func TestRestore(t *testing.T) {
	b := newBench(t)
	b.image("example.test/w:1")
	b.kubectl("apply", "-f", b.file)
	before := b.deployment()

	extra := "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: fresh}\ndata: {a: b}\n"
	b.write(strings.Replace(fmt.Sprintf(manifest, "example.test/w:2"), "cluster}", "host}", 1) + extra)
	results := b.apply(apply.Options{Annotations: map[string]string{"dev.sbw/tag": "2"}})

	// Meanwhile an autoscaler is at work: its change stays.
	if _, err := b.kube.AppsV1().Deployments(b.ns).Patch(b.Context(), "worker", types.MergePatchType, []byte(`{"spec":{"replicas":3}}`), metav1.PatchOptions{FieldManager: "hpa"}, "scale"); err != nil {
		t.Fatal(err)
	}
	restored, err := apply.Restore(b.Context(), b.conn, results, apply.Options{Target: b.ref})
	if err != nil {
		t.Fatal(err)
	}
	after := b.deployment()
	if diff := cmp.Diff(before.Spec.Template, after.Spec.Template); diff != "" {
		t.Errorf("the template is not what it was:\n%s", diff)
	}
	if *after.Spec.Replicas != 3 {
		t.Errorf("replicas are %d: the autoscaler's change was undone", *after.Spec.Replicas)
	}
	if tag, had := after.Annotations["dev.sbw/tag"]; had {
		t.Errorf("the tag %q stayed", tag)
	}
	if a, b := after.Annotations["kubectl.kubernetes.io/last-applied-configuration"], before.Annotations["kubectl.kubernetes.io/last-applied-configuration"]; a != b {
		t.Errorf("last-applied-configuration is not what it was")
	}
	if _, err := b.kube.CoreV1().ConfigMaps(b.ns).Get(b.Context(), "fresh", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("what the run created is still there (%v)", err)
	}
	if _, w, err := apply.Find(restored, b.ref); err != nil || w.Object().GetGeneration() != after.Generation {
		t.Errorf("the answer is not the live object (%v)", err)
	}
	for _, m := range managers(after) {
		if m != "kubectl-sbw Apply" && m != "hpa Update" {
			t.Errorf("owned by %s", m)
		}
	}
	// The restored file applies without a conflict, by us and by kubectl.
	b.image("example.test/w:3")
	b.apply(apply.Options{Force: true}) // replicas are the autoscaler's
	if image := b.deployment().Spec.Template.Spec.Containers[0].Image; image != "example.test/w:3" {
		t.Error(image)
	}
}

func TestRestoreBesideKubectl(t *testing.T) {
	b := newBench(t)
	b.image("example.test/w:1")
	b.kubectl("apply", "-f", b.file)
	b.image("example.test/w:2")
	results := b.apply(apply.Options{})
	if _, err := apply.Restore(b.Context(), b.conn, results, apply.Options{Target: b.ref}); err != nil {
		t.Fatal(err)
	}
	b.image("example.test/w:1")
	if out := b.kubectl("apply", "-f", b.file); out != "deployment.apps/worker unchanged\nservice/worker unchanged\n" {
		t.Fatalf("kubectl apply says %q", out)
	}
	b.image("example.test/w:3")
	b.apply(apply.Options{})
}

func TestRestoreOfWhatAnotherMadeAnew(t *testing.T) {
	b := newBench(t)
	b.image("example.test/w:1")
	b.apply(apply.Options{})
	b.image("example.test/w:2")
	results := b.apply(apply.Options{})
	b.kubectl("delete", "deployment/worker", "--wait")
	b.kubectl("create", "deployment", "worker", "--image=example.test/w:theirs")
	if _, err := apply.Restore(b.Context(), b.conn, results, apply.Options{Target: b.ref}); err == nil {
		t.Fatal("another's Deployment was taken for ours")
	}
	if image := b.deployment().Spec.Template.Spec.Containers[0].Image; image != "example.test/w:theirs" {
		t.Fatalf("another's Deployment was changed to %s", image)
	}
}
