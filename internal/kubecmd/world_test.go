package kubecmd

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/cli/clitest"
	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/sandbox/controlplane"
	"github.com/joelhooks/gh-sbw/internal/sandbox/controlplane/cptest"
)

// second is another cluster, for tests that need several.
var second struct {
	once sync.Once
	cp   *controlplane.ControlPlane
	dir  string
	err  error
}

// atOnce is how many tests run at a time, whatever the number of processors.
const atOnce = "6"

func TestMain(m *testing.M) {
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		if err := flag.Set("test.parallel", atOnce); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	code := cptest.Main(m)
	if second.cp != nil {
		second.cp.Stop()
	}
	if second.dir != "" {
		if err := os.RemoveAll(second.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	return code
}

func secondCluster(t *testing.T) *controlplane.ControlPlane {
	t.Helper()
	o := cptest.Options(t)
	second.once.Do(func() {
		if second.dir, second.err = os.MkdirTemp("", "second"); second.err == nil {
			second.cp, second.err = controlplane.Start(context.Background(), second.dir, o)
		}
	})
	if second.err != nil {
		t.Fatal(second.err)
	}
	return second.cp
}

// world is a checkout, a registry with images, a server that answers for every pod, and
// one or two clusters with a namespace of the same name in each.
type world struct {
	*testing.T
	dir string
	ns  string
	// kubeconfig is a file, and state the directory of journals and receipts.
	kubeconfig, state string
	registry          string // host:port
	kubes             []kubernetes.Interface
	env               *cli.Env
	as                []string           // additional flags for every command
	inngest           string             // its URL, with withInngest
	before            *appsv1.Deployment // what was running before the run
	page              *page
	out               *bytes.Buffer
	errs              *bytes.Buffer
	link              *link // to the Inngest server, if there is one
}

const worldManifest = `# the worker
apiVersion: apps/v1
kind: Deployment
metadata:
  name: worker
spec:
  replicas: 1
  selector: {matchLabels: {app: worker}}
  template:
    metadata: {labels: {app: worker}}
    spec:
      terminationGracePeriodSeconds: 0
      tolerations: [{operator: Exists}]
      containers:
        - name: worker
          image: %s   # stamped
          readinessProbe: {httpGet: {port: 3111}}
`

// newWorld makes a world with n clusters, whose contexts are called eu and us.
// Nothing runs yet. Tests with a world run in parallel: nothing in it belongs to the
// process, and most of their time passes waiting for controllers.
func newWorld(t *testing.T, n int) *world {
	t.Helper()
	parallel(t)
	w := &world{T: t, dir: t.TempDir(), out: new(bytes.Buffer), errs: new(bytes.Buffer)}
	planes := []*controlplane.ControlPlane{cptest.Shared(t)}
	if n > 1 {
		planes = append(planes, secondCluster(t))
	}
	config := api.NewConfig()
	for i, cp := range planes {
		path, err := cp.Kubeconfig("admin")
		if err != nil {
			t.Fatal(err)
		}
		one, err := clientcmd.LoadFromFile(path)
		if err != nil {
			t.Fatal(err)
		}
		as := []string{"eu", "us"}[i]
		config.Clusters[as], config.AuthInfos[as] = one.Clusters["local"], one.AuthInfos["admin"]
		config.Contexts[as] = &api.Context{Cluster: as, AuthInfo: as}
		kube := cptest.Kube(t, cp)
		w.kubes = append(w.kubes, kube)
		if i == 0 {
			w.ns = cptest.Namespace(t, kube, nil)
		} else {
			cptest.NamedNamespace(t, kube, w.ns)
		}
		// The controller creates it shortly after; a test may need it immediately.
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
		if _, err := kube.CoreV1().ServiceAccounts(w.ns).Create(t.Context(), account, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
		cptest.Kubelet(t, kube, w.ns)
	}
	config.CurrentContext = "eu"
	w.kubeconfig, w.state = filepath.Join(w.dir, "kubeconfig"), filepath.Join(w.dir, "state")
	if err := clientcmd.WriteToFile(*config, w.kubeconfig); err != nil {
		t.Fatal(err)
	}
	w.registry = startRegistry(t)
	w.page = startPage(t)
	for _, tag := range []string{"old", "new", "newer", "crash", "missing", "slow"} {
		w.push(tag, nil)
	}
	w.write(".git/HEAD", "")
	w.write(".sbw.yaml", fmt.Sprintf(`workers:
  worker:
    deploy: {manifest: k8s/worker.yaml, namespace: %s, deployment: worker, container: worker, timeout: 30s}
    probe: {port: %d}
`, w.ns, w.page.port))
	w.write("k8s/worker.yaml", fmt.Sprintf(worldManifest, w.registry+"/o/w:none"))
	w.env = &cli.Env{Plugin: "kubectl sbw", In: strings.NewReader(""), Out: w.out, Err: w.errs, Dir: w.dir,
		Getenv: func(name string) string { return stateIn(w.state)(name) }}
	return w
}

// inParallel are the tests that have been marked already.
var inParallel sync.Map

// parallel is t.Parallel for a test that may have several worlds.
func parallel(t *testing.T) {
	if _, already := inParallel.LoadOrStore(t, true); !already {
		t.Parallel()
	}
}

// alone keeps a test that changes what all namespaces share from running in parallel with
// others. It precedes newWorld, and the test's parents must not be parallel either.
func alone(t *testing.T) { inParallel.Store(t, true) }

// environ returns the environment of a child process, with additional variables.
func (w *world) environ(more ...string) []string {
	return slices.Concat(os.Environ(), []string{"KUBECONFIG=" + w.kubeconfig, "XDG_STATE_HOME=" + w.state}, more)
}

// run runs a command and fails unless it ends with this exit code.
func (w *world) run(code int, args ...string) (stdout, stderr string) {
	w.Helper()
	return w.runContext(w.Context(), code, args...)
}

func (w *world) runContext(ctx context.Context, code int, args ...string) (stdout, stderr string) {
	w.Helper()
	w.out.Reset()
	w.errs.Reset()
	if got := w.execute(ctx, args); got != code {
		w.Fatalf("%s: exit %d, want %d\n%s\n%s", strings.Join(args, " "), got, code, w.out, w.errs)
	}
	if strings.Contains(strings.Join(args, " "), "-o json") {
		clitest.Document(w.T, NewRoot, "kubectl sbw "+args[0], "json", w.out.Bytes())
	}
	return w.out.String(), w.errs.String()
}

// until waits for something that a controller does asynchronously.
func (w *world) until(ok func() bool) {
	w.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(2 * time.Minute); !ok(); {
		select {
		case <-tick.C:
		case <-end:
			w.Fatal("it did not happen")
		}
	}
}

func (w *world) execute(ctx context.Context, args []string) int {
	w.env.Mode = cli.OutputMode{}
	args = slices.Concat(args, w.as, []string{"--kubeconfig", w.kubeconfig, "--cache-dir", filepath.Join(w.dir, "cache")})
	return cli.Execute(ctx, w.env, NewRoot(w.env), args)
}

// try runs a command that may fail, and returns its exit code.
func (w *world) try(args ...string) int { return w.execute(w.Context(), args) }

func (w *world) write(name, text string) {
	w.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.Fatal(err)
	}
}

func (w *world) read(name string) string {
	w.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		w.Fatal(err)
	}
	return string(text)
}

func (w *world) deployment(cluster int) *appsv1.Deployment {
	w.Helper()
	d, err := w.kubes[cluster].AppsV1().Deployments(w.ns).Get(w.Context(), "worker", metav1.GetOptions{})
	if err != nil {
		w.Fatal(err)
	}
	return d
}

// tag returns the tag that a cluster runs, or "" if there is no Deployment.
func (w *world) tag(cluster int) string {
	w.Helper()
	return imageref.Split(w.deployment(cluster).Spec.Template.Spec.Containers[0].Image).Tag
}

// push puts an image for arm64 into the registry and returns its digest.
func (w *world) push(tag string, labels map[string]string) string {
	w.Helper()
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{Architecture: "arm64", OS: "linux",
		RootFS: v1.RootFS{Type: "layers"}, Config: v1.Config{Labels: labels, Env: []string{"TAG=" + tag}}})
	if err != nil {
		w.Fatal(err)
	}
	ref, err := name.ParseReference(w.registry + "/o/w:" + tag)
	if err != nil {
		w.Fatal(err)
	}
	if err := remote.Write(ref, img, remote.WithContext(w.Context())); err != nil {
		w.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		w.Fatal(err)
	}
	return digest.String()
}

