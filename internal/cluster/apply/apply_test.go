package apply_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/controlplane/cptest"
)

func TestApplyCreatesConfiguresAndLeavesAlone(t *testing.T) {
	b := newBench(t)
	b.image("example.test/w:1")
	annotations := map[string]string{"dev.sbw/tag": "1", apply.ChangeCause: "sbw rollout 1"}
	want := []string{"deployment.apps/worker created", "service/worker created"}
	if diff := cmp.Diff(want, actions(b.apply(apply.Options{Annotations: annotations}))); diff != "" {
		t.Fatal(diff)
	}
	d := b.deployment()
	if d.Annotations["dev.sbw/tag"] != "1" || d.Annotations[apply.ChangeCause] != "sbw rollout 1" {
		t.Fatalf("annotations %v", d.Annotations)
	}
	want = []string{"deployment.apps/worker unchanged", "service/worker unchanged"}
	if diff := cmp.Diff(want, actions(b.apply(apply.Options{Annotations: map[string]string{"dev.sbw/tag": "again"}}))); diff != "" {
		t.Fatal(diff)
	}
	b.image("example.test/w:2")
	want = []string{"deployment.apps/worker configured", "service/worker unchanged"}
	if diff := cmp.Diff(want, actions(b.apply(apply.Options{}))); diff != "" {
		t.Fatal(diff)
	}
	if image := b.deployment().Spec.Template.Spec.Containers[0].Image; image != "example.test/w:2" {
		t.Fatal(image)
	}
}

// Whoever keeps using kubectl apply may mix it with this project, in both directions.
func TestBesideKubectlApply(t *testing.T) {
	b := newBench(t)
	b.image("example.test/w:1")
	b.kubectl("apply", "-f", b.file)

	// A variable goes, and the image changes: the old manager must not keep it.
	b.write(strings.Replace(fmt.Sprintf(manifest, "example.test/w:2"), "            - {name: OLD, value: \"1\"}\n", "", 1))
	want := []string{"deployment.apps/worker configured", "service/worker unchanged"}
	if diff := cmp.Diff(want, actions(b.apply(apply.Options{Annotations: map[string]string{"dev.sbw/tag": "2"}}))); diff != "" {
		t.Fatal(diff)
	}
	d := b.deployment()
	if env := d.Spec.Template.Spec.Containers[0].Env; len(env) != 1 || env[0].Name != "ROLE" {
		t.Fatalf("env %v: the variable that left the file is still there", env)
	}
	if diff := cmp.Diff([]string{"kubectl-sbw Apply"}, managers(d)); diff != "" {
		t.Fatal(diff)
	}

	// Later, plain kubectl on the same file.
	if out := b.kubectl("diff", "-f", b.file); out != "" {
		t.Fatalf("kubectl diff finds\n%s", out)
	}
	out := b.kubectl("apply", "-f", b.file)
	if out != "deployment.apps/worker unchanged\nservice/worker unchanged\n" {
		t.Fatalf("kubectl apply says %q", out)
	}
	after := b.deployment()
	if after.Generation != d.Generation {
		t.Fatal("kubectl apply of the same file changed the Deployment")
	}
	if after.Annotations["dev.sbw/tag"] != "2" {
		t.Fatal("kubectl apply took our annotation away")
	}

	// And back to us, after kubectl has changed something.
	b.image("example.test/w:3")
	if out := b.kubectl("apply", "-f", b.file); !strings.Contains(out, "deployment.apps/worker configured") {
		t.Fatal(out)
	}
	b.image("example.test/w:4")
	b.apply(apply.Options{})
	if got := b.deployment(); got.Spec.Template.Spec.Containers[0].Image != "example.test/w:4" {
		t.Fatal(got.Spec.Template.Spec.Containers[0].Image)
	}
}

// What this project created must look to kubectl as if kubectl had created it.
func TestKubectlApplyAfterCreating(t *testing.T) {
	b := newBench(t)
	b.image("example.test/w:1")
	b.apply(apply.Options{})
	if out := b.kubectl("apply", "-f", b.file); out != "deployment.apps/worker unchanged\nservice/worker unchanged\n" {
		t.Fatalf("kubectl apply says %q", out)
	}
}

func TestConflict(t *testing.T) {
	b := newBench(t)
	b.image("example.test/w:1")
	b.apply(apply.Options{})
	b.kubectl("set", "image", "deployment/worker", "worker=example.test/w:by-hand")

	b.image("example.test/w:2")
	for _, dry := range []bool{true, false} {
		_, err := b.try(apply.Options{DryRun: dry})
		f, ok := errors.AsType[*pipeline.Finding](err)
		if !ok || f.Code != "apply-conflict" || !strings.Contains(f.Why, "kubectl-set") ||
			!strings.Contains(f.What, `.spec.template.spec.containers[name="worker"].image`) || len(f.Evidence) != 1 {
			t.Fatalf("dry=%v: %+v", dry, err)
		}
	}
	if image := b.deployment().Spec.Template.Spec.Containers[0].Image; image != "example.test/w:by-hand" {
		t.Fatalf("a conflict changed the image to %s", image)
	}
	b.apply(apply.Options{Force: true})
	if image := b.deployment().Spec.Template.Spec.Containers[0].Image; image != "example.test/w:2" {
		t.Fatal(image)
	}
}

