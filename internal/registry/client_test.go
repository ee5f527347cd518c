package registry

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

const secret = "ghp_0123456789abcdefghijklmnopqrstuvwxyz"

func basic() authn.Authenticator { return &authn.Basic{Username: "joel", Password: secret} }

func repo(t *testing.T, s string) name.Repository {
	t.Helper()
	r, err := ParseRepository(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func at(t *testing.T, srv *httptest.Server) name.Repository {
	t.Helper()
	return repo(t, strings.TrimPrefix(strings.TrimPrefix(srv.URL, "http://"), "https://")+"/o/n")
}

func noWait(ctx context.Context, _ time.Duration) error { return ctx.Err() }

// tokens is a registry that wants bearers; each is good for uses requests.
type tokens struct {
	mu        sync.Mutex
	uses      int
	left      map[string]int
	exchanges int
	realm     string
	expiresIn int
	seen      []string // Authorization of /v2/ requests
	handler   http.HandlerFunc
}

func (s *tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.URL.Path == "/token" {
		if _, pass, _ := r.BasicAuth(); pass != secret {
			http.Error(w, `{"errors":[{"code":"DENIED","message":"denied"}]}`, http.StatusForbidden)
			return
		}
		s.exchanges++
		tok := fmt.Sprintf("bearer-%d", s.exchanges)
		if s.left == nil {
			s.left = map[string]int{}
		}
		s.left[tok] = s.uses
		fmt.Fprintf(w, `{"token":%q,"expires_in":%d}`, tok, s.expiresIn)
		return
	}
	a := r.Header.Get("Authorization")
	s.seen = append(s.seen, a)
	tok := strings.TrimPrefix(a, "Bearer ")
	if s.left[tok] == 0 {
		_, _ = io.Copy(io.Discard, r.Body)
		realm := s.realm
		if realm == "" {
			realm = "http://" + r.Host + "/token"
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+realm+`",service="test",scope="repository:o/n:pull"`)
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
		return
	}
	s.left[tok]--
	if s.handler != nil {
		s.handler(w, r)
	}
}

func TestManyRequestsExchangeOnce(t *testing.T) {
	reg := &tokens{uses: 1 << 30}
	srv := httptest.NewServer(reg)
	defer srv.Close()
	c := New(at(t, srv), Options{Auth: basic()})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := c.Do(t.Context(), Request{Method: http.MethodGet, Kind: "x", Path: "manifests/x"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if reg.exchanges != 1 || c.Requests() != 22 {
		t.Errorf("%d exchanges, %d requests; want 1 and 20 + the first refusal + the exchange", reg.exchanges, c.Requests())
	}
}

// TestBearerEnds renews a bearer in the middle, and sends the body anew.
func TestBearerEnds(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 10_000)
	reg := &tokens{uses: 3}
	reg.handler = func(_ http.ResponseWriter, r *http.Request) {
		if got, err := io.ReadAll(r.Body); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes arrived, %v", len(got), err)
		}
	}
	srv := httptest.NewServer(reg)
	defer srv.Close()
	c := New(at(t, srv), Options{Auth: basic()})
	for range 10 {
		_, err := c.Do(t.Context(), Request{
			Method: http.MethodPut, Kind: "x", Path: "x", Size: int64(len(content)),
			Body: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if reg.exchanges != 4 {
		t.Errorf("%d exchanges for 10 requests of 3 each", reg.exchanges)
	}
}

// TestBearerIsRenewedBeforeItEnds does not run into a refusal that can be
// foreseen.
func TestBearerIsRenewedBeforeItEnds(t *testing.T) {
	reg := &tokens{uses: 1 << 30, expiresIn: 60}
	srv := httptest.NewServer(reg)
	defer srv.Close()
	c := New(at(t, srv), Options{Auth: basic()})
	get := func() {
		t.Helper()
		if _, err := c.Do(t.Context(), Request{Method: http.MethodGet, Kind: "x", Path: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	get()
	c.auth.mu.Lock()
	if left := time.Until(c.auth.ends); left < 50*time.Second || left > 54*time.Second {
		t.Errorf("ends in %s", left)
	}
	c.auth.ends = time.Now().Add(-time.Second)
	c.auth.mu.Unlock()
	get()
	if n := c.Requests(); n != 5 {
		t.Errorf("%d requests, want two with a refusal first and an exchange before each", n)
	}
}

func TestAnonymousAndBasic(t *testing.T) {
	var asked []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header.Get("Authorization"))
		if _, pass, ok := r.BasicAuth(); r.URL.Path != "/v2/o/n/open" && (!ok || pass != secret) {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer srv.Close()
	c := New(at(t, srv), Options{})
	if _, err := c.Do(t.Context(), Request{Method: http.MethodGet, Kind: "x", Path: "open"}); err != nil {
		t.Error(err)
	}
	if _, err := c.Do(t.Context(), Request{Method: http.MethodGet, Kind: "x", Path: "closed"}); err == nil {
		t.Error("anonymous was let in")
	}
	c = New(at(t, srv), Options{Auth: basic()})
	for range 2 {
		if _, err := c.Do(t.Context(), Request{Method: http.MethodGet, Kind: "x", Path: "closed"}); err != nil {
			t.Error(err)
		}
	}
	c = New(at(t, srv), Options{Auth: &authn.Basic{Username: "joel", Password: "wrong-password"}})
	_, err := c.Do(t.Context(), Request{Method: http.MethodGet, Kind: "x", Path: "closed"})
	var e *Error
	if !errors.As(err, &e) || e.Status != http.StatusUnauthorized {
		t.Errorf("got %v", err)
	}
}

// TestTokenStaysHome follows redirects and locations to other hosts, ports and
// subdomains: neither bearer nor credential goes along.
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
	// A redirected write is refused rather than followed.
	if _, err := c.Do(t.Context(), Request{Method: http.MethodPut, Kind: "manifest", Path: "manifests/x"}); err == nil {
		t.Error("a write was redirected")
	}
	if leaked.Load() != 0 {
		t.Error("a credential went to another host")
	}
}

// TestRealm hands the credential to no other host's token endpoint.
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
	} {
		ch := challengeOf(http.Header{"Www-Authenticate": {`Bearer realm="` + c.realm + `"`}}, false)
		r := repo(t, c.registry+"/o/n")
		err := checkRealm(r.Registry, ch, &authn.AuthConfig{Username: "joel", Password: secret})
		if c.allowed != (err == nil) {
			t.Errorf("%s, %s: %v", c.registry, c.realm, err)
		}
		var f *pipeline.Finding
		if err != nil && (!errors.As(err, &f) || f.Code != "registry-realm") {
			t.Errorf("%s, %s: %v", c.registry, c.realm, err)
		}
		if err := checkRealm(r.Registry, ch, &authn.AuthConfig{}); err != nil {
			t.Errorf("anonymous to %s: %v", c.realm, err)
		}
	}
}

// TestKnownRealm spares GitHub's registries the first refusal, and asks after
// all where the guess is wrong.
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

// TestErrorsKeepSecrets lets a registry repeat what it was sent.
func TestErrorsKeepSecrets(t *testing.T) {
	plain := base64.StdEncoding.EncodeToString([]byte("joel:" + secret))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token":
			_, _ = io.WriteString(w, `{"token":"bearer-secret"}`)
		case r.Header.Get("Authorization") == "":
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/token"`)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"errors":[{"code":"X","message":"you sent %s and %s for %s\n\u001b[31m"}]}`, r.Header.Get("Authorization"), plain, secret)
		}
	}))
	defer srv.Close()
	c := New(at(t, srv), Options{Auth: &authn.Basic{Username: "joel", Password: secret}})
	_, err := c.Do(t.Context(), Request{Method: http.MethodGet, Kind: "x", Path: "x"})
	for _, text := range []string{err.Error(), c.Explain("read it", err).Error(), fmt.Sprintf("%+v", err)} {
		if strings.Contains(text, secret) || strings.Contains(text, "bearer-secret") || strings.ContainsAny(text, "\n\x1b") {
			t.Errorf("%q", text)
		}
	}
}

func TestStallIsTriedAgain(t *testing.T) {
	var n atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 1 {
			<-r.Context().Done()
		}
	}))
	defer srv.Close()
	var told []Retry
	c := New(at(t, srv), Options{Stall: 50 * time.Millisecond, Wait: noWait, OnRetry: func(r Retry) { told = append(told, r) }})
	if _, err := c.Do(t.Context(), Request{Method: http.MethodGet, Kind: "thing", Path: "x"}); err != nil {
		t.Error(err)
	}
	if len(told) != 1 || told[0].Kind != "thing" || !errors.Is(told[0].Err, errStalled) {
		t.Errorf("told %+v", told)
	}
}

