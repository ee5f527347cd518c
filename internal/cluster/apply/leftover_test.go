package apply_test

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

const podOf = `apiVersion: apps/v1
kind: Deployment
metadata: {name: worker}
spec:
  selector: {matchLabels: {app: worker}}
  template:
    metadata: {labels: {app: worker}}
    spec:
      containers:
        - {name: worker, image: "example.test/w:1"%s}
%s`

func pod(worker string, more ...string) string {
	lines := ""
	for _, m := range more {
		lines += m + "\n"
	}
	return fmt.Sprintf(podOf, worker, lines)
}

func sidecar(name string) string {
	return fmt.Sprintf(`        - {name: %s, image: "example.test/%s:1"}`, name, name)
}

// TestLeftovers: what the live pod template keeps although the manifest does not contain it
// is named with its manager, and the advice removes it: afterwards the template is the same
// as that of a new Deployment. What a controller keeps, or an apply removes, does not become a Warning.
func TestLeftovers(t *testing.T) {
	const one = ""
	patch := func(manager, body string) func(*bench) {
		return func(b *bench) {
			b.Helper()
			if _, err := b.kube.AppsV1().Deployments(b.ns).Patch(b.Context(), "worker", types.StrategicMergePatchType, []byte(body), metav1.PatchOptions{FieldManager: manager}); err != nil {
				b.Fatal(err)
			}
		}
	}
	apply1 := func(text string, args ...string) func(*bench) {
		return func(b *bench) {
			b.Helper()
			b.write(text)
			b.kubectl(append([]string{"apply", "-f", b.file}, args...)...)
		}
	}
	kubectl := func(args ...string) func(*bench) { return func(b *bench) { b.Helper(); b.kubectl(args...) } }
	revision := func(n int) func(*bench) { // the controller has created it
		return kubectl("wait", "deployment/worker", "--timeout=1m", fmt.Sprintf(`--for=jsonpath={.metadata.annotations.deployment\.kubernetes\.io/revision}=%d`, n))
	}
	sbw := func(text string) func(*bench) {
		return func(b *bench) { b.Helper(); b.write(text); b.apply(apply.Options{}) }
	}
	strip := func(b *bench) {
		b.Helper()
		b.kubectl("patch", "deployment/worker", "--type=json", `-p=[{"op":"replace","path":"/metadata/managedFields","value":[{}]}]`)
	}
	tests := []struct {
		name     string
		before   []func(*bench)
		manifest string
		keeps    []string
		manager  string
		note     bool
	}{
		{"kubectl rollout undo of a renamed sidecar (kubernetes#94698)",
			[]func(*bench){apply1(pod(one, sidecar("b"))), revision(1), apply1(pod(one, sidecar("c"))), revision(2), kubectl("rollout", "undo", "deployment/worker")},
			pod(one, sidecar("c")), []string{"container b"}, `"kubectl"`, false},
		{"two ways of applying and then a renamed container (kubernetes#112826)",
			[]func(*bench){apply1(pod(one, sidecar("b"))), apply1(pod(one, sidecar("b")), "--server-side", "--force-conflicts")},
			pod(one, sidecar("c")), []string{"container b"}, `"kubectl" set it (Apply`, false},
		{"created and then something removed from the file",
			[]func(*bench){func(b *bench) {
				b.write(pod(`, env: [{name: OLD, value: "1"}], volumeMounts: [{name: v, mountPath: /v}]`, "      volumes: [{name: v, emptyDir: {}}]"))
				b.kubectl("create", "-f", b.file)
			}},
			pod(one), []string{"variable OLD of container worker", "volume v", "volumeMounts"}, "kubectl-create", false},
		{"a grace period by hand", []func(*bench){sbw(pod(one)), patch("kubectl-patch", `{"spec":{"template":{"spec":{"terminationGracePeriodSeconds":600}}}}`)},
			pod(one), []string{"terminationGracePeriodSeconds"}, "kubectl-patch", false},
		{"a variable by hand", []func(*bench){sbw(pod(one)), kubectl("set", "env", "deployment/worker", "HOTFIX=1")},
			pod(one), []string{"variable HOTFIX of container worker"}, "kubectl-set", false},
		{"a variable by hand next to others", []func(*bench){sbw(pod(`, env: [{name: A, value: "1"}]`)), kubectl("set", "env", "deployment/worker", "HOTFIX=1")},
			pod(`, env: [{name: B, value: "1"}]`), []string{"variable HOTFIX of container worker"}, "kubectl-set", false},
		{"resources by hand", []func(*bench){sbw(pod(one)), kubectl("set", "resources", "deployment/worker", "--limits=memory=1Gi")},
			pod(one), []string{"resources of container worker"}, "kubectl-set", false},
		{"a command and a port and a node by hand", []func(*bench){sbw(pod(one)), patch("kubectl-edit",
			`{"spec":{"template":{"spec":{"nodeSelector":{"disk":"ssd"},"containers":[{"name":"worker","command":["/debug"],"ports":[{"containerPort":9229}]}]}}}}`)},
			pod(one), []string{"command of container worker", "ports", "nodeSelector"}, "kubectl-edit", false},
		{"an init container by hand", []func(*bench){sbw(pod(one)), patch("kubectl-patch",
			`{"spec":{"template":{"spec":{"initContainers":[{"name":"wait","image":"example.test/wait:1"}]}}}}`)},
			pod(one), []string{"init container wait"}, "kubectl-patch", false},
		{"nobody knows who", []func(*bench){apply1(pod(one, sidecar("b"))), strip}, pod(one, sidecar("c")), []string{"container b"}, "nobody owns it", false},
		{"a command without an owner (argo-cd#22797)", []func(*bench){apply1(pod(`, command: [/debug]`)), strip}, pod(one), []string{"command of container worker"}, "nobody owns it", false},
		{"a controller's sidecar", []func(*bench){sbw(pod(one)), patch("mesh-injector",
			`{"spec":{"template":{"spec":{"containers":[{"name":"proxy","image":"example.test/proxy:1"}]}}}}`)},
			pod(one), []string{"container proxy"}, "mesh-injector", true},

		{name: "applied by sbw", before: []func(*bench){sbw(pod(`, env: [{name: A, value: "1"}]`, sidecar("b")))}, manifest: pod(one, sidecar("c"))},
		{name: "applied by kubectl", before: []func(*bench){apply1(pod(`, env: [{name: A, value: "1"}]`, sidecar("b")))}, manifest: pod(one, sidecar("c"))},
		{name: "applied by kubectl twice", before: []func(*bench){apply1(pod(one, sidecar("b"))), apply1(pod(one, sidecar("c")))}, manifest: pod(one, sidecar("c"))},
		{name: "applied server-side with the same content", before: []func(*bench){apply1(pod(one, sidecar("b")), "--server-side")}, manifest: pod(one, sidecar("b"))},
		{name: "another image by hand", before: []func(*bench){sbw(pod(one)), kubectl("set", "image", "deployment/worker", "worker=example.test/w:hand")}, manifest: pod(one)},
		{name: "restarted and scaled", before: []func(*bench){sbw(pod(one)), kubectl("rollout", "restart", "deployment/worker"), kubectl("scale", "deployment/worker", "--replicas=3")}, manifest: pod(one)},
		{name: "Reloader", before: []func(*bench){sbw(pod(one)), patch("Reloader", `{"spec":{"template":{"spec":{"containers":[{"name":"worker","env":[{"name":"STAKATER_KEYS_SECRET","value":"1"}]}]}}}}`)}, manifest: pod(one)},
		{name: "created with the same content", before: []func(*bench){func(b *bench) { b.write(pod(one)); b.kubectl("create", "-f", b.file) }}, manifest: pod(one)},
		{name: "a port without its protocol", before: []func(*bench){apply1(pod(`, ports: [{containerPort: 3111}]`), "--server-side")}, manifest: pod(`, ports: [{containerPort: 3111}]`)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			for _, do := range tt.before {
				do(b)
			}
			b.write(tt.manifest)
			found := b.judge(apply.Options{})
			if len(tt.keeps) == 0 {
				if len(found) > 0 {
					t.Errorf("%v", found)
				}
				b.apply(apply.Options{Container: "worker"})
				b.same(tt.manifest)
				return
			}
			if len(found) != 1 || found[0].Code != apply.CodeLeftover || (found[0].Severity == pipeline.Note) != tt.note || (found[0].Severity == pipeline.Warning) == tt.note {
				t.Fatalf("%v", found)
			}
			f := found[0]
			for _, want := range append(tt.keeps, "deployment/worker") {
				if !strings.Contains(f.What, want) {
					t.Errorf("%q does not name %s", f.What, want)
				}
			}
			if !strings.Contains(f.Why, tt.manager) || f.Where == "" || len(f.Evidence) != len(tt.keeps) {
				t.Errorf("%+v", f)
			}
			_, advice, _ := strings.Cut(f.Fix, "kubectl ")
			cmd := exec.CommandContext(t.Context(), "sh", "-c", require.Tool(t, "kubectl")+" --kubeconfig "+b.kubeconfig+" "+advice)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", f.Fix, err, out)
			}
			if found := b.judge(apply.Options{}); len(found) > 0 {
				t.Errorf("after the advice: %v", found)
			}
			b.apply(apply.Options{})
			b.same(tt.manifest)
		})
	}
}

