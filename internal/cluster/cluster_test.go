package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// TestMain hides the machine's proxies: net/http reads them once, and a proxy
// would answer for the hosts that these tests need to be unknown.
func TestMain(m *testing.M) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"} {
		os.Unsetenv(name)
		os.Unsetenv(strings.ToLower(name))
	}
	os.Exit(m.Run())
}

func code(err error) string {
	if f, ok := errors.AsType[*pipeline.Finding](err); ok {
		return string(f.Code)
	}
	return fmt.Sprint(err)
}

// flags are kubectl's, over a kubeconfig with one context for each server.
func flags(t *testing.T, server string, users string) *genericclioptions.ConfigFlags {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: here
contexts:
- {name: here, context: {cluster: c, user: u, namespace: joelclaw}}
- {name: bare, context: {cluster: c, user: u}}
clusters:
- {name: c, cluster: {server: %q}}
users:
- name: u
  user: %s
`, server, users)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f := genericclioptions.NewConfigFlags(false)
	cache := t.TempDir()
	f.KubeConfig, f.CacheDir = &path, &cache
	return f
}

func TestConnectAsksNothing(t *testing.T) {
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer s.Close()
	c, err := cluster.Connect(flags(t, s.URL, "{token: t}"), cluster.Options{UserAgent: "kubectl-sbw/1"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Context != "here" || c.Namespace != "joelclaw" || c.User != "u" || c.Server != s.URL || c.String() != fmt.Sprintf("context %q (%s)", "here", s.URL) {
		t.Errorf("%+v", c)
	}
	if _, err := c.Kube(); err != nil {
		t.Error(err)
	}
	if _, err := c.Dynamic(); err != nil {
		t.Error(err)
	}
	if asked.Load() != 0 {
		t.Errorf("%d requests", asked.Load())
	}
}

func TestFlagsChoose(t *testing.T) {
	f := flags(t, "https://127.0.0.1:1", "{token: t}")
	bare, ns := "bare", "other"
	f.Context = &bare
	c, err := cluster.Connect(f, cluster.Options{})
	if err != nil || c.Context != "bare" || c.Namespace != "default" {
		t.Errorf("%+v %v", c, err)
	}
	f.Namespace = &ns
	if c, err = cluster.Connect(f, cluster.Options{}); err != nil || c.Namespace != "other" {
		t.Errorf("%+v %v", c, err)
	}
}

func TestKubeconfigFindings(t *testing.T) {
	f := flags(t, "https://127.0.0.1:1", "{token: t}")
	none := "none"
	f.Context = &none
	_, err := cluster.Connect(f, cluster.Options{})
	if code(err) != "context-unknown" || !strings.Contains(err.Error(), `"none"`) {
		t.Error(err)
	}
	f = flags(t, "https://127.0.0.1:1", "{token: t}")
	if err := os.WriteFile(*f.KubeConfig, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.Connect(f, cluster.Options{}); code(err) != "kubeconfig" || !strings.Contains(err.Error(), "no cluster is configured") {
		t.Error(err)
	}
	for _, text := range []string{": no yaml [", "[]", "text", "clusters: {a: 1}"} {
		if err := os.WriteFile(*f.KubeConfig, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := cluster.Connect(f, cluster.Options{})
		if code(err) != "kubeconfig" || strings.Contains(err.Error(), "struct {") || strings.Contains(err.Error(), "Go value") {
			t.Errorf("%q: %v", text, err)
		}
	}
	f = flags(t, "https://127.0.0.1:1", `{client-certificate: /does/not/exist, client-key: /does/not/exist}`)
	if _, err := cluster.Connect(f, cluster.Options{}); code(err) != "kubeconfig" {
		t.Error(err)
	}
	for _, err := range []error{err} {
		if f, ok := errors.AsType[*pipeline.Finding](err); !ok || f.End != pipeline.Usage {
			t.Errorf("%+v is not wrong usage", f)
		}
	}
}

// status answers every request with one status.
func status(reason metav1.StatusReason, httpCode int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Warning", `299 - "old API"`)
		w.WriteHeader(httpCode)
		fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d,"message":"words of the\n server"}`, reason, httpCode)
	}
}

func TestPing(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	tls := httptest.NewTLSServer(http.NotFoundHandler())
	defer tls.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	serve := func(h http.HandlerFunc) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	tests := []struct{ name, server, user, code string }{
		{"unauthorized", serve(status(metav1.StatusReasonUnauthorized, 401)), "{token: t}", "cluster-unauthorized"},
		{"forbidden", serve(status(metav1.StatusReasonForbidden, 403)), "{token: t}", "cluster-forbidden"},
		{"busy", serve(status(metav1.StatusReasonServiceUnavailable, 503)), "{token: t}", "cluster-busy"},
		{"refused", "http://" + closed.Addr().String(), "{token: t}", "cluster-unreachable"},
		{"silent", "http://" + silent.Addr().String(), "{token: t}", "cluster-unreachable"},
		{"unknown host", "https://no-such-host.invalid", "{token: t}", "cluster-unreachable"},
		{"wrong CA", tls.URL, "{token: t}", "cluster-tls"},
		{"credential command", "https://127.0.0.1:1", `{exec: {apiVersion: client.authentication.k8s.io/v1, command: /does/not/exist, interactiveMode: Never}}`, "cluster-credentials"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var warned atomic.Int32
			c, err := cluster.Connect(flags(t, tt.server, tt.user), cluster.Options{Warn: func(string) { warned.Add(1) }})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			if tt.name == "silent" {
				ctx, cancel = context.WithTimeout(t.Context(), time.Second)
			}
			defer cancel()
			err = c.Ping(ctx)
			if code(err) != tt.code {
				t.Fatal(err)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("not on one line: %q", err)
			}
			if strings.Contains(err.Error(), "words of") {
				_ = c.Ping(ctx) // for its warning, the second of the same
				if warned.Load() != 1 {
					t.Errorf("warned %d times", warned.Load())
				}
			}
		})
	}
}

func TestExplain(t *testing.T) {
	if cluster.Explain("x", nil) != nil {
		t.Error("nothing explained")
	}
	f := &pipeline.Finding{Code: "mine"}
	if err := cluster.Explain("x", fmt.Errorf("around: %w", f)); code(err) != "mine" {
		t.Error(err)
	}
	if err := cluster.Explain("x", context.Canceled); !errors.Is(err, context.Canceled) || code(err) != "cannot x: context canceled" {
		t.Error(err)
	}
	gr := schema.GroupResource{Resource: "pods"}
	tests := map[string]error{
		"not-found":           apierrors.NewNotFound(gr, "p"),
		"invalid":             apierrors.NewBadRequest("no"),
		"cluster-busy":        apierrors.NewTooManyRequests("slow", 1),
		"cluster-unreachable": context.DeadlineExceeded,
		"cannot x: odd":       errors.New("odd"),
	}
	for want, err := range tests {
		if got := cluster.Explain("x", err); code(got) != want || !errors.Is(got, err) {
			t.Errorf("%v, want %s", got, want)
		}
	}
}
