package registry

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestAnEchoedCredentialIsNotRepeated checks that no message contains the
// credential or a part of it, wherever in its response the registry echoes what
// it received.
func TestAnEchoedCredentialIsNotRepeated(t *testing.T) {
	encoded := base64.StdEncoding.EncodeToString([]byte("joel:" + secret))
	for _, challenge := range []string{"Basic", "Bearer"} {
		for _, before := range []int{0, 200, 262, 280, 295, 299, 1000} {
			for _, form := range []string{"%", `{"errors":[{"code":"DENIED","message":"%"}]}`, `{"errors":[{"code":"%","message":"no"}]}`, `{"message":"%"}`, `{"details":"%"}`} {
				var srv *httptest.Server
				srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Header.Get("Authorization") == "" {
						w.Header().Set("WWW-Authenticate", challenge+` realm="`+srv.URL+`/token",service="x"`)
						w.WriteHeader(http.StatusUnauthorized)
						return
					}
					w.WriteHeader(http.StatusForbidden)
					echo := strings.Repeat("x", before) + " " + secret + " " + r.Header.Get("Authorization")
					_, _ = w.Write([]byte(strings.ReplaceAll(form, "%", echo)))
				}))
				c := New(at(t, srv), Options{Auth: basic(), Wait: noWait})
				_, err := c.Do(t.Context(), Request{Method: http.MethodGet, Kind: "manifest v1", Path: "manifests/v1"})
				srv.Close()
				text := err.Error() + c.Explain("read it", err).Error()
				if strings.Contains(text, secret[:8]) || strings.Contains(text, encoded[:8]) {
					t.Errorf("%s, after %d characters, as %s: %s", challenge, before, form, text)
				}
			}
		}
	}
}

// TestARefusedConnectionIsReportedSoon checks that the first request gives up
// after a few tries and later ones at once, with or without a token to fetch
// first.
func TestARefusedConnectionIsReportedSoon(t *testing.T) {
	for _, name := range []string{"ghcr.io/o/n", "registry.example.com/o/n", "localhost:5999/o/n"} {
		tr := &refusing{}
		c := New(repo(t, name), Options{Auth: basic(), Transport: tr, Wait: noWait})
		for i, most := range []int32{unmetTries, unmetTries + 1, unmetTries + 2} {
			if _, err := c.Do(t.Context(), Request{Method: http.MethodGet, Kind: "manifest v1", Path: "manifests/v1"}); err == nil || Passing(err) {
				t.Fatalf("%v, passing %v", err, Passing(err))
			}
			if n := tr.n.Load(); n > most {
				t.Errorf("%s: %d connections after %d requests, want %d at most", name, n, i+1, most)
			}
		}
	}
}
