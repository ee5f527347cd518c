package forward_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster/forward"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/controlplane/cptest"
)

func TestMain(m *testing.M) { os.Exit(cptest.Main(m)) }

func code(err error) string {
	if f, ok := errors.AsType[*pipeline.Finding](err); ok {
		return string(f.Code)
	}
	return fmt.Sprint(err)
}

// bench has a Service over pods a and b on a node that forwards to servers of
// the test.
type bench struct {
	*testing.T
	kube kubernetes.Interface
	ns   string
	node *cptest.Node
}

func newBench(t *testing.T) *bench {
	t.Helper()
	t.Parallel()
	kube := cptest.Kube(t, cptest.Shared(t))
	b := &bench{T: t, kube: kube, ns: cptest.Namespace(t, kube, nil), node: cptest.NewNode(t, kube)}
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "inngest-svc"}, Spec: corev1.ServiceSpec{
		Selector: map[string]string{"app": "inngest"},
		Ports:    []corev1.ServicePort{{Name: "api", Port: 8288, TargetPort: intstr.FromString("http")}, {Name: "plain", Port: 80}}}}
	if _, err := kube.CoreV1().Services(b.ns).Create(t.Context(), svc, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) pod(name string, ready bool) {
	b.Helper()
	pods := b.kube.CoreV1().Pods(b.ns)
	pod, err := pods.Create(b.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": "inngest"}},
		Spec: corev1.PodSpec{NodeName: b.node.Name, Containers: []corev1.Container{{Name: "c", Image: "x", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 9000}}}}}}, metav1.CreateOptions{})
	if err != nil {
		b.Fatal(err)
	}
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status}}
	if _, err := pods.UpdateStatus(b.Context(), pod, metav1.UpdateOptions{}); err != nil {
		b.Fatal(err)
	}
}

// server answers with its name.
func (b *bench) server(pod string, port int) {
	b.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			b.Error(err)
		}
		fmt.Fprintf(w, "%s %s %d", pod, r.URL.Path, len(body))
	}))
	b.Cleanup(s.Close)
	b.node.Serve(pod, port, s.URL)
}

func (b *bench) tunnel(t forward.Target) *forward.Tunnel {
	b.Helper()
	t.Namespace = b.ns
	tunnel, err := forward.New(cptest.Connect(b.T, cptest.Shared(b.T), "admin", b.ns), t)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := tunnel.Close(); err != nil {
			b.Error(err)
		}
	})
	return tunnel
}

func get(ctx context.Context, client *http.Client, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(strings.Repeat("x", 100_000)))
	if err != nil {
		return "", err
	}
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}

func TestServiceAndReconnect(t *testing.T) {
	b := newBench(t)
	b.pod("a", true)
	b.pod("b", true)
	b.pod("c", false)
	b.server("a", 9000)
	b.server("b", 9000)
	tunnel := b.tunnel(forward.Target{Service: "inngest-svc", Port: 8288})
	client := &http.Client{Transport: tunnel.Transport()}
	url := tunnel.Target().URL().JoinPath("/v0/gql").String()
	for range 3 {
		if got, err := get(t.Context(), client, url); got != "a /v0/gql 100000" || err != nil {
			t.Fatalf("%q %v", got, err)
		}
	}
	// Concurrent requests share one link.
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if got, err := get(t.Context(), client, url); got != "a /v0/gql 100000" || err != nil {
				t.Errorf("%q %v", got, err)
			}
		})
	}
	wg.Wait()
	if tunnel.Pod() != "a" {
		t.Fatalf("connected to %q", tunnel.Pod())
	}
	// The pod dies: the next request goes to the other one.
	b.node.Serve("a", 9000, "")
	b.node.Cut("a")
	client.CloseIdleConnections()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		// Until the end of the link has been noticed, a request may still go
		// down with it.
		got, err := get(t.Context(), client, url)
		if got == "b /v0/gql 100000" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q %v", got, err)
		}
	}
}

