package apply_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

func TestRestore(t *testing.T) {
	b := newBench(t)
	b.image("example.test/w:1")
	b.kubectl("apply", "-f", b.file)
	before := b.deployment()

	extra := "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: fresh}\ndata: {a: b}\n"
	b.write(strings.Replace(fmt.Sprintf(manifest, "example.test/w:2"), "cluster}", "host}", 1) + extra)
	results := b.apply(apply.Options{Annotations: map[string]string{"dev.sbw/tag": "2"}})

	// An autoscaler works in the meantime, and its change stays.
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
	b.write(strings.Replace(fmt.Sprintf(manifest, "example.test/w:3"), "  replicas: 1\n", "", 1)) // they are the autoscaler's
	b.apply(apply.Options{})
	if d := b.deployment(); d.Spec.Template.Spec.Containers[0].Image != "example.test/w:3" || *d.Spec.Replicas != 3 {
		t.Error(d.Spec)
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

func TestRestoreOfARecreatedObject(t *testing.T) {
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

// Each row is a kind of interference, with the change that must be left.
func TestRestoreLeavesWhatSomebodyElseChanged(t *testing.T) {
	tests := []struct {
		name   string
		meddle func(*bench)
		field  string // that the message names
	}{
		{"kubectl set image", func(b *bench) { b.kubectl("set", "image", "deployment/worker", "worker=example.test/w:theirs") }, "containers[worker].image"},
		{"kubectl set env", func(b *bench) { b.kubectl("set", "env", "deployment/worker", "HOTFIX=1") }, "env[HOTFIX]"},
		{"kubectl rollout restart", func(b *bench) { b.kubectl("rollout", "restart", "deployment/worker") }, "restartedAt"},
		{"kubectl apply of another file", func(b *bench) {
			b.image("example.test/w:git")
			b.kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=gitops", "-f", b.file)
		}, "containers[worker].image"},
		{"deleted", func(b *bench) { b.kubectl("delete", "deployment/worker", "--wait") }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.image("example.test/w:1")
			b.apply(apply.Options{})
			extra := "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: fresh}\ndata: {a: b}\n"
			b.write(fmt.Sprintf(manifest, "example.test/w:2") + extra)
			results := b.apply(apply.Options{})
			tt.meddle(b)
			var before string
			if tt.name != "deleted" {
				before = b.kubectl("get", "deployment/worker", "-o", "jsonpath={.spec}")
			}
			_, err := apply.Restore(t.Context(), b.conn, results, apply.Options{Target: b.ref})
			if tt.name == "deleted" {
				if !errors.Is(err, workload.ErrReplaced) {
					t.Fatal(err)
				}
			} else {
				if !errors.Is(err, workload.ErrSuperseded) || !strings.Contains(err.Error(), tt.field) {
					t.Fatalf("%v, want superseded with %s", err, tt.field)
				}
				if after := b.kubectl("get", "deployment/worker", "-o", "jsonpath={.spec}"); after != before {
					t.Errorf("their change was overwritten:\n%s\n%s", before, after)
				}
			}
			if _, err := b.kube.CoreV1().ConfigMaps(b.ns).Get(t.Context(), "fresh", metav1.GetOptions{}); err != nil {
				t.Errorf("something was written all the same: %v", err)
			}
		})
	}
}

// In other objects, fields that somebody has changed since keep their value, and the others
// are restored.
func TestRestoreBesidesTheTemplate(t *testing.T) {
	b := newBench(t)
	config := func(a, c string) string {
		return fmt.Sprintf("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: shared}\ndata: {a: %q, c: %q}\n", a, c)
	}
	b.write(fmt.Sprintf(manifest, "example.test/w:1") + config("1", "1"))
	b.apply(apply.Options{})
	b.write(fmt.Sprintf(manifest, "example.test/w:2") + config("2", "2") + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: fresh}\ndata: {a: b}\n")
	results := b.apply(apply.Options{})
	for _, patch := range []string{"shared", "fresh"} {
		b.kubectl("patch", "configmap/"+patch, "-p", `{"data":{"a":"theirs"}}`)
	}
	var found []*pipeline.Finding
	rep := pipeline.NewReporter("undo", pipeline.SinkFunc(func(e pipeline.Event) {
		if e.Finding != nil {
			found = append(found, e.Finding)
		}
	}))
	if _, err := apply.Restore(t.Context(), b.conn, results, apply.Options{Target: b.ref, Reporter: rep}); err != nil {
		t.Fatal(err)
	}
	if data := b.kubectl("get", "configmap/shared", "-o", "jsonpath={.data.a} {.data.c}"); data != "theirs 1" {
		t.Errorf("shared has %s", data)
	}
	if data := b.kubectl("get", "configmap/fresh", "-o", "jsonpath={.data.a}"); data != "theirs" {
		t.Errorf("fresh has %s", data)
	}
	if image := b.deployment().Spec.Template.Spec.Containers[0].Image; image != "example.test/w:1" {
		t.Error(image)
	}
	if len(found) != 2 || found[0].Code != apply.CodeRestoreLeft || found[1].Code != apply.CodeRestoreLeft {
		t.Errorf("findings %v", found)
	}
}

// If the lock is lost, nothing is written, whichever write comes next.
func TestGuardForbidsEveryWrite(t *testing.T) {
	b := newBench(t)
	b.image("example.test/w:1")
	b.apply(apply.Options{})
	b.image("example.test/w:2")
	lost := errors.New("the lock is lost")
	guarded := apply.Options{Target: b.ref, Guard: func(context.Context) error { return lost }}
	// The resourceVersion cannot be compared, because controllers write the status meanwhile.
	version := func() string { d := b.deployment(); return fmt.Sprint(d.Generation, managers(d)) }
	was := version()
	if _, err := apply.Apply(t.Context(), b.conn, b.load(), guarded); !errors.Is(err, lost) || version() != was {
		t.Errorf("apply: %v", err)
	}
	if _, err := apply.Image(t.Context(), b.conn, b.ref, "worker", "example.test/w:3", guarded); !errors.Is(err, lost) || version() != was {
		t.Errorf("image: %v", err)
	}
	results := b.apply(apply.Options{})
	was = version()
	if _, err := apply.Restore(t.Context(), b.conn, results, guarded); !errors.Is(err, lost) || version() != was {
		t.Errorf("restore: %v", err)
	}
}
