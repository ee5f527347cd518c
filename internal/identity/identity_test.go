package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/githubapi"
)

const secret = "ghp_0123456789abcdefghijklmnopqrstuvwxyz"

// machine is an environment without what the test's own has.
type machine struct {
	env   map[string]string
	gh    map[string][2]string // host: token, source
	users map[string]string
	asked []string // hosts that gh was asked for
}

func (m *machine) options(registry string) Options {
	return Options{
		Registry: registry,
		Wait:     func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
		Getenv:   func(key string) string { return m.env[key] },
		Environ: func() []string {
			all := []string{"PATH=" + os.Getenv("PATH")}
			for k, v := range m.env {
				all = append(all, k+"="+v)
			}
			return all
		},
		GitHubToken: func(host string) (string, string) {
			m.asked = append(m.asked, host)
			t := m.gh[host]
			return t[0], t[1]
		},
		GitHubUser: func(host string) string { return m.users[host] },
	}
}

func wantFinding(t *testing.T, err error, code string) *pipeline.Finding {
	t.Helper()
	var f *pipeline.Finding
	if !errors.As(err, &f) || f.Code != code {
		t.Fatalf("got %v, want a finding %q", err, code)
	}
	checkClear(t, f)
	return f
}

func checkClear(t *testing.T, f *pipeline.Finding) {
	t.Helper()
	if f.What == "" || f.Why == "" || f.Fix == "" || strings.ContainsAny(f.Error(), "\n\r") || strings.Contains(f.Error(), secret) {
		t.Errorf("not a clear finding: %v", f)
	}
}

func TestSources(t *testing.T) {
	printer := script(t, "echo "+secret)
	for _, c := range []struct {
		name     string
		registry string
		machine  machine
		command  []string
		for_     string

		source, variable, user, code string
	}{
		{name: "GHCR_TOKEN first", machine: machine{
			env: map[string]string{"GHCR_TOKEN": secret, "GHCR_USER": "joel"}, gh: map[string][2]string{"github.com": {"other", "GH_TOKEN"}},
		}, command: printer, source: "GHCR_TOKEN", variable: "GHCR_TOKEN", user: "joel"},
		{name: "GHCR_TOKEN alone", machine: machine{env: map[string]string{"GHCR_TOKEN": secret}}, source: "GHCR_TOKEN", variable: "GHCR_TOKEN"},
		{name: "the command second", machine: machine{gh: map[string][2]string{"github.com": {"other", "GH_TOKEN"}}},
			command: printer, source: "the command `" + filepath.Base(printer[0]) + "`"},
		{name: "the command of another registry", machine: machine{gh: map[string][2]string{"github.com": {secret, "GH_TOKEN"}}},
			command: []string{"/does/not/exist"}, for_: "registry.example.com", source: "gh's login (GH_TOKEN)", variable: "GH_TOKEN"},
		{name: "gh by GITHUB_TOKEN", machine: machine{gh: map[string][2]string{"github.com": {secret, "GITHUB_TOKEN"}}, users: map[string]string{"github.com": "stored"}},
			source: "gh's login (GITHUB_TOKEN)", variable: "GITHUB_TOKEN"},
		{name: "gh by hosts.yml", machine: machine{gh: map[string][2]string{"github.com": {secret, "oauth_token"}}, users: map[string]string{"github.com": "stored"}},
			source: "gh's login (hosts.yml)", user: "stored"},
		{name: "gh by keyring", machine: machine{gh: map[string][2]string{"github.com": {secret, "gh"}}}, source: "gh's login (keyring)"},
		{name: "nobody", code: "no-credential"},
		{name: "an enterprise", registry: "containers.example.com:8443", machine: machine{gh: map[string][2]string{"example.com": {secret, "oauth_token"}}},
			source: "gh's login (hosts.yml)"},
		{name: "GHCR_TOKEN is not for an enterprise", registry: "containers.example.com", machine: machine{env: map[string]string{"GHCR_TOKEN": secret}},
			code: "no-credential"},
		{name: "GHCR_HOST says so", registry: "containers.example.com", machine: machine{env: map[string]string{"GHCR_TOKEN": secret, "GHCR_HOST": "containers.example.com"}},
			source: "GHCR_TOKEN", variable: "GHCR_TOKEN"},
		{name: "GHCR_HOST is elsewhere", machine: machine{env: map[string]string{"GHCR_TOKEN": secret, "GHCR_HOST": "localhost:5000"}}, code: "no-credential"},
		{name: "another registry gets nothing of GitHub's", registry: "registry.example.com",
			machine: machine{env: map[string]string{"GHCR_TOKEN": secret}, gh: map[string][2]string{"registry.example.com": {secret, "GH_TOKEN"}}}, source: "no credential"},
		{name: "a local registry", registry: "localhost:5000", machine: machine{env: map[string]string{"GHCR_TOKEN": secret, "GHCR_USER": "joel", "GHCR_HOST": "localhost:5000"}},
			source: "GHCR_TOKEN", variable: "GHCR_TOKEN", user: "joel"},
		{name: "a local registry, whose", registry: "localhost:5000", machine: machine{env: map[string]string{"GHCR_TOKEN": secret, "GHCR_HOST": "localhost:5000"}},
			code: "credential-user"},
		{name: "a command, whose", registry: "localhost:5000", command: printer, code: "credential-user"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.registry == "" {
				c.registry = "ghcr.io"
			}
			o := c.machine.options(c.registry)
			o.Command, o.CommandRegistry = c.command, c.for_
			id, err := Find(t.Context(), o)
			if c.code != "" {
				wantFinding(t, err, c.code)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if id.Source != c.source || id.Variable != c.variable || id.User != c.user || id.Registry != c.registry {
				t.Errorf("%+v", id)
			}
			for _, host := range c.machine.asked {
				if host != HostOf(c.registry) {
					t.Errorf("gh was asked for %s", host)
				}
			}
			anonymous := id.Authenticator() == authn.Anonymous
			if anonymous != (c.source == "no credential") {
				t.Errorf("anonymous: %t", anonymous)
			}
			if !anonymous && id.token.Reveal() != secret {
				t.Error("another token was found")
			}
		})
	}
}

