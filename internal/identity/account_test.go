package identity

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/githubapi"
)

// toAPI sends all requests to a local API and records their hosts.
type toAPI struct {
	to    *url.URL
	hosts []string
}

func (a *toAPI) RoundTrip(r *http.Request) (*http.Response, error) {
	a.hosts = append(a.hosts, r.URL.Scheme+"://"+r.URL.Host)
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = a.to.Scheme, a.to.Host
	return http.DefaultTransport.RoundTrip(r)
}

func localAPI(t *testing.T, h http.Handler) *toAPI {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	return &toAPI{to: u}
}

func TestCheck(t *testing.T) {
	refresh := "gh auth refresh -h github.com -s write:packages"
	for _, c := range []struct {
		name    string
		source  string
		account githubapi.Account
		code    string
		fix     []string
		login   string
	}{
		{name: "all well", source: "oauth_token", account: githubapi.Account{Login: "joel", Scopes: []string{"repo", "write:packages"}}, login: "joel"},
		{name: "gh's default login", source: "gh", account: githubapi.Account{Login: "joel", Scopes: []string{"gist", "read:org", "repo"}},
			code: "token-scope", fix: []string{"run `" + refresh + "`"}},
		{name: "while GH_TOKEN is set", source: "GH_TOKEN", account: githubapi.Account{Login: "joel", Scopes: []string{"repo"}},
			code: "token-scope", fix: []string{"unset GH_TOKEN", refresh, "refuses"}},
		{name: "read is not write", source: "GITHUB_TOKEN", account: githubapi.Account{Login: "joel", Scopes: []string{"read:packages"}},
			code: "token-scope", fix: []string{"unset GITHUB_TOKEN"}},
		{name: "scopes that cannot be known", source: "oauth_token", account: githubapi.Account{Login: "joel", FineGrained: true}, login: "joel"},
		{name: "an empty header", source: "oauth_token", account: githubapi.Account{Login: "joel"}, login: "joel"},
		{name: "an App's token", source: "GITHUB_TOKEN", account: githubapi.Account{App: true}, login: "x-access-token"},
		{name: "single sign-on", source: "oauth_token", account: githubapi.Account{NeedsSSO: true}, code: "token-sso", fix: []string{"SSO"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := machine{gh: map[string][2]string{"github.com": {secret, c.source}}}
			o := m.options("ghcr.io")
			to := localAPI(t, githubapi.New(map[string]githubapi.Account{secret: c.account}))
			o.Transport = to
			id, err := Find(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			found := id.Check(t.Context())
			if c.code == "" {
				if len(found) > 0 {
					t.Fatalf("found %v", found)
				}
				cfg, err := authn.Authorization(t.Context(), id.Authenticator())
				if err != nil || cfg.Username != c.login || cfg.Password != secret {
					t.Errorf("credential of %q, %v", cfg.Username, err)
				}
				if !slices.Equal(to.hosts, []string{"https://api.github.com"}) {
					t.Errorf("asked %v", to.hosts)
				}
				return
			}
			if len(found) != 1 || string(found[0].Code) != c.code || found[0].Severity != pipeline.Error {
				t.Fatalf("found %v", found)
			}
			checkClear(t, found[0])
			for _, part := range c.fix {
				if !strings.Contains(found[0].Fix, part) {
					t.Errorf("fix %q has no %q", found[0].Fix, part)
				}
			}
		})
	}
}

func TestCheckRejected(t *testing.T) {
	for source, fix := range map[string]string{"oauth_token": "gh auth login", "GH_TOKEN": "unset GH_TOKEN"} {
		o := (&machine{gh: map[string][2]string{"github.com": {secret, source}}}).options("ghcr.io")
		o.Transport = localAPI(t, githubapi.New(nil))
		id, err := Find(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		found := id.Check(t.Context())
		if len(found) != 1 || found[0].Code != "token-rejected" || !strings.Contains(found[0].Fix, fix) {
			t.Errorf("%s: %v", source, found)
		}
		if _, err := authn.Authorization(t.Context(), id.Authenticator()); err == nil {
			t.Error("a rejected token has a login")
		}
	}
}

func TestCheckFineGrained(t *testing.T) {
	o := (&machine{env: map[string]string{"GHCR_TOKEN": "github_pat_abc"}}).options("ghcr.io")
	id, err := Find(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if found := id.Check(t.Context()); len(found) != 1 || found[0].Code != "token-fine-grained" {
		t.Errorf("found %v", found)
	}
}

// TestCheckEnterprise checks that only the enterprise's API is asked.
func TestCheckEnterprise(t *testing.T) {
	o := (&machine{gh: map[string][2]string{"example.com": {secret, "oauth_token"}}}).options("containers.example.com")
	to := localAPI(t, githubapi.New(map[string]githubapi.Account{secret: {Login: "joel", Scopes: []string{"repo"}}}))
	o.Transport = to
	id, err := Find(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	found := id.Check(t.Context())
	if len(found) != 1 || !strings.Contains(found[0].Fix, "-h example.com") {
		t.Errorf("found %v", found)
	}
	if !slices.Equal(to.hosts, []string{"https://example.com"}) {
		t.Errorf("asked %v", to.hosts)
	}
}

// TestUnreachable checks that an unreachable API is an error only if the login is
// not known otherwise.
func TestUnreachable(t *testing.T) {
	gh := githubapi.New(nil)
	gh.Fail(http.StatusBadGateway)
	for user, severity := range map[string]pipeline.Severity{"": pipeline.Error, "joel": pipeline.Warning} {
		o := (&machine{env: map[string]string{"GHCR_TOKEN": secret, "GHCR_USER": user}}).options("ghcr.io")
		o.Transport = localAPI(t, gh)
		id, err := Find(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		found := id.Check(t.Context())
		if len(found) != 1 || found[0].Code != "github-unreachable" || found[0].Severity != severity {
			t.Fatalf("user %q: %v", user, found)
		}
		checkClear(t, found[0])
	}
	if n := len(gh.Asked()); n != 2*userTries {
		t.Errorf("asked %d times", n)
	}
}

// TestAPIRedirect checks that a redirect of GitHub's API to another host is not
// followed.
func TestAPIRedirect(t *testing.T) {
	evil := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the other host was asked") }))
	defer evil.Close()
	o := (&machine{gh: map[string][2]string{"github.com": {secret, "oauth_token"}}}).options("ghcr.io")
	o.Transport = localAPI(t, http.RedirectHandler("https://api.evil.example/user", http.StatusFound))
	id, err := Find(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	found := id.Check(t.Context())
	if len(found) != 1 || found[0].Code != "github-unreachable" || !strings.Contains(found[0].Why, "api.evil.example") {
		t.Errorf("found %v", found)
	}
}