func startRegistry(t *testing.T) (host string) {
	t.Helper()
	s := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// page answers for every pod, because all pods have this machine's address.
type page struct {
	port int
	// worker, if set, answers in its place.
	worker atomic.Pointer[httputil.ReverseProxy]
	// duplicates makes it report duplicate function IDs, which fail every probe for good.
	duplicates atomic.Bool
}

func startPage(t *testing.T) *page {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(cptest.HostIP(t), "0"))
	if err != nil {
		t.Fatal(err)
	}
	p := &page{port: l.Addr().(*net.TCPAddr).Port}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w := p.worker.Load(); w != nil {
			w.ServeHTTP(rw, r)
			return
		}
		if p.duplicates.Load() {
			fmt.Fprint(rw, `{"count":2,"worker":{"role":"cluster","duplicateFunctionIds":["a"],"hasDuplicateFunctionIds":true}}`)
			return
		}
		fmt.Fprint(rw, "ok")
	}))
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return p
}

// now is like tag, for use in other goroutines: "" if the tag cannot be read.
func (w *world) now(cluster int) string {
	d, err := w.kubes[cluster].AppsV1().Deployments(w.ns).Get(context.Background(), "worker", metav1.GetOptions{})
	if err != nil {
		return ""
	}
	return imageref.Split(d.Spec.Template.Spec.Containers[0].Image).Tag
}

