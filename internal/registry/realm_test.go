package registry

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// TestTokenStaysHome checks that neither the bearer nor the credential is sent
// along when a redirect or location leads to another host, port or subdomain.
func TestTokenStaysHome(t *testing.T) {
	var leaked atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			leaked.Add(1)
		}
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	defer other.Close()
	reg := &tokens{uses: 1 << 30}
	reg.handler = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+"/elsewhere", http.StatusTemporaryRedirect)
	}
	srv := httptest.NewServer(reg)
	defer srv.Close()
	c := New(at(t, srv), Options{Auth: basic()})
	if _, err := c.Do(t.Context(), Request{Method: http.MethodGet, Kind: "blob", Path: "blobs/x"}); err != nil {
		t.Error(err)
	}
	// An upload to a location on another host is sent there without a bearer.
	if _, err := c.Do(t.Context(), Request{Method: http.MethodPut, Kind: "content", Path: other.URL + "/upload"}); err != nil {
		t.Error(err)
	}
	// A redirect of a write is refused.
	if _, err := c.Do(t.Context(), Request{Method: http.MethodPut, Kind: "manifest", Path: "manifests/x"}); err == nil {
		t.Error("a write was redirected")
	}
	if leaked.Load() != 0 {
		t.Error("a credential went to another host")
	}
}

// TestRealm checks that the credential is not sent to the token endpoint of
// another host.
func TestRealm(t *testing.T) {
	for _, c := range []struct {
		registry, realm string
		allowed         bool
	}{
		{"ghcr.io", "https://ghcr.io/token", true},
		{"ghcr.io", "https://GHCR.io/token", true},
		{"ghcr.io", "https://ghcr.io:444/token", false},
		{"ghcr.io", "https://evil.ghcr.io/token", false},
		{"ghcr.io", "http://ghcr.io/token", false},
		{"ghcr.io", "https://evil.example/token", false},
		{"ghcr.io", "https://ghcr.io@evil.example/token", false},
		{"containers.example.com", "https://containers.example.com/token", true},
		{"containers.example.com", "https://example.com/token", false},
		{"index.docker.io", "https://auth.docker.io/token", true},
		{"registry.gitlab.com", "https://gitlab.com/jwt/auth", true},
		{"registry.example.co.uk", "https://evil.co.uk/token", false},
		{"registry.example.com", "https://example.com.evil.net/token", false},
		{"registry.example.com", "/token", false},
		{"registry.example.com", "::", false},
		{"localhost:5000", "http://localhost:5001/token", true},
		{"127.0.0.1:5000", "http://localhost:5001/token", false},
		{"10.0.0.1:5000", "http://10.0.0.1:5001/token", false},
		{"10.0.0.1:5000", "http://10.9.0.1:5001/token", false},
		{"registry.example.com.au", "https://gitlab.example.com.au/jwt/auth", true},
		{"registry.co.uk", "https://evil.co.uk/token", false},
	} {
		ch := challengeOf(http.Header{"Www-Authenticate": {`Bearer realm="` + c.realm + `"`}}, false)
		r, err := name.NewRegistry(c.registry)
		if err != nil {
			t.Fatal(err)
		}
		err = checkRealm(r, ch, &authn.AuthConfig{Username: "joel", Password: secret})
		if c.allowed != (err == nil) {
			t.Errorf("%s, %s: %v", c.registry, c.realm, err)
		}
		var f *pipeline.Finding
		if err != nil && (!errors.As(err, &f) || f.Code != "registry-realm") {
			t.Errorf("%s, %s: %v", c.registry, c.realm, err)
		}
		if err := checkRealm(r, ch, &authn.AuthConfig{}); err != nil {
			t.Errorf("anonymous to %s: %v", c.realm, err)
		}
	}
}

// TestKnownRealm checks that GitHub's registries need no request that is refused
// first, and that the challenge is followed if the guess is wrong.
func TestKnownRealm(t *testing.T) {
	for _, guess := range []string{"/token", "/v2/token"} {
		reg := &tokens{uses: 1 << 30}
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/token" && guess != "/token" {
				http.NotFound(w, r)
				return
			}
			if r.URL.Path == guess {
				r.URL.Path = "/token"
			}
			reg.realm = "http://" + r.Host + guess
			reg.ServeHTTP(w, r)
		}))
		tr := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, srv.Listener.Addr().String())
		}}
		c := New(repo(t, "containers.github.localhost/o/n"), Options{Auth: basic(), Transport: tr})
		if _, err := c.Do(t.Context(), Request{Method: http.MethodGet, Kind: "x", Path: "x"}); err != nil {
			t.Error(err)
		}
		want := 2
		if guess != "/token" {
			want = 4
		}
		if c.Requests() != want {
			t.Errorf("realm %s: %d requests, want %d", guess, c.Requests(), want)
		}
		tr.CloseIdleConnections()
		srv.Close()
	}
}
