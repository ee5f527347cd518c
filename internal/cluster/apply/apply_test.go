package apply_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/controlplane/cptest"
	"github.com/joelhooks/gh-sbw/internal/sandbox/need"
)

// manifest has the shape of a worker's: a Deployment and its Service.
const manifest = `# the worker
apiVersion: apps/v1
kind: Deployment
metadata:
  name: worker
  labels: {app: worker}
spec:
  replicas: 1
  selector:
    matchLabels: {app: worker}
  template:
    metadata:
      labels: {app: worker}
    spec:
      tolerations:
        - {key: node-role.kubernetes.io/control-plane, operator: Exists, effect: NoSchedule}
      containers:
        - name: worker
          image: %s
          env:
            - {name: ROLE, value: cluster}
            - {name: OLD, value: "1"}
          ports:
            - {name: http, containerPort: 3111}
---
apiVersion: v1
kind: Service
metadata:
  name: worker
spec:
  selector: {app: worker}
  ports:
    - {name: http, port: 3111, targetPort: http}
`

// bench is one test's namespace with everything to act on it.
type bench struct {
	*testing.T
	kube       kubernetes.Interface
	conn       *cluster.Conn
	ns         string
	kubeconfig string
	file       string
	ref        workload.Ref
}

func newBench(t *testing.T) *bench {
	t.Helper()
	t.Parallel()
	cp := cptest.Shared(t)
	kube := cptest.Kube(t, cp)
	ns := cptest.Namespace(t, kube, nil)
	kubeconfig, err := cp.Kubeconfig("admin")
	if err != nil {
		t.Fatal(err)
	}
	return &bench{T: t, kube: kube, conn: cptest.Connect(t, cp, "admin", ns), ns: ns, kubeconfig: kubeconfig,
		file: filepath.Join(t.TempDir(), "worker.yaml"), ref: workload.Ref{Kind: workload.Deployment, Namespace: ns, Name: "worker"}}
}