func (w *world) patch(cluster int, patch string) {
	w.Helper()
	if _, err := w.kubes[cluster].AppsV1().Deployments(w.ns).Patch(w.Context(), "worker", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "by-hand"}); err != nil {
		w.Fatal(err)
	}
}

func (w *world) pause(cluster int, paused bool) {
	w.Helper()
	w.patch(cluster, fmt.Sprintf(`{"spec":{"paused":%t}}`, paused))
}

// restrict makes a cluster reject all pods that a controller creates. The preflight
// cannot know that: the pod that it tries has no owner.
func (w *world) restrict(cluster int) {
	w.Helper()
	w.policy(cluster, admissionv1.Create, "", "pods", "!has(object.metadata.ownerReferences)")
	owned := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "owned-", OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "none", UID: "none"}}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "c"}}},
	}
	w.until(func() bool { // the API server starts to enforce it asynchronously
		_, err := w.kubes[cluster].CoreV1().Pods(w.ns).Create(w.Context(), owned, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err != nil
	})
}

// policy refuses an operation in the world's namespace unless the expression is true.
func (w *world) policy(cluster int, op admissionv1.OperationType, group, resource, expression string) {
	w.Helper()
	api := w.kubes[cluster].AdmissionregistrationV1()
	policy := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: w.ns}, Spec: admissionv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: &admissionv1.MatchResources{
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": w.ns}},
			ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
				Operations: []admissionv1.OperationType{op},
				Rule:       admissionv1.Rule{APIGroups: []string{group}, APIVersions: []string{"v1"}, Resources: []string{resource}},
			}}},
		},
		Validations: []admissionv1.Validation{{Expression: expression, Message: "not here"}},
	}}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: w.ns}, Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
		PolicyName: w.ns, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny}}}
	if _, err := api.ValidatingAdmissionPolicies().Create(w.Context(), policy, metav1.CreateOptions{}); err != nil {
		w.Fatal(err)
	}
	if _, err := api.ValidatingAdmissionPolicyBindings().Create(w.Context(), binding, metav1.CreateOptions{}); err != nil {
		w.Fatal(err)
	}
}

// remove deletes a tag from the registry.
func (w *world) remove(tag string) {
	w.Helper()
	ref, err := name.ParseReference(w.registry + "/o/w:" + tag)
	if err != nil {
		w.Fatal(err)
	}
	if err := remote.Delete(ref, remote.WithContext(w.Context())); err != nil {
		w.Fatal(err)
	}
}
