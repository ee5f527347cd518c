package probe_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/probe"
	"github.com/joelhooks/gh-sbw/internal/sandbox/controlplane/cptest"
)

func TestMain(m *testing.M) { os.Exit(cptest.Main(m)) }

func code(err error) string {
	if f, ok := errors.AsType[*pipeline.Finding](err); ok {
		return string(f.Code)
	}
	return fmt.Sprint(err)
}

// worker serves a pod's pages on an address that both the API server's proxy and
// the node can reach.
func worker(t *testing.T) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(cptest.HostIP(t), "0"))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/forbidden":
			http.Error(w, "the worker says no", http.StatusForbidden)
		case r.URL.Path == "/away":
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		case r.URL.Path == "/q" && r.URL.RawQuery != "x=1":
			http.Error(w, r.URL.RawQuery, http.StatusTeapot)
		default:
			fmt.Fprintf(w, `{"count":1,"functions":["f"],"worker":{"role":"cluster"},"path":%q}`, r.URL.Path)
		}
	}))
	s.Listener = l
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return l.Addr().(*net.TCPAddr).Port
}

func place(t *testing.T, kube kubernetes.Interface, ns string, node *cptest.Node) *corev1.Pod {
	t.Helper()
	pod, err := kube.CoreV1().Pods(ns).Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "w"},
		Spec: corev1.PodSpec{NodeName: node.Name, Containers: []corev1.Container{{Name: "c", Image: "x"}}}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ip := cptest.HostIP(t)
	pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}}}
	if pod, err = kube.CoreV1().Pods(ns).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	return pod
}

func TestThroughTheAPIServer(t *testing.T) {
	cp := cptest.Shared(t)
	kube := cptest.Kube(t, cp)
	ns := cptest.Namespace(t, kube, nil)
	node := cptest.NewNode(t, kube)
	port := worker(t)
	pod := place(t, kube, ns, node)
	node.Serve("w", port, net.JoinHostPort(cptest.HostIP(t), fmt.Sprint(port)))

	// alice may forward ports but not use the proxy; nobody may not do either.
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "forwarder"}, Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods/portforward"}, Verbs: []string{"create", "get"}}}}
	if _, err := kube.RbacV1().Roles(ns).Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "alice"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "forwarder"},
		Subjects: []rbacv1.Subject{{Kind: "User", Name: "alice", APIGroup: rbacv1.GroupName}}}
	if _, err := kube.RbacV1().RoleBindings(ns).Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}

	tests := []struct {
		name, user, path string
		port             int
		code, via        string
		status           int
		kind             string
	}{
		{name: "h2c", kind: "h2c", user: "admin", path: "/a?b=c", port: port, via: "port-forward", status: 200},
		{name: "h2c's own 403", kind: "h2c", user: "admin", path: "/forbidden", port: port, code: "probe-status", via: "port-forward", status: 403},
		{name: "h2c, nobody listens", kind: "h2c", user: "admin", path: "/", port: 1, code: "probe-unreachable"},
		{name: "h2c, refused", kind: "h2c", user: "nobody", path: "/", port: port, code: "probe-forbidden"},
		{name: "tcp", kind: "tcp", user: "admin", port: port, via: "port-forward"},
		{name: "tcp, nobody listens", kind: "tcp", user: "admin", port: 1, code: "probe-unreachable"},
		{name: "tcp, refused", kind: "tcp", user: "nobody", port: port, code: "probe-forbidden"},
		{name: "none", kind: "none", user: "nobody", port: 1},
		{"proxy", "admin", "/", port, "", "proxy", 200, ""},
		{"deep path", "admin", "/a/b", port, "", "proxy", 200, ""},
		{"query", "admin", "/q?x=1", port, "", "proxy", 200, ""},
		{"the pod's own 403", "admin", "/forbidden", port, "probe-status", "proxy", 403, ""},
		{"redirect is not followed", "admin", "/away", port, "", "proxy", 302, ""},
		{"nobody listens", "admin", "/", 1, "probe-unreachable", "", 0, ""},
		{"port-forward", "alice", "/", port, "", "port-forward", 200, ""},
		{"neither way", "nobody", "/", port, "probe-forbidden", "", 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn := cptest.Connect(t, cp, tt.user, ns)
			o := probe.Options{Namespace: ns, Pods: []*corev1.Pod{pod}, Container: "c", Type: tt.kind, Port: tt.port, Path: tt.path}
			var answers []probe.Answer
			var err error
			if tt.code == "probe-unreachable" {
				o.Budget = 1500 * time.Millisecond // the probe uses all of it
			}
			for until := time.Now().Add(time.Minute); ; { // RBAC rules take a moment to become effective
				answers, err = probe.Run(t.Context(), conn, o)
				if tt.user != "alice" || code(err) != "probe-forbidden" || time.Now().After(until) {
					break
				}
			}
			want := tt.code
			if want == "" {
				want = "<nil>"
			}
			if strings.HasSuffix(tt.name, "nobody listens") && !strings.Contains(err.Error(), "refused") {
				t.Error(err)
			}
			a := answers[0]
			if code(err) != want || a.Via != tt.via || a.Status != tt.status {
				t.Fatalf("%v, %+v", err, a)
			}
			if tt.status == 200 && (a.Health == nil || a.Health.Role != "cluster" || a.Latency <= 0) {
				t.Fatalf("%+v", a)
			}
		})
	}
}
