package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

const secret = "ghp_0123456789abcdefghijklmnopqrstuvwxyz"

// machine is an environment that does not contain anything of the test's own.
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
	if !errors.As(err, &f) || string(f.Code) != code {
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

// TestMalformed checks passwords of other registries, which may contain almost
// anything.
func TestMalformed(t *testing.T) {
	for _, c := range []struct {
		token         string
		github, other bool
	}{{"ghp_1.a-b_C", true, true}, {`pass "word" é`, false, true}, {"a\tb", false, false}, {"a\nb", false, false}} {
		if g, o := malformed("x", c.token, true) == nil, malformed("x", c.token, false) == nil; g != c.github || o != c.other {
			t.Errorf("%q: %t, %t", c.token, g, o)
		}
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
		{name: "blank", machine: machine{env: map[string]string{"GHCR_TOKEN": " \n"}}, code: "no-credential"},
		{name: "two lines", machine: machine{env: map[string]string{"GHCR_TOKEN": secret + "\n" + secret}}, code: "token-malformed"},
		{name: "in quotation marks", machine: machine{env: map[string]string{"GHCR_TOKEN": `"` + secret + `"`}}, code: "token-malformed"},
		{name: "with a scheme", machine: machine{env: map[string]string{"GHCR_TOKEN": "Bearer " + secret}}, code: "token-malformed"},
		{name: "with a byte order mark", machine: machine{env: map[string]string{"GHCR_TOKEN": "\ufeff" + secret}}, code: "token-malformed"},
		{name: "gh's with a line break in it", machine: machine{gh: map[string][2]string{"github.com": {secret[:5] + "\r\n" + secret[5:], "GH_TOKEN"}}}, code: "token-malformed"},
		{name: "another registry's password with a line break", registry: "localhost:5000",
			machine: machine{env: map[string]string{"GHCR_TOKEN": "a\nb", "GHCR_USER": "joel", "GHCR_HOST": "localhost:5000"}}, code: "token-malformed"},
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
		{name: "a local registry without a user", registry: "localhost:5000", machine: machine{env: map[string]string{"GHCR_TOKEN": secret, "GHCR_HOST": "localhost:5000"}},
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
