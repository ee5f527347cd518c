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
	"testing/synctest"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/waiting"
)

const secret = "ghp_0123456789abcdefghijklmnopqrstuvwxyz"

func basic() authn.Authenticator { return &authn.Basic{Username: "joel", Password: secret} }

func repo(t *testing.T, s string) imageref.Repository {
	t.Helper()
	r, err := imageref.ParseRepository(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func at(t *testing.T, srv *httptest.Server) imageref.Repository {
	t.Helper()
	return repo(t, strings.TrimPrefix(strings.TrimPrefix(srv.URL, "http://"), "https://")+"/o/n")
}

func noWait(ctx context.Context, _ time.Duration) error { return ctx.Err() }

// tokens is a registry that requires bearers, each of which is valid for a number
// of requests (uses).
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
		t.Errorf("%d exchanges, %d requests; want 1 exchange, and 20 requests plus the first refusal and the exchange", reg.exchanges, c.Requests())
	}
}

// TestBearerEnds checks that a bearer which expires in the middle is renewed and
// the body is sent again.
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

// TestBearerIsRenewedBeforeItEnds checks that a bearer is renewed before the
// registry would refuse it.
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
	before := time.Now()
	get()
	after := time.Now()
	c.auth.mu.Lock()
	if ends := c.auth.ends.Add(-54 * time.Second); ends.Before(before) || ends.After(after) {
		t.Errorf("ends at %s, asked for between %s and %s", c.auth.ends, before, after)
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
		t.Error("an anonymous request was accepted")
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

// TestErrorsKeepSecrets checks that errors do not contain a credential that the
// registry echoes.
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

// answering is a registry without a network, so that a bubble's clock applies. The
// function answers the requests.
type answering func(r *http.Request) error

func (f answering) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := f(r); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

func TestStallIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		silent := answering(func(r *http.Request) error {
			if n++; n > 1 {
				return nil
			}
			<-r.Context().Done()
			return context.Cause(r.Context())
		})
		var retries []Retry
		c := New(repo(t, "registry.example/o/n"), Options{Transport: silent, Wait: noWait, OnRetry: func(r Retry) { retries = append(retries, r) }})
		start := time.Now()
		if _, err := c.Do(t.Context(), Request{Method: http.MethodGet, Kind: "thing", Path: "x"}); err != nil {
			t.Error(err)
		}
		if len(retries) != 1 || retries[0].Kind != "thing" || !errors.Is(retries[0].Err, errStalled) || time.Since(start) != time.Minute {
			t.Errorf("retries after %s: %+v", time.Since(start), retries)
		}
	})
}

// TestThinkingIsNoStall checks that a registry which has received all of an
// upload may take longer to answer.
func TestThinkingIsNoStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		slow := answering(func(r *http.Request) error {
			if n++; r.Body != nil {
				if _, err := io.Copy(io.Discard, r.Body); err != nil {
					return err
				}
			}
			return waiting.For(r.Context(), answerWithin-time.Minute)
		})
		c := New(repo(t, "registry.example/o/n"), Options{Transport: slow, Wait: noWait})
		_, err := c.Do(t.Context(), Request{
			Method: http.MethodPut, Kind: "content", Path: "x", Size: 4,
			Body: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("1234")), nil },
		})
		if err != nil || n != 1 {
			t.Errorf("%v after %d requests", err, n)
		}
	})
}

// TestSpareConnections checks that spare connections are opened together with the
// first one, also over TLS.
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
