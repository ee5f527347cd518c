package egressproxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/sandbox/pki"
)

// start runs a proxy and returns a client that uses it and trusts its
// authority and the additional one.
func start(t *testing.T, o Options, more ...*x509.Certificate) (addr string, client *http.Client) {
	t.Helper()
	ca, err := pki.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o.CA, o.Log = ca, log.New(io.Discard, "", 0)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- New(o).Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	pool := x509.NewCertPool()
	pem, err := os.ReadFile(ca.File())
	if err != nil {
		t.Fatal(err)
	}
	pool.AppendCertsFromPEM(pem)
	for _, c := range more {
		pool.AddCert(c)
	}
	tr := &http.Transport{
		Proxy:             http.ProxyURL(&url.URL{Scheme: "http", Host: l.Addr().String()}),
		TLSClientConfig:   &tls.Config{RootCAs: pool},
		ForceAttemptHTTP2: true,
	}
	t.Cleanup(tr.CloseIdleConnections)
	return l.Addr().String(), &http.Client{Transport: tr}
}

func get(t *testing.T, client *http.Client, url string) (*http.Response, string) {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func named(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s tls=%v", name, r.Host, r.TLS != nil)
	})
}

func TestAnswersForItsHostsOverHTTP2(t *testing.T) {
	_, client := start(t, Options{Hosts: map[string]http.Handler{"ghcr.io": named("registry"), "api.github.com": named("api")}})
	for host, want := range map[string]string{"ghcr.io": "registry ghcr.io tls=true", "api.github.com": "api api.github.com tls=true"} {
		resp, body := get(t, client, "https://"+host+"/v2/")
		if body != want || resp.ProtoMajor != 2 {
			t.Errorf("%s: %s over %s", host, body, resp.Proto)
		}
	}
}

func TestTunnelsToAllOthers(t *testing.T) {
	far := httptest.NewTLSServer(named("far"))
	defer far.Close()
	_, client := start(t, Options{Hosts: map[string]http.Handler{"ghcr.io": named("registry")}}, far.Certificate())
	if _, body := get(t, client, far.URL); !strings.HasPrefix(body, "far ") {
		t.Errorf("got %s", body)
	}
}

func TestTunnelsThroughAParent(t *testing.T) {
	far := httptest.NewTLSServer(named("far"))
	defer far.Close()
	asked := make(chan string, 1)
	parent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := (&http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}).BasicAuth()
		asked <- r.Method + " " + r.Host + " " + user + ":" + password
		New(Options{}).ServeHTTP(w, r)
	}))
	defer parent.Close()
	u, err := url.Parse(parent.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("me", "secret")
	_, client := start(t, Options{Parent: u}, far.Certificate())
	if _, body := get(t, client, far.URL); !strings.HasPrefix(body, "far ") {
		t.Errorf("got %s", body)
	}
	if got, want := <-asked, "CONNECT "+strings.TrimPrefix(far.URL, "https://")+" me:secret"; got != want {
		t.Errorf("the parent got %q, want %q", got, want)
	}
}

func TestRefuses(t *testing.T) {
	addr, client := start(t, Options{Hosts: map[string]http.Handler{"ghcr.io": named("registry")}})
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	if _, err := client.Get("https://" + closed.Addr().String()); err == nil || !strings.Contains(err.Error(), "Bad Gateway") {
		t.Errorf("an unreachable host: %v", err)
	}
	resp, err := http.Get("http://" + addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("a plain GET: %s", resp.Status)
	}
}