func TestHostOf(t *testing.T) {
	for registry, host := range map[string]string{
		"ghcr.io": "github.com", "GHCR.IO:443": "github.com", "containers.example.com": "example.com",
		"containers.github.localhost:8080": "github.localhost", "docker.io": "", "localhost:5000": "", "containers.": "", "evil.ghcr.io": "",
	} {
		if got := HostOf(registry); got != host {
			t.Errorf("HostOf(%s) = %q, want %q", registry, got, host)
		}
	}
}

// script makes a program of a shell line.
func script(t *testing.T, line string) []string {
	t.Helper()
	if runtime.GOOS == "windows" {
		return []string{"cmd", "/c", line}
	}
	path := filepath.Join(t.TempDir(), "secrets")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+line+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return []string{path}
}

func TestCommand(t *testing.T) {
	for _, c := range []struct {
		name, line string
		token, why string
	}{
		{name: "plain", line: "echo " + secret, token: secret},
		{name: "without a line end", line: "printf %s " + secret, token: secret},
		{name: "chatty on stderr", line: "echo hello >&2; echo " + secret, token: secret},
		{name: "nothing", line: "true", why: "nothing"},
		{name: "words", line: "echo your token is " + secret, why: "no token"},
		{name: "two lines", line: "echo " + secret + "; echo again", why: "no token"},
		{name: "too much", line: "head -c 100000 /dev/zero | tr '\\0' a", why: "more than a token"},
		{name: "fails", line: "echo " + secret + "; echo lease of " + secret + " expired >&2; exit 3", why: "exit status 3: lease of [hidden] expired"},
		{name: "sees no token", line: `test -z "$GHCR_TOKEN$GH_TOKEN$GITHUB_TOKEN$GH_ENTERPRISE_TOKEN" && test "$KEPT" = yes && echo ` + secret, token: secret},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := machine{env: map[string]string{"GH_TOKEN": "a", "GITHUB_TOKEN": "b", "GH_ENTERPRISE_TOKEN": "c", "KEPT": "yes"}}
			o := m.options("ghcr.io")
			o.Command, o.Dir = script(t, c.line), t.TempDir()
			id, err := Find(t.Context(), o)
			if c.why != "" {
				if f := wantFinding(t, err, "credential-command"); !strings.Contains(f.Why, c.why) {
					t.Errorf("why: %s", f.Why)
				}
				return
			}
			if err != nil || id.token.Reveal() != c.token {
				t.Errorf("%v, %v", id, err)
			}
		})
	}
	t.Run("not there", func(t *testing.T) {
		o := (&machine{}).options("ghcr.io")
		o.Command = []string{"no-such-program-anywhere"}
		_, err := Find(t.Context(), o)
		wantFinding(t, err, "credential-command")
	})
	t.Run("interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		o := (&machine{}).options("ghcr.io")
		fifo := filepath.Join(t.TempDir(), "started")
		o.Command = script(t, "echo > "+fifo+"; sleep 1000")
		go func() {
			for {
				if _, err := os.Stat(fifo); err == nil || t.Context().Err() != nil {
					cancel(pipeline.ErrInterrupted)
					return
				}
				runtime.Gosched()
			}
		}()
		if _, err := Find(ctx, o); !errors.Is(err, pipeline.ErrInterrupted) {
			t.Errorf("got %v", err)
		}
	})
}

