package apply_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/controlplane/cptest"
	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

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

func (b *bench) image(ref string) {
	b.Helper()
	b.write(fmt.Sprintf(manifest, ref))
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
		return string(f.Code)
	}
	return fmt.Sprint(err)
}

func managers(o metav1.Object) []string {
	var all []string
	for _, m := range o.GetManagedFields() {
		if m.Subresource == "" && m.Manager != "kube-controller-manager" {
			all = append(all, m.Manager+" "+string(m.Operation))
		}
	}
	return all
}