// TestALeftoverThatIsInTheWay: a port that somebody renumbered keeps its name, so the API
// server refuses the two of them. The other manager is named next to the refusal
// (argoproj/argo-cd#25474).
func TestALeftoverThatIsInTheWay(t *testing.T) {
	b := newBench(t)
	text := pod(`, ports: [{name: http, containerPort: 3111}]`)
	b.write(text)
	b.apply(apply.Options{})
	b.kubectl("patch", "deployment/worker", "--type=json", "--field-manager=kubectl-edit", `-p=[{"op":"replace","path":"/spec/template/spec/containers/0/ports/0/containerPort","value":9000}]`)
	var codes []string
	for _, f := range b.judge(apply.Options{}) {
		codes = append(codes, fmt.Sprintf("%s %s", f.Severity, f.Code))
		if f.Code == apply.CodeLeftover && (!strings.Contains(f.Why, "kubectl-edit") || !strings.Contains(f.What, "9000")) {
			t.Error(f)
		}
	}
	if got := strings.Join(codes, ", "); got != "error apply-refused, warning template-leftover" {
		t.Error(got)
	}
}

// same compares the live pod spec with that of a new Deployment made from the same
// manifest, except for the image and the annotation of a restart.
func (b *bench) same(manifest string) {
	b.Helper()
	live := b.deployment().Spec.Template.Spec
	b.write(strings.ReplaceAll(manifest, "name: worker}\nspec", "name: fresh}\nspec"))
	b.kubectl("apply", "-f", b.file)
	fresh, err := b.kube.AppsV1().Deployments(b.ns).Get(b.Context(), "fresh", metav1.GetOptions{})
	if err != nil {
		b.Fatal(err)
	}
	for i := range live.Containers {
		live.Containers[i].Env = dropReloaders(live.Containers[i].Env)
	}
	if !equality.Semantic.DeepEqual(live, fresh.Spec.Template.Spec) {
		b.Errorf("runs %+v, want %+v", live, fresh.Spec.Template.Spec)
	}
}

func dropReloaders(env []corev1.EnvVar) []corev1.EnvVar {
	return slices.DeleteFunc(env, func(e corev1.EnvVar) bool { return strings.HasPrefix(e.Name, "STAKATER_") })
}
