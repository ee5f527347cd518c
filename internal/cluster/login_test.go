package cluster_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// plugin writes a credential command that prints text, fails if code is not 0,
// and leaves a line in started for each of its starts.
func plugin(t *testing.T, text string, code int) (command, started string) {
	t.Helper()
	dir := t.TempDir()
	command, started = filepath.Join(dir, "plugin.sh"), filepath.Join(dir, "started")
	script := fmt.Sprintf("#!/bin/sh\necho x >> %s\ncat <<'E'\n%s\nE\nexit %d\n", started, text, code)
	if err := os.WriteFile(command, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return command, started
}

// Whatever a user entry lacks results in one finding that names the entry and what to
// do. Its command starts only once, however many requests are made at the same time.
func TestCredentialCommands(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer good" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"major":"1","minor":"36"}`)
	}))
	defer server.Close()
	const good = `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{"token":"good"}}`
	const missing = -1 // in place of an exit code
	for name, tc := range map[string]struct {
		version, text string
		exit          int
		starts        int
		why, fix      string // empty: it works
	}{
		"works":         {"v1", good, 0, 1, "", ""},
		"old version":   {"v1alpha1", good, 0, 0, "asks for client.authentication.k8s.io/v1alpha1, and only client.authentication.k8s.io/v1 and v1beta1", "renew the entry"},
		"no such":       {"v9", good, 0, 0, "asks for client.authentication.k8s.io/v9", "renew the entry"},
		"other version": {"v1beta1", good, 0, 1, "configured to use API version client.authentication.k8s.io/v1beta1", "renew the entry"},
		"other kind":    {"v1", `{"kind":"List","apiVersion":"v1"}`, 0, 1, "did not print an ExecCredential of client.authentication.k8s.io/v1", "plugin.sh"},
		"text":          {"v1", "please log in", 0, 1, "did not print an ExecCredential", "plugin.sh"},
		"empty status":  {"v1", `{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{}}`, 0, 1, "didn't return a token", "plugin.sh"},
		"fails":         {"v1", "", 3, 1, "exit code 3", "plugin.sh"},
		"not installed": {"v1", "", missing, 0, "which is not on PATH", "install no-such-credential-plugin"},
	} {
		t.Run(name, func(t *testing.T) {
			command, started := plugin(t, tc.text, tc.exit)
			if tc.exit == missing {
				command = "no-such-credential-plugin"
			}
			f := flags(t, server.URL, fmt.Sprintf("{exec: {apiVersion: client.authentication.k8s.io/%s, command: %s, interactiveMode: Never}}", tc.version, command))
			*f.Insecure = true
			c, err := cluster.Connect(f, cluster.Options{})
			if err != nil {
				t.Fatal(err)
			}
			errs := make([]error, 8)
			var wg sync.WaitGroup
			for i := range errs {
				wg.Go(func() { errs[i] = c.Ping(t.Context()) })
			}
			wg.Wait()
			for _, err := range errs {
				if tc.why == "" {
					if err != nil {
						t.Error(err)
					}
					continue
				}
				f, ok := errors.AsType[*pipeline.Finding](err)
				if !ok || f.Code != cluster.CodeCredentials || !strings.Contains(f.Why, tc.why) || !strings.Contains(f.Fix, tc.fix) || f.Where == "" ||
					strings.Contains(f.Error(), "\n") {
					t.Errorf("%+v of %v", f, err)
				}
			}
			text, _ := os.ReadFile(started) // not there: not started
			if n := strings.Count(string(text), "x"); n != tc.starts {
				t.Errorf("the command started %d times, want %d", n, tc.starts)
			}
		})
	}
}

// The OpenID Connect provider is supported, and one that client-go no longer supports
// results in a finding.
func TestAuthProviders(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	for provider, want := range map[string]pipeline.Code{"oidc": "not-found", "gcp": cluster.CodeCredentials, "none": cluster.CodeCredentials} {
		user := fmt.Sprintf("{auth-provider: {name: %s, config: {client-id: c, idp-issuer-url: 'https://issuer.example', id-token: %s}}}", provider,
			"eyJhbGciOiJub25lIn0.eyJleHAiOjQxMDI0NDQ4MDB9.x")
		f := flags(t, server.URL, user)
		*f.Insecure = true
		c, err := cluster.Connect(f, cluster.Options{})
		if err == nil {
			err = c.Ping(t.Context())
		}
		if code(err) != string(want) {
			t.Errorf("%s: %v", provider, err)
		}
	}
}