// The API server and the kubelet keep the link although its pod is gone ("failed to find
// sandbox"). The request that finds this out is sent to the pod that replaced it, and succeeds.
func TestReplacedPod(t *testing.T) {
	b := newBench(t)
	b.pod("a", true)
	b.server("a", 9000)
	tunnel := b.tunnel(forward.Target{Service: "inngest-svc", Port: 8288})
	client := &http.Client{Transport: tunnel.Transport()}
	url := tunnel.Target().URL().String()
	if got, err := get(t.Context(), client, url); got != "a / 100000" || err != nil {
		t.Fatalf("%q %v", got, err)
	}
	b.node.Serve("a", 9000, "") // its sandbox is gone; nothing is cut
	b.pod("b", true)
	b.server("b", 9000)
	client.CloseIdleConnections()
	if got, err := get(t.Context(), client, url); got != "b / 100000" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	if tunnel.Pod() != "b" {
		t.Errorf("connected to %q", tunnel.Pod())
	}
}

func TestPodAndComplaint(t *testing.T) {
	b := newBench(t)
	b.pod("a", true)
	b.server("a", 3111)
	good := b.tunnel(forward.Target{Pod: "a", Port: 3111})
	if got, err := get(t.Context(), &http.Client{Transport: good.Transport()}, good.Target().URL().String()+"/"); got != "a / 100000" || err != nil {
		t.Fatalf("%q %v", got, err)
	}
	bad := b.tunnel(forward.Target{Pod: "a", Port: 4000})
	_, err := get(t.Context(), &http.Client{Transport: bad.Transport()}, bad.Target().URL().String())
	if err == nil || !strings.Contains(err.Error(), "Connection refused") {
		t.Fatalf("%v: not what the kubelet said", err)
	}
}

func TestClosed(t *testing.T) {
	b := newBench(t)
	b.pod("a", true)
	b.server("a", 9000)
	tunnel := b.tunnel(forward.Target{Pod: "a", Port: 9000})
	client := &http.Client{Transport: tunnel.Transport()}
	if _, err := get(t.Context(), client, tunnel.Target().URL().String()); err != nil {
		t.Fatal(err)
	}
	if err := tunnel.Close(); err != nil {
		t.Fatal(err)
	}
	client.CloseIdleConnections()
	if _, err := get(t.Context(), client, tunnel.Target().URL().String()); err == nil {
		t.Fatal("a closed tunnel carried a request")
	}
}

func TestRefusals(t *testing.T) {
	b := newBench(t)
	try := func(target forward.Target) error {
		tunnel := b.tunnel(target)
		_, err := tunnel.DialContext(t.Context(), "", "")
		return err
	}
	if err := try(forward.Target{Service: "none", Port: 1}); code(err) != "service-unknown" {
		t.Error(err)
	}
	if err := try(forward.Target{Service: "inngest-svc", Port: 8288}); code(err) != "service-unready" {
		t.Error(err)
	}
	b.pod("c", false)
	if err := try(forward.Target{Service: "inngest-svc", Port: 8288}); code(err) != "service-unready" || !strings.Contains(err.Error(), "1 pod, none ready") {
		t.Error(err)
	}
	if err := try(forward.Target{Service: "inngest-svc", Port: 1}); code(err) != "port-unknown" || !strings.Contains(err.Error(), "8288, 80") {
		t.Error(err)
	}
	if err := try(forward.Target{Pod: "none", Port: 1}); err == nil {
		t.Error("forwarded to a pod that is not there")
	}
}

func TestForbidden(t *testing.T) {
	b := newBench(t)
	b.pod("a", true)
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "reader"}, Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods", "services"}, Verbs: []string{"get", "list"}}}}
	if _, err := b.kube.RbacV1().Roles(b.ns).Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	tunnel, err := forward.New(cptest.Connect(t, cptest.Shared(t), "nobody", b.ns), forward.Target{Namespace: b.ns, Pod: "a", Port: 9000})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = tunnel.DialContext(t.Context(), "", ""); code(err) != "forward-forbidden" {
		t.Fatal(err)
	}
}
