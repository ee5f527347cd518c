package forward_test

import (
	"fmt"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster/forward"
	"github.com/joelhooks/gh-sbw/internal/sandbox/controlplane/cptest"
)

func (b *bench) direct(user, svc string, port int) ([]forward.Address, error) {
	b.Helper()
	return forward.Direct(b.Context(), cptest.Connect(b.T, cptest.Shared(b.T), user, b.ns), forward.Target{Namespace: b.ns, Service: svc, Port: port})
}

// apiHost is where the API server of the tests listens: a cluster of one
// machine forwards its node ports there.
const apiHost = "127.0.0.1"

// TestDirectOfEachKindOfService creates each kind of Service on the real API server, which allocates node ports and stores a
// load balancer's address in the status.
func TestDirectOfEachKindOfService(t *testing.T) {
	b := newBench(t)
	if got, err := b.direct("admin", "inngest-svc", 8288); err != nil || len(got) != 0 {
		t.Fatalf("a plain Service has %v, %v", got, err)
	}
	services := b.kube.CoreV1().Services(b.ns)
	lb, err := services.Create(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "lb"}, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeLoadBalancer, Selector: map[string]string{"app": "inngest"}, ExternalIPs: []string{"192.0.2.9"},
		Ports: []corev1.ServicePort{{Name: "api", Port: 8288}}}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	lb.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}, {Hostname: "lb.example.com"}}
	if _, err := services.UpdateStatus(t.Context(), lb, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	backend := func(port networkingv1.ServiceBackendPort) networkingv1.IngressBackend {
		return networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "lb", Port: port}}
	}
	prefix := networkingv1.PathTypePrefix
	rule := func(host, path string, to networkingv1.IngressBackend) networkingv1.IngressRule {
		return networkingv1.IngressRule{Host: host, IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
			Paths: []networkingv1.HTTPIngressPath{{Path: path, PathType: &prefix, Backend: to}}}}}
	}
	in := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Name: "in"}, Spec: networkingv1.IngressSpec{
		TLS: []networkingv1.IngressTLS{{Hosts: []string{"inngest.example.com"}}},
		Rules: []networkingv1.IngressRule{
			rule("inngest.example.com", "/", backend(networkingv1.ServiceBackendPort{Name: "api"})),
			rule("plain.example.com", "/", backend(networkingv1.ServiceBackendPort{Number: 8288})),
			rule("path.example.com", "/inngest", backend(networkingv1.ServiceBackendPort{Number: 8288})),
			rule("port.example.com", "/", backend(networkingv1.ServiceBackendPort{Number: 1})),
			rule("*.example.com", "/", backend(networkingv1.ServiceBackendPort{Number: 8288})),
		}}}
	if _, err := b.kube.NetworkingV1().Ingresses(b.ns).Create(t.Context(), in, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	got, err := b.direct("admin", "lb", 8288)
	if err != nil {
		t.Fatal(err)
	}
	want := []forward.Address{
		{URL: "http://192.0.2.1:8288", Kind: forward.LoadBalancer}, {URL: "http://lb.example.com:8288", Kind: forward.LoadBalancer},
		{URL: "http://192.0.2.9:8288", Kind: forward.ExternalIP},
		{URL: "https://inngest.example.com", Kind: forward.ByIngress}, {URL: "http://plain.example.com", Kind: forward.ByIngress},
	}
	// The nodes of a test that runs concurrently may follow; see the next test.
	if len(got) < len(want) {
		t.Fatalf("%v", got)
	}
	if diff := cmp.Diff(want, got[:len(want)]); diff != "" {
		t.Error(diff)
	}
	for _, a := range got[len(want):] {
		if a.Kind != forward.NodePort {
			t.Errorf("%s after the others", a)
		}
	}
	if _, err := b.direct("admin", "none", 1); code(err) != "service-unknown" {
		t.Error(err)
	}
	if _, err := b.direct("admin", "lb", 1); code(err) != "port-unknown" {
		t.Error(err)
	}
}

// If nodes may not be listed, the pods' hosts are used.
func TestDirectWithoutNodes(t *testing.T) {
	b := newBench(t)
	b.pod("a", true)
	pod, err := b.kube.CoreV1().Pods(b.ns).Get(t.Context(), "a", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod.Status.HostIP, pod.Status.HostIPs = "192.0.2.7", []corev1.HostIP{{IP: "192.0.2.7"}}
	if _, err := b.kube.CoreV1().Pods(b.ns).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	svc, err := b.kube.CoreV1().Services(b.ns).Create(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "np"}, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeNodePort, Selector: map[string]string{"app": "inngest"}, Ports: []corev1.ServicePort{{Name: "api", Port: 8288}}}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "reader"}, Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods", "services"}, Verbs: []string{"get", "list"}}}}
	if _, err := b.kube.RbacV1().Roles(b.ns).Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	bind := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "reader"}, RoleRef: rbacv1.RoleRef{Kind: "Role", Name: "reader", APIGroup: rbacv1.GroupName},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: "nobody", APIGroup: rbacv1.GroupName}}}
	if _, err := b.kube.RbacV1().RoleBindings(b.ns).Create(t.Context(), bind, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	got, err := b.direct("nobody", "np", 8288)
	if err != nil {
		t.Fatal(err)
	}
	port := svc.Spec.Ports[0].NodePort
	want := []forward.Address{{URL: url("192.0.2.7", port), Kind: forward.NodePort}, {URL: url(apiHost, port), Kind: forward.NodePort}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func url(host string, port int32) string { return "http://" + net.JoinHostPort(host, fmt.Sprint(port)) }