// TestThinkingIsNoStall waits for a registry that has all of an upload.
func TestThinkingIsNoStall(t *testing.T) {
	const stall = 50 * time.Millisecond
	var n atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		n.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-time.After(5 * stall):
		case <-r.Context().Done():
		}
	}))
	defer srv.Close()
	c := New(at(t, srv), Options{Stall: stall, Wait: noWait})
	_, err := c.Do(t.Context(), Request{
		Method: http.MethodPut, Kind: "content", Path: "x", Size: 4,
		Body: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("1234")), nil },
	})
	if err != nil || n.Load() != 1 {
		t.Errorf("%v after %d requests", err, n.Load())
	}
}

func TestExplain(t *testing.T) {
	c := New(repo(t, "ghcr.io/joelhooks/worker"), Options{Push: true, Credential: "gh's login (keyring)", ScopeRemedy: "run `gh auth refresh`", Auth: basic()})
	for _, row := range []struct {
		err       error
		code, has string
	}{
		{&Error{Status: 403, Code: "DENIED", Message: "permission_denied: The token provided does not match expected scopes."}, "token-scope", "gh auth refresh"},
		{&Error{Status: 403, Code: "DENIED", Message: "permission_denied: write_package"}, "package-permission", "github.com/joelhooks"},
		{&Error{Status: 403, Code: "DENIED", Message: "installation not allowed to Create organization package"}, "organization-policy", "packages: write"},
		{&Error{Status: 403, Message: "You have exceeded a secondary rate limit"}, "registry-rate-limit", "wait"},
		{&Error{Status: 429, Code: "TOOMANYREQUESTS"}, "registry-rate-limit", "TOOMANYREQUESTS"},
		{&Error{Status: 403, Code: "DENIED", Message: "denied"}, "registry-denied", "gh's login (keyring)"},
		{&Error{Status: 401}, "registry-denied", "may write"},
		{&Error{Status: 404, Code: "NAME_UNKNOWN"}, "image-not-found", "NAME_UNKNOWN"},
		{&Error{Status: 502, Registry: "ghcr.io", Method: "PUT", Kind: "manifest v1"}, "registry-failed", "502 Bad Gateway"},
		{&Error{Status: 413}, "registry-refused", "413"},
		{&Error{Status: 200, Registry: "ghcr.io", Garbled: true}, "registry-garbled", "browser"},
		{&net.OpError{Op: "dial", Err: errors.New("connection refused")}, "registry-unreachable", "connection refused"},
	} {
		var f *pipeline.Finding
		if err := c.Explain("push it", row.err); !errors.As(err, &f) || f.Code != row.code || !strings.Contains(f.Error(), row.has) {
			t.Errorf("%v: %v, want %s with %q", row.err, err, row.code, row.has)
		}
		if f.What == "" || f.Why == "" || f.Fix == "" || !errors.Is(f, row.err) {
			t.Errorf("%v: %+v", row.err, f)
		}
	}
	if err := c.Explain("x", pipeline.ErrInterrupted); err != pipeline.ErrInterrupted {
		t.Errorf("an interrupt became %v", err)
	}
	if c.Explain("x", nil) != nil {
		t.Error("nothing became something")
	}
}

// TestSpareConnections opens them along with the first, and over TLS too.
func TestSpareConnections(t *testing.T) {
	var opened atomic.Int64
	all := make(chan struct{}, 16)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
			all <- struct{}{}
		}
	}
	srv.StartTLS()
	defer srv.Close()
	tr := NewTransport(3)
	tr.TLSClientConfig.RootCAs = srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	client := &http.Client{Transport: tr}
	get := func() {
		t.Helper()
		res, err := client.Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.ProtoMajor != 1 {
			t.Errorf("spoke %s", res.Proto)
		}
	}
	get()
	for range 4 {
		<-all
	}
	tr.CloseIdleConnections()
	get()
	if n := opened.Load(); n > 5 {
		t.Errorf("%d connections", n)
	}
}
