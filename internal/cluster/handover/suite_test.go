package handover_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
	"github.com/joelhooks/gh-sbw/internal/cluster/watch"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/controlplane/cptest"
	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

const manifest = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: worker
spec:
  replicas: 2
%s  selector:
    matchLabels: {app: worker}
  template:
    metadata:
      labels: {app: worker}
    spec:
      nodeName: node1
      containers:
        - name: worker
          image: %s
          readinessProbe: {tcpSocket: {port: 3111}}
---
apiVersion: v1
kind: Service
metadata:
  name: worker
spec:
  selector: {app: worker}
  ports: [{port: 3111}]
---
apiVersion: v1
kind: Service
metadata:
  name: admin
spec:
  selector: {app: worker}
  ports: [{port: 80}]
`

// bench is a namespace with a simulated kubelet and the worker's first version.
type bench struct {
	*testing.T
	kube       kubernetes.Interface
	conn       *cluster.Conn
	ns         string
	kubeconfig string
	file       string
	fields     string // further lines of the Deployment's spec
	ref        workload.Ref
	run        *handover.Run
	old        string
}

func newBench(t *testing.T, fields string) *bench {
	t.Helper()
	t.Parallel()
	return newBenchHere(t, fields)
}

// newBenchHere is newBench for a test that runs others after this one.
func newBenchHere(t *testing.T, fields string) *bench {
	t.Helper()
	cp := cptest.Shared(t)
	kube := cptest.Kube(t, cp)
	ns := cptest.Namespace(t, kube, nil)
	cptest.Kubelet(t, kube, ns)
	kubeconfig, err := cp.Kubeconfig("admin")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, kube: kube, conn: cptest.Connect(t, cp, "admin", ns), ns: ns, kubeconfig: kubeconfig, fields: fields,
		file: filepath.Join(t.TempDir(), "worker.yaml"), ref: workload.Ref{Kind: workload.Deployment, Namespace: ns, Name: "worker"}}
	b.image("x/w:1")
	b.kubectl("apply", "-f", b.file)
	b.complete()
	b.run = b.newRun()
	b.old = b.version()
	return b
}

// newRun returns the Run of another process that takes over.
func (b *bench) newRun() *handover.Run {
	b.Helper()
	run, err := handover.New(b.conn, b.ref, b.reporter())
	if err != nil {
		b.Fatal(err)
	}
	return run
}

func (b *bench) reporter() *pipeline.Reporter {
	return pipeline.NewReporter("handover", pipeline.SinkFunc(func(pipeline.Event) {}))
}

func (b *bench) image(ref string) {
	b.Helper()
	if err := os.WriteFile(b.file, fmt.Appendf(nil, manifest, b.fields, ref), 0o600); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) kubectl(args ...string) string {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), require.Tool(b.T, "kubectl"), append([]string{"--kubeconfig", b.kubeconfig, "-n", b.ns, "--cache-dir", b.TempDir()}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (b *bench) watching() watch.Options {
	return watch.Options{Timeout: time.Minute, Reporter: b.reporter()}
}

// complete waits until the Deployment is as its spec says.
func (b *bench) complete() {
	b.Helper()
	o := b.watching()
	o.Applied = &workload.Workload{Deployment: b.deployment()}
	if _, err := watch.Rollout(b.Context(), b.kube, o); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) deployment() *appsv1.Deployment {
	b.Helper()
	d, err := b.kube.AppsV1().Deployments(b.ns).Get(b.Context(), "worker", metav1.GetOptions{})
	if err != nil {
		b.Fatal(err)
	}
	return d
}

func (b *bench) service(name string) *corev1.Service {
	b.Helper()
	svc, err := b.kube.CoreV1().Services(b.ns).Get(b.Context(), name, metav1.GetOptions{})
	if err != nil {
		b.Fatal(err)
	}
	return svc
}

// version is the pod-template-hash of the Deployment's template.
func (b *bench) version() string {
	b.Helper()
	list, err := b.kube.AppsV1().ReplicaSets(b.ns).List(b.Context(), metav1.ListOptions{})
	if err != nil {
		b.Fatal(err)
	}
	var sets []*appsv1.ReplicaSet
	for i := range list.Items {
		sets = append(sets, &list.Items[i])
	}
	return handover.NewVersion(&workload.Workload{Deployment: b.deployment()}, sets)
}

// pins are the versions that the two Services lead to.
func (b *bench) pins() [2]string {
	b.Helper()
	return [2]string{b.service("admin").Spec.Selector["pod-template-hash"], b.service("worker").Spec.Selector["pod-template-hash"]}
}

func (b *bench) origin() handover.Origin {
	return handover.Origin{Run: "run1", By: "ann@laptop pid 7", At: time.Now(), Tag: "2", Deployment: "worker", Old: b.old}
}

var names = []string{"admin", "worker"}

// held applies an image, pins the Services and waits for the new ReplicaSet, without which
// kubectl finds nothing to undo.
func (b *bench) held(image string) *workload.Workload {
	b.Helper()
	w := b.apply(image)
	if err := b.run.Hold(b.Context(), b.origin(), names); err != nil {
		b.Fatal(err)
	}
	b.until(func() bool { return b.version() != "" })
	return w
}

// apply applies the Deployment of the file, held and paused.
func (b *bench) apply(image string) *workload.Workload {
	b.Helper()
	return b.applyWith(image, handover.Overlay(b.origin(), names))
}

func (b *bench) applyWith(image string, overlay *apply.Overlay) *workload.Workload {
	b.Helper()
	b.image(image)
	objects, err := apply.Load(b.Context(), b.conn, apply.Source{Filenames: []string{b.file}})
	if err != nil {
		b.Fatal(err)
	}
	results, err := apply.Apply(b.Context(), b.conn, objects[:1], apply.Options{Target: b.ref, Overlay: overlay, Reporter: b.reporter()})
	if err != nil {
		b.Fatal(err)
	}
	_, w, err := apply.Find(results, b.ref)
	if err != nil {
		b.Fatal(err)
	}
	return w
}

func (b *bench) ready(w *workload.Workload) {
	b.Helper()
	o := b.watching()
	o.Applied = w
	if r, err := b.run.Ready(b.Context(), o); err != nil || r.Verdict.Ready != 2 || len(r.Verdict.Old) != 2 {
		b.Fatalf("%v %+v", err, r.Verdict)
	}
}

// switched goes all the way to the switch.
func (b *bench) switched() {
	b.Helper()
	b.ready(b.held("x/w:2"))
	if err := b.run.Switch(b.Context(), b.version(), nil); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) patch(kind, patch string) {
	b.Helper()
	var err error
	if kind == "service" {
		_, err = b.kube.CoreV1().Services(b.ns).Patch(b.Context(), "worker", types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "somebody"})
	} else {
		_, err = b.kube.AppsV1().Deployments(b.ns).Patch(b.Context(), "worker", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "somebody"})
	}
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) decide() handover.Plan {
	b.Helper()
	s, err := b.run.Read(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return handover.Decide(s)
}

// running are the names of the images whose pods run and are not ending.
func (b *bench) running() map[string]int {
	b.Helper()
	list, err := b.kube.CoreV1().Pods(b.ns).List(b.Context(), metav1.ListOptions{})
	if err != nil {
		b.Fatal(err)
	}
	n := map[string]int{}
	for _, p := range list.Items {
		if p.DeletionTimestamp == nil {
			n[p.Spec.Containers[0].Image]++
		}
	}
	return n
}

// clean fails when anything of a hold is left.
func (b *bench) clean() {
	b.Helper()
	if p := b.decide(); p.Stage != handover.NotHeld {
		b.Errorf("left: %+v", p)
	}
	for _, name := range names {
		if svc := b.service(name); svc.Annotations[handover.Annotation] != "" || len(svc.Spec.Selector) != 1 {
			b.Errorf("service/%s: %v %v", name, svc.Annotations, svc.Spec.Selector)
		}
	}
	if d := b.deployment(); d.Annotations[handover.Annotation] != "" || handover.Held(d) {
		b.Errorf("deployment: %v %+v", d.Annotations, d.Spec)
	}
}

func code(err error) pipeline.Code {
	if f, ok := errors.AsType[*pipeline.Finding](err); ok {
		return f.Code
	}
	return pipeline.Code(fmt.Sprint(err))
}

// owners are the managers of each of the fields that are held.
func owners(t *testing.T, o metav1.Object) string {
	t.Helper()
	var all []string
	for _, m := range o.GetManagedFields() {
		if m.Subresource != "" || m.Manager == "kube-controller-manager" {
			continue
		}
		for _, field := range []string{"f:minReadySeconds", "f:progressDeadlineSeconds", "f:maxSurge", "f:maxUnavailable", "f:selector", "f:image"} {
			if strings.Contains(m.FieldsV1.GetRawString(), `"`+field+`"`) {
				all = append(all, m.Manager+" "+string(m.Operation)+" "+field)
			}
		}
	}
	return strings.Join(all, "\n")
}
