package build

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/buildkitd"
	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

// publicRegistry starts a registry from which anybody may pull, but only with a
// token, like Docker Hub, so that clients ask for credentials. It contains an
// image for arm64, whose reference is returned.
func publicRegistry(t *testing.T) string {
	t.Helper()
	blobs := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	mux.HandleFunc("/token", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"token":"anybody"}`) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+srv.URL+`/token",service="public"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		blobs.ServeHTTP(w, r)
	})
	ref, err := name.ParseReference(strings.TrimPrefix(srv.URL, "http://") + "/base:1")
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: "arm64", RootFS: v1.RootFS{Type: "layers"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img); err != nil {
		t.Fatal(err)
	}
	return ref.String()
}

// TestCredentialHelper checks that a public base image can be pulled although a
// credential helper is missing or fails.
func TestCredentialHelper(t *testing.T) {
	base := publicRegistry(t)
	host, _ := buildkitd.Start(t)
	buildctl, buildxPath := require.Tool(t, "buildctl"), require.Tool(t, "buildx")
	for _, helper := range []string{"missing", "failing"} {
		bin := t.TempDir()
		if helper == "failing" {
			if err := os.WriteFile(filepath.Join(bin, "docker-credential-failing"), []byte("#!/bin/sh\necho keychain is locked\nexit 1\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		config := t.TempDir()
		if err := os.WriteFile(filepath.Join(config, "config.json"), []byte(`{"credsStore":"`+helper+`","currentContext":"default","kept":{"a":1}}`), 0o600); err != nil {
			t.Fatal(err)
		}
		m := testMachine("DOCKER_CONFIG="+config, "BUILDKIT_HOST="+host, "PATH="+bin+":"+os.Getenv("PATH"))
		bx := &buildx{machine: m, argv: []string{buildxPath}}
		// The builder is stored below DOCKER_CONFIG, so it must also be found through
		// the copy.
		if out, err := m.env().output(t.Context(), bx.call("create", "--name", "remote", "--driver", "remote", "--use", host)...); err != nil {
			t.Fatal(err, out)
		}
		// First show that the build fails without the fix, so that the following proves
		// something.
		req := request(t, files(t, map[string]string{"Dockerfile": "FROM " + base + "\nCOPY Dockerfile /plain" + helper + "\n"}))
		bk := &buildKit{machine: m, buildctl: buildctl, host: host}
		err := runRawJSON(t.Context(), m.env(), "BuildKit", Request{}, append([]string{buildctl, "build"}, bk.args(req, filepath.Join(t.TempDir(), "m"))...), nil)
		if err == nil || !strings.Contains(err.Error(), credentialFault) {
			t.Fatalf("a helper that is %s: %v", helper, err)
		}
		for _, b := range []Builder{bk, bx} {
			t.Run(b.Name()+" "+helper, func(t *testing.T) {
				dir := files(t, map[string]string{"Dockerfile": "FROM " + base + "\nCOPY Dockerfile /" + b.Name() + helper + "\n"})
				req := request(t, dir)
				req.NoCache = true
				var h heard
				if _, err := b.Build(t.Context(), req, h.reporter()); err != nil {
					t.Fatal(err)
				}
				var found []string
				for _, e := range h.all {
					if e.Kind == pipeline.Found {
						found = append(found, string(e.Finding.Code))
					}
				}
				if d := cmp.Diff([]string{"docker-credential-helper"}, found); d != "" {
					t.Error(d)
				}
			})
		}
		text, err := os.ReadFile(filepath.Join(config, "config.json"))
		if err != nil || !strings.Contains(string(text), `"credsStore":"`+helper+`"`) {
			t.Errorf("the user's configuration was changed: %s, %v", text, err)
		}
	}
}

func TestWithoutHelpers(t *testing.T) {
	config := files(t, map[string]string{
		"config.json":     `{"credsStore":"gone","credHelpers":{"gcr.io":"gone","ecr.io":"here"},"auths":{"x":{"auth":"eA=="}},"currentContext":"colima"}`,
		"contexts/meta/x": "1", "cli-plugins/docker-buildx": "2", "config.json123": "half",
	})
	e := environment{"DOCKER_CONFIG=" + config}
	names, parsed := e.credentialHelpers()
	if d := cmp.Diff([]string{"gone", "here"}, names); d != "" {
		t.Error(d)
	}
	out, err := e.withoutHelpers(t.TempDir(), parsed, []string{"gone"})
	if err != nil {
		t.Fatal(err)
	}
	dir := out.get("DOCKER_CONFIG")
	text, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"credHelpers": map[string]any{"ecr.io": "here"}, "auths": map[string]any{"x": map[string]any{"auth": "eA=="}}, "currentContext": "colima"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for name, want := range map[string]string{"contexts/meta/x": "1", "cli-plugins/docker-buildx": "2"} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(text) != want {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "config.json123")); err == nil {
		t.Error("an incomplete file was copied")
	}
	if fi, err := os.Stat(filepath.Join(dir, "config.json")); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
	// If the configuration is missing or cannot be read, there is nothing to
	// fix.
	for _, e := range []environment{{}, {"HOME=" + t.TempDir()}, {"DOCKER_CONFIG=" + files(t, map[string]string{"config.json": "{"})}} {
		if names, _ := e.credentialHelpers(); names != nil {
			t.Errorf("helpers = %q", names)
		}
	}
}