func (b *bench) write(text string) {
	b.Helper()
	if err := os.WriteFile(b.file, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
}

// image writes the manifest with an image.
func (b *bench) image(ref string) {
	b.Helper()
	b.write(fmt.Sprintf(manifest, ref))
}

// kubectl runs the real one.
func (b *bench) kubectl(args ...string) string {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), need.Tool(b.T, "kubectl"), append([]string{"--kubeconfig", b.kubeconfig, "-n", b.ns, "--cache-dir", b.TempDir()}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (b *bench) load() []apply.Object {
	b.Helper()
	objects, err := apply.Load(b.Context(), b.conn, apply.Source{Filenames: []string{b.file}})
	if err != nil {
		b.Fatal(err)
	}
	return objects
}

func (b *bench) apply(o apply.Options) []apply.Result {
	b.Helper()
	results, err := b.try(o)
	if err != nil {
		b.Fatal(err)
	}
	return results
}

func (b *bench) try(o apply.Options) ([]apply.Result, error) {
	b.Helper()
	o.Target = b.ref
	return apply.Apply(b.Context(), b.conn, b.load(), o)
}

func (b *bench) deployment() *appsv1.Deployment {
	b.Helper()
	d, err := b.kube.AppsV1().Deployments(b.ns).Get(b.Context(), "worker", metav1.GetOptions{})
	if err != nil {
		b.Fatal(err)
	}
	return d
}

func actions(results []apply.Result) []string {
	var all []string
	for _, r := range results {
		all = append(all, r.String()+" "+string(r.Action))
	}
	return all
}

func code(err error) string {
	if f, ok := errors.AsType[*pipeline.Finding](err); ok {
		return f.Code
	}
	return fmt.Sprint(err)
}

// managers lists who owns fields of an object outside of its status.
func managers(o metav1.Object) []string {
	var all []string
	for _, m := range o.GetManagedFields() {
		if m.Subresource == "" && m.Manager != "kube-controller-manager" {
			all = append(all, m.Manager+" "+string(m.Operation))
		}
	}
	return all
}

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

// The promise to those who stay with kubectl apply, in both directions.
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

// What this project created from nothing must look to kubectl as if it had.
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

// A namespace that the manifest itself makes is there for what follows, in a
// dry run as well.
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

func TestImageAlone(t *testing.T) {
	for _, how := range []string{"kubectl apply", "sbw"} {
		t.Run(how, func(t *testing.T) {
			b := newBench(t)
			b.image("example.test/w:1")
			if how == "sbw" {
				b.apply(apply.Options{})
			} else {
				b.kubectl("apply", "-f", b.file)
			}
			before := b.deployment()
			r, err := apply.Image(b.Context(), b.conn, b.ref, "worker", "example.test/w:2", apply.Options{Annotations: map[string]string{"dev.sbw/tag": "2"}})
			if err != nil {
				t.Fatal(err)
			}
			after := b.deployment()
			if r.Action != apply.Configured || after.Annotations["dev.sbw/tag"] != "2" {
				t.Fatalf("%s, annotations %v", r.Action, after.Annotations)
			}
			want := before.Spec.DeepCopy()
			want.Template.Spec.Containers[0].Image = "example.test/w:2"
			if diff := cmp.Diff(want, &after.Spec); diff != "" {
				t.Fatalf("more than the image has changed:\n%s", diff)
			}
			if r, err = apply.Image(b.Context(), b.conn, b.ref, "worker", "example.test/w:2", apply.Options{}); err != nil || r.Action != apply.Unchanged {
				t.Fatalf("again: %v %v", r, err)
			}
			if _, err = apply.Image(b.Context(), b.conn, b.ref, "wrong", "x", apply.Options{}); code(err) != "container-unknown" {
				t.Fatal(err)
			}
		})
	}
}

// An image that a tool like Argo CD applied is not taken from it unasked.
func TestImageAloneConflict(t *testing.T) {
	b := newBench(t)
	b.image("example.test/w:1")
	b.kubectl("apply", "--server-side", "--field-manager=argocd-controller", "-f", b.file)
	_, err := apply.Image(b.Context(), b.conn, b.ref, "worker", "example.test/w:2", apply.Options{})
	f, ok := errors.AsType[*pipeline.Finding](err)
	if !ok || f.Code != "apply-conflict" || !strings.Contains(f.Why, "argocd-controller") {
		t.Fatal(err)
	}
	if _, err := apply.Image(b.Context(), b.conn, b.ref, "worker", "example.test/w:2", apply.Options{Force: true}); err != nil {
		t.Fatal(err)
	}
}

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

// After going back, kubectl apply of the restored file has nothing to do.
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

func TestLoad(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cm := func(name string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\n"
	}
	one := write("one.yaml", cm("one"))
	write("two.json", `{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"two"}},{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"three"}}]}`)
	write("sub/deep.yml", cm("deep"))
	write("notes.txt", "no manifest")
	kustom := write("k/base.yaml", fmt.Sprintf(manifest, "example.test/w:1"))
	write("k/kustomization.yaml", "namePrefix: my-\nresources: [base.yaml]\n")
	_ = kustom
	names := func(s apply.Source) []string {
		t.Helper()
		objects, err := apply.Load(b.Context(), b.conn, s)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, o := range objects {
			if o.GetNamespace() != b.ns {
				t.Errorf("%s is in namespace %q", o.GetName(), o.GetNamespace())
			}
			all = append(all, o.GetName())
		}
		return all
	}
	tests := []struct {
		name   string
		source apply.Source
		want   []string
	}{
		{"file", apply.Source{Filenames: []string{one}}, []string{"one"}},
		{"directory", apply.Source{Filenames: []string{dir}}, []string{"one", "two", "three"}},
		{"kustomize", apply.Source{Kustomize: filepath.Join(dir, "k")}, []string{"my-worker", "my-worker"}},
		{"stdin", apply.Source{Filenames: []string{"-"}, Stdin: strings.NewReader(cm("in"))}, []string{"in"}},
		{"override", apply.Source{Filenames: []string{one}, Override: map[string][]byte{one: []byte(cm("changed"))}}, []string{"changed"}},
		{"override in a directory", apply.Source{Filenames: []string{dir}, Override: map[string][]byte{one: []byte(cm("changed"))}}, []string{"changed", "two", "three"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, names(tt.source)); diff != "" {
				t.Error(diff)
			}
		})
	}
	refused := map[string]apply.Source{
		"manifest-unreadable": {Filenames: []string{filepath.Join(dir, "none.yaml")}},
		"manifest-kind":       {Filenames: []string{write("kind.yaml", "apiVersion: v7\nkind: Nothing\nmetadata: {name: x}\n")}},
	}
	for want, s := range refused {
		if _, err := apply.Load(b.Context(), b.conn, s); code(err) != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	other := write("other.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: elsewhere}\n")
	if _, err := apply.Load(b.Context(), b.conn, apply.Source{Filenames: []string{other}, RequireNamespace: true}); code(err) != "manifest-unreadable" {
		t.Error(err)
	}
}

func TestSetImage(t *testing.T) {
	b := newBench(t)
	b.image("example.test/w:1")
	objects := b.load()
	if err := apply.SetImage(objects, b.ref, "worker", "example.test/w:2"); err != nil {
		t.Fatal(err)
	}
	if err := apply.SetImage(objects, b.ref, "no", "x"); code(err) != "container-unknown" {
		t.Error(err)
	}
	if err := apply.SetImage(objects, workload.Ref{Kind: "Deployment", Namespace: b.ns, Name: "no"}, "worker", "x"); code(err) != "manifest-target" {
		t.Error(err)
	}
	results, err := apply.Apply(b.Context(), b.conn, objects, apply.Options{Target: b.ref})
	if err != nil {
		t.Fatal(err)
	}
	if _, w, err := apply.Find(results, b.ref); err != nil || w.Template().Spec.Containers[0].Image != "example.test/w:2" {
		t.Fatal(err)
	}
	if _, _, err := apply.Find(results, workload.Ref{Kind: "DaemonSet", Namespace: b.ns, Name: "worker"}); code(err) != "manifest-target" {
		t.Fatal(err)
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
