package identity

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

type answering func(*http.Request) *http.Response

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) { return a(r), nil }

// TestAnEchoedTokenIsNotRepeated checks that no message contains a part of a
// token that GitHub, or whatever answers in its place, echoes.
func TestAnEchoedTokenIsNotRepeated(t *testing.T) {
	const token = "ghp_0123456789abcdefghijklmnopqrstuvwxyz"
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusInternalServerError} {
		for _, before := range []int{0, 270, 290, 299, 1000} {
			o := (&machine{env: map[string]string{"GHCR_TOKEN": token}}).options("ghcr.io")
			o.Transport = answering(func(r *http.Request) *http.Response {
				body := `{"message":"` + strings.Repeat("x", before) + " " + r.Header.Get("Authorization") + `"}`
				return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}
			})
			id, err := Find(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := id.Account(t.Context()); err == nil || strings.Contains(err.Error(), token[:8]) || len(err.Error()) > 800 {
				t.Errorf("%d, after %d characters: %v", status, before, err)
			}
		}
	}
}

// TestALineBreakAfterATokenDoesNotCount checks that a line break at the end is
// removed, because files and secret stores often add one.
func TestALineBreakAfterATokenDoesNotCount(t *testing.T) {
	for _, end := range []string{"\n", "\r\n", " ", "\n\n", "\t"} {
		for _, variable := range []string{"GHCR_TOKEN", "GH_TOKEN"} {
			m := &machine{gh: map[string][2]string{"github.com": {"ghp_x" + end, "GH_TOKEN"}}}
			if variable == "GHCR_TOKEN" {
				m.env = map[string]string{"GHCR_TOKEN": "ghp_x" + end}
			}
			id, err := Find(t.Context(), m.options("ghcr.io"))
			if err != nil {
				t.Fatal(err)
			}
			if id.token.Reveal() != "ghp_x" {
				t.Errorf("%s that ends in %q is %q", variable, end, id.token.Reveal())
			}
		}
	}
}

// TestNobodyIsAskedAboutAnotherRegistry checks that no API is asked who owns a
// token for another registry, because only GitHub's can say.
func TestNobodyIsAskedAboutAnotherRegistry(t *testing.T) {
	o := (&machine{}).options("registry.example.com")
	o.Transport = answering(func(r *http.Request) *http.Response { t.Errorf("asked %s", r.URL); return nil })
	o.Wait = func(context.Context, time.Duration) error { t.Error("waited"); return nil }
	id, err := Find(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := id.Account(t.Context()); !errors.Is(err, ErrNotGitHub) {
		t.Errorf("%v", err)
	}
	if found := id.Check(t.Context()); len(found) > 0 {
		t.Errorf("%v", found)
	}
}
