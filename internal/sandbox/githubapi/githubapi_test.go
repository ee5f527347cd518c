package githubapi

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestUser(t *testing.T) {
	s := New(map[string]Account{
		"classic": {Login: "joel", Scopes: []string{"repo", "write:packages"}},
		"fine":    {Login: "joel", FineGrained: true},
		"app":     {App: true},
		"sso":     {NeedsSSO: true},
	})
	for _, c := range []struct {
		path, auth string
		status     int
		says       string
		scopes     string
		sent       bool // the value of X-OAuth-Scopes, if it is present
	}{
		{"/user", "token classic", 200, `"login":"joel"`, "repo, write:packages", true},
		{"/api/v3/user", "Bearer classic", 200, `"login":"joel"`, "repo, write:packages", true},
		{"/user", "token fine", 200, `"login":"joel"`, "", false},
		{"/user", "token app", 403, "not accessible by integration", "", false},
		{"/user", "token sso", 403, "SAML", "", false},
		{"/user", "token unknown", 401, "Bad credentials", "", false},
		{"/user", "", 401, "Requires authentication", "", false},
		{"/user", "Basic classic", 401, "Requires authentication", "", false},
		{"/repos/a/b", "token classic", 404, "Not Found", "", false},
	} {
		r := httptest.NewRequest(http.MethodGet, c.path, nil)
		if c.auth != "" {
			r.Header.Set("Authorization", c.auth)
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		_, sent := w.Header()["X-Oauth-Scopes"]
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) || w.Header().Get("X-OAuth-Scopes") != c.scopes || sent != c.sent {
			t.Errorf("%s as %q: %d %s, scopes %q", c.path, c.auth, w.Code, w.Body, w.Header().Get("X-OAuth-Scopes"))
		}
	}
	s.Fail(502)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/user", nil))
	if w.Code != 502 || len(s.Asked()) != 10 {
		t.Errorf("%d after %d requests", w.Code, len(s.Asked()))
	}
}
