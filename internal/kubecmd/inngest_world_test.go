package kubecmd

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/joelhooks/gh-sbw/internal/inngest/client"
	"github.com/joelhooks/gh-sbw/internal/inngest/wire"
	"github.com/joelhooks/gh-sbw/internal/sandbox/controlplane/cptest"
	"github.com/joelhooks/gh-sbw/internal/sandbox/inngestd"
	"github.com/joelhooks/gh-sbw/internal/sandbox/npmworkers"
	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

const (
	testSigningKey = "signkey-test-0123456789abcdef0123456789abcdef"
	testEventKey   = "evt"
)

// withInngest gives the world a simulated server, and a worker with the real SDK that
// answers for every pod. Nothing forwards ports here: commands run as a user who is not
// permitted to, so that they use the worker's Service.
func (w *world) withInngest(workerEnv map[string]string) *npmworkers.Process {
	w.Helper()
	dir := filepath.Join(require.Dir(w.T), "npm")
	if err := npmworkers.Install(w.Context(), dir); err != nil {
		w.Fatal(err)
	}
	host := net.JoinHostPort(cptest.HostIP(w), fmt.Sprint(w.page.port))
	double := inngestd.New(inngestd.Options{SigningKey: testSigningKey, EventKeys: []string{testEventKey}, Backoff: inngestd.Scaled(100),
		HTTP: &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer // every registered name stands for the Service
			return d.DialContext(ctx, network, host)
		}}}})
	w.link = &link{to: double, broke: map[string]bool{}}
	server := httptest.NewServer(w.link)
	w.Cleanup(func() { server.Close(); double.Close() })

	e := map[string]string{"INNGEST_DEV": "0", "INNGEST_SIGNING_KEY": testSigningKey, "INNGEST_EVENT_KEY": testEventKey, "INNGEST_BASE_URL": server.URL}
	for name, v := range workerEnv {
		e[name] = v
	}
	p, err := npmworkers.Start(w.Context(), npmworkers.Options{Dir: dir, Name: npmworkers.SDK4, Env: e})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(p.Kill)
	to, err := url.Parse(p.URL())
	if err != nil {
		w.Fatal(err)
	}
	w.page.worker.Store(&httputil.ReverseProxy{ErrorLog: log.New(io.Discard, "", 0), Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host
	}})

	kube := w.kubes[0]
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "worker"}, Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "worker"},
		ExternalIPs: []string{cptest.HostIP(w)}, Ports: []corev1.ServicePort{{Port: int32(w.page.port)}}}}
	if _, err := kube.CoreV1().Services(w.ns).Create(w.Context(), svc, metav1.CreateOptions{}); err != nil {
		w.Fatal(err)
	}
	all := []string{"*"}
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "no-forward"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"apps", "coordination.k8s.io", "networking.k8s.io", "events.k8s.io"}, Resources: all, Verbs: all},
		{APIGroups: []string{""}, Verbs: all, Resources: []string{"pods", "pods/proxy", "pods/log", "events", "secrets", "services", "serviceaccounts",
			"configmaps", "resourcequotas", "limitranges", "persistentvolumeclaims"}},
	}}
	if _, err := kube.RbacV1().Roles(w.ns).Create(w.Context(), role, metav1.CreateOptions{}); err != nil {
		w.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "no-forward"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "no-forward"},
		Subjects: []rbacv1.Subject{{Kind: "User", Name: "dev", APIGroup: rbacv1.GroupName}}}
	if _, err := kube.RbacV1().RoleBindings(w.ns).Create(w.Context(), binding, metav1.CreateOptions{}); err != nil {
		w.Fatal(err)
	}
	w.write(".sbw.yaml", w.read(".sbw.yaml")+"    inngest: {app: system-bus-cluster, url: \""+server.URL+"\"}\n"+"    allow: {zeroRetries: {voice-missed-call: \"a canary\"}}\n")
	w.write("k8s/worker.yaml", strings.Replace(w.read("k8s/worker.yaml"), "          readinessProbe:", "          env: [{name: INNGEST_SIGNING_KEY, value: "+testSigningKey+"}]\n          readinessProbe:", 1))
	w.inngest = server.URL
	w.as = []string{"--as", "dev"}
	w.until(func() bool { // the authorizer learns about roles asynchronously
		w.errs.Reset()
		return w.try("history") == 1 && strings.Contains(w.errs.String(), "workload-unknown")
	})
	return p
}

// send sends an event, which starts its functions.
func (w *world) send(name string) {
	w.Helper()
	c, err := client.New(client.Options{Server: wire.Endpoint{BaseURL: w.inngest}, Key: wire.NewSigningKey(testSigningKey)})
	if err != nil {
		w.Fatal(err)
	}
	if _, err := c.Send(w.Context(), wire.NewEventKey(testEventKey), client.Event{Name: name}); err != nil {
		w.Fatal(err)
	}
}

func began(t *testing.T, p *npmworkers.Process, step string) {
	t.Helper()
	if _, err := p.Began(t.Context(), step); err != nil {
		t.Fatal(err)
	}
}