func TestDryRunAndDiff(t *testing.T) {
	b := newBench(t)
	secret := "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {KEY: %s, SAME: constant, %s: other}\n---\n"
	b.write(fmt.Sprintf(secret, "old-value", "GONE") + fmt.Sprintf(manifest, "example.test/w:1"))
	b.kubectl("apply", "-f", b.file)
	before := b.deployment()

	b.write(fmt.Sprintf(secret, "new-value", "NEW") + fmt.Sprintf(manifest, "example.test/w:2"))
	results := b.apply(apply.Options{DryRun: true})
	// The controller writes as well: versions say nothing.
	if after := b.deployment(); after.Generation != before.Generation || !cmp.Equal(managers(before), managers(after)) {
		t.Fatal("a dry run wrote something")
	}
	text, err := apply.Diff(results)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"-        image: example.test/w:1\n", "+        image: example.test/w:2\n", "-  KEY: '*** (before)'\n", "+  KEY: '*** (after)'\n", "   SAME: '***'\n", "+  NEW: '*** (after)'\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, not := range []string{"old-value", "new-value", "constant", "b2xkLXZhbHVl", "bmV3LXZhbHVl", "managedFields", "last-applied", "resourceVersion"} {
		if strings.Contains(text, not) {
			t.Errorf("%q in\n%s", not, text)
		}
	}
	b.apply(apply.Options{})
	results = b.apply(apply.Options{DryRun: true})
	if text, err := apply.Diff(results); text != "" || err != nil {
		t.Errorf("after applying there is still %q (%v)", text, err)
	}
}

// Objects in a namespace that the manifest itself creates are accepted, in a dry run as well.
func TestNamespaceInTheManifest(t *testing.T) {
	b := newBench(t)
	name := b.ns + "-more"
	b.write("apiVersion: v1\nkind: Namespace\nmetadata: {name: " + name + "}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: " + name + "}\n")
	want := []string{"namespace/" + name + " created", "configmap/x created"}
	for _, dry := range []bool{true, false} {
		if diff := cmp.Diff(want, actions(b.apply(apply.Options{DryRun: dry}))); diff != "" {
			t.Fatalf("dry=%v: %s", dry, diff)
		}
	}
	b.write("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: nowhere}\n")
	if _, err := b.try(apply.Options{DryRun: true}); code(err) != "not-found" {
		t.Error(err)
	}
}

func TestRefusals(t *testing.T) {
	b := newBench(t)
	b.write("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndatas: {a: b}\n")
	if _, err := b.try(apply.Options{}); code(err) != "apply-refused" || !strings.Contains(err.Error(), "datas") {
		t.Error(err)
	}
	b.write("apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {ports: [{port: 99999}]}\n")
	if _, err := b.try(apply.Options{}); code(err) != "apply-refused" || !strings.Contains(err.Error(), "99999") {
		t.Error(err)
	}
	cp := cptest.Shared(t)
	stranger := cptest.Connect(t, cp, "nobody", b.ns)
	b.image("example.test/w:1")
	if _, err := apply.Apply(b.Context(), stranger, b.load(), apply.Options{}); code(err) != "cluster-forbidden" {
		t.Error(err)
	}
}

// A Secret's content is not written a second time into an annotation.
func TestSecretWithoutLastApplied(t *testing.T) {
	b := newBench(t)
	b.write("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {KEY: v}\n")
	b.apply(apply.Options{})
	s, err := b.kube.CoreV1().Secrets(b.ns).Get(b.Context(), "s", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(s.Annotations)
	if err != nil || s.Annotations[corev1.LastAppliedConfigAnnotation] != "" {
		t.Fatalf("annotations %s (%v)", data, err)
	}
}

// TestReplicasThatAreLeftOut: a manifest that leaves its replicas to whoever
// scales does not scale the workload itself.
func TestReplicasThatAreLeftOut(t *testing.T) {
	for name, first := range map[string]func(*bench){
		"applied by us":            func(b *bench) { b.apply(apply.Options{}) },
		"applied by kubectl":       func(b *bench) { b.kubectl("apply", "-f", b.file) },
		"applied by us and scaled": func(b *bench) { b.apply(apply.Options{}); b.kubectl("scale", "deployment/worker", "--replicas=5") },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			text := fmt.Sprintf(manifest, "example.test/w:1")
			b.write(strings.Replace(text, "replicas: 1", "replicas: 4", 1))
			first(b)
			had := *b.deployment().Spec.Replicas
			b.write(strings.Replace(text, "  replicas: 1\n", "", 1))
			for range 2 {
				if b.apply(apply.Options{}); *b.deployment().Spec.Replicas != had {
					t.Fatalf("%d replicas of %d", *b.deployment().Spec.Replicas, had)
				}
			}
			b.kubectl("scale", "deployment/worker", "--replicas=2")
			if b.apply(apply.Options{}); *b.deployment().Spec.Replicas != 2 {
				t.Errorf("%d replicas after scaling to 2", *b.deployment().Spec.Replicas)
			}
			b.kubectl("apply", "-f", b.file)
			if *b.deployment().Spec.Replicas != 2 {
				t.Errorf("%d replicas after a plain apply", *b.deployment().Spec.Replicas)
			}
		})
	}
}