// toAPI carries requests to a local API whatever their host, and keeps the
// hosts.
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
			if len(found) != 1 || found[0].Code != c.code || found[0].Severity != pipeline.Error {
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

// TestCheckEnterprise asks the enterprise's API, and nobody else.
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

// TestUnreachable is a refusal only where the login is not known otherwise.
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

// TestAPIRedirect does not follow GitHub's API to another host.
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

func TestTokenHides(t *testing.T) {
	tok := NewToken(secret)
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "token", tok, "in", struct{ T Token }{tok})
	text, err := json.Marshal(map[string]any{"t": tok, "p": &tok})
	if err != nil {
		t.Fatal(err)
	}
	all := []string{
		tok.String(), tok.GoString(), log.String(), string(text),
		fmt.Sprint(tok), fmt.Sprintf("%v %+v %#v %s %q %x %d", tok, tok, tok, tok, tok, tok, tok),
		fmt.Sprintf("%+v %#v %v", struct{ T Token }{tok}, &tok, []Token{tok}), fmt.Errorf("%w: %v", os.ErrInvalid, tok).Error(),
	}
	o := (&machine{env: map[string]string{"GHCR_TOKEN": secret}}).options("ghcr.io")
	id, err := Find(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, fmt.Sprintf("%v", id.token), id.Source, id.ScopeRemedy())
	for _, s := range all {
		if strings.Contains(s, secret) || strings.Contains(s, fmt.Sprintf("%x", secret)) {
			t.Errorf("given away: %s", s)
		}
	}
}

func TestCleanEnv(t *testing.T) {
	in := []string{"PATH=/bin", "GH_TOKEN=x", "github_token=x", "GHCR_TOKEN=", "GH_ENTERPRISE_TOKEN=x", "GITHUB_ENTERPRISE_TOKEN=x",
		"MY_COPY=" + secret, "URL=https://joel:" + secret + "@example.com", "GHCR_USER=joel", "HOME=/root"}
	got := CleanEnv(in, NewToken(secret), Token{})
	if !slices.Equal(got, []string{"PATH=/bin", "GHCR_USER=joel", "HOME=/root"}) {
		t.Errorf("left %q", got)
	}
	if len(in) != 10 || in[1] != "GH_TOKEN=x" {
		t.Error("the input was changed")
	}
}
