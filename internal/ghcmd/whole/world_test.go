package whole

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/joelhooks/gh-sbw/internal/sandbox/buildkitd"
	"github.com/joelhooks/gh-sbw/internal/sandbox/egressproxy"
	"github.com/joelhooks/gh-sbw/internal/sandbox/ghcr"
	"github.com/joelhooks/gh-sbw/internal/sandbox/githubapi"
	"github.com/joelhooks/gh-sbw/internal/sandbox/pki"
	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

const (
	login = "joel"
	token = "ghp_0123456789abcdefghijklmnopqrstuvwxyz"
)

// world is a user's environment: a home directory with gh and the extension, a checkout, a
// builder, and GitHub.
type world struct {
	home, repo string
	buildkit   string // address
	builderDir string // what the builder keeps
	store      http.Handler
	front      *ghcr.Front
	api        *githubapi.Server
	env        []string
}

// newWorld makes a world that contains no token yet.
func newWorld(t *testing.T) *world {
	t.Helper()
	gh := require.Tool(t, "gh")
	w := &world{home: t.TempDir(), store: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	w.buildkit, w.builderDir = buildkitd.Start(t)
	w.front = ghcr.New(ghcr.Options{
		Upstream: w.store,
		Accounts: map[string]ghcr.Account{token: {Login: login, Scopes: []string{"repo", "write:packages"}}},
	})
	w.api = githubapi.New(map[string]githubapi.Account{token: {Login: login, Scopes: []string{"repo", "write:packages"}}})
	w.env = append([]string{
		"HOME=" + w.home, "TMPDIR=" + w.dir(t, "tmp"),
		"XDG_CONFIG_HOME=" + w.dir(t, "config"), "XDG_DATA_HOME=" + w.dir(t, "data"),
		"XDG_STATE_HOME=" + w.dir(t, "state"), "XDG_CACHE_HOME=" + w.dir(t, "cache"),
		"PATH=" + filepath.Dir(require.Tool(t, "buildctl")) + ":/usr/local/bin:/usr/bin:/bin",
		"BUILDKIT_HOST=" + w.buildkit, "GH_NO_UPDATE_NOTIFIER=1", "GH_PROMPT_DISABLED=1",
	}, w.internet(t)...)

	require.Sources(t)
	extension := w.dir(t, "gh-sbw")
	build := exec.Command("go", "build", "-o", filepath.Join(extension, "gh-sbw"), "github.com/joelhooks/gh-sbw/cmd/gh-sbw")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	install := exec.Command(gh, "extension", "install", ".")
	install.Dir, install.Env = extension, append(w.env[:len(w.env):len(w.env)], "GH_TOKEN=asked-for-and-not-used")
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return w
}

// internet starts ghcr.io and api.github.com, and returns the environment that programs
// need to reach them.
func (w *world) internet(t *testing.T) []string {
	t.Helper()
	ca, err := pki.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	proxy := egressproxy.New(egressproxy.Options{CA: ca, Log: log.New(io.Discard, "", 0), Hosts: map[string]http.Handler{"ghcr.io": w.front, "api.github.com": w.api}})
	go func() { ended <- proxy.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the proxy: %v", err)
		}
	})
	return []string{"HTTPS_PROXY=http://" + l.Addr().String(), "SSL_CERT_FILE=" + ca.File()}
}

// dir makes a directory in the home.
func (w *world) dir(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(w.home, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// write writes a file and creates its directory.
func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// checkout makes the repository of a worker whose image starts a real arm64 program. more
// is appended to the worker's section in .sbw.yaml.
func (w *world) checkout(t *testing.T, dockerfile string, more ...string) {
	t.Helper()
	w.repo = t.TempDir()
	program, err := os.ReadFile(filepath.Join(require.Dir(t), "bin", "pause"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(w.repo, "program"), string(program), 0o755)
	write(t, filepath.Join(w.repo, "Dockerfile"), "FROM scratch\nCOPY program /program\n"+dockerfile+"CMD [\"/program\"]\n", 0o644)
	config := "workers:\n  w:\n    image: ghcr.io/" + login + "/w\n    build: {dockerfile: Dockerfile}\n"
	for _, line := range more {
		config += "    " + line + "\n"
	}
	write(t, filepath.Join(w.repo, ".sbw.yaml"), config, 0o644)
	for _, args := range [][]string{{"init", "--quiet"}, {"add", "."}, {"-c", "user.name=j", "-c", "user.email=j@example.com", "commit", "--quiet", "--message", "first"}} {
		cmd := exec.Command(require.Tool(t, "git"), args...)
		cmd.Dir, cmd.Env = w.repo, w.env
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v: %s", strings.Join(args, " "), err, out)
		}
	}
}

// command runs a program in the checkout.
func (w *world) command(program string, env []string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = w.repo, append(w.env[:len(w.env):len(w.env)], env...)
	return cmd
}

// plugin returns the path under which gh starts the extension.
func (w *world) plugin() string {
	return filepath.Join(w.home, "data", "gh", "extensions", "gh-sbw", "gh-sbw")
}

// ask sends a request directly to the registry, bypassing its front end.
func (w *world) ask(t *testing.T, method, path string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, "/v2/"+login+"/w/"+path, http.NoBody)
	r.Header.Set("Accept", "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json")
	rec := httptest.NewRecorder()
	w.store.ServeHTTP(rec, r)
	return rec
}

// digestOf returns the digest that a tag points to, or "" if there is no such tag. It
// fails unless everything below the tag is complete.
func (w *world) digestOf(t *testing.T, tag string) string {
	t.Helper()
	rec := w.ask(t, http.MethodGet, "manifests/"+tag)
	if rec.Code == http.StatusNotFound {
		return ""
	}
	w.whole(t, rec.Body.Bytes())
	return rec.Header().Get("Docker-Content-Digest")
}

func (w *world) whole(t *testing.T, manifest []byte) {
	t.Helper()
	var m struct {
		Config    *v1.Descriptor
		Layers    []v1.Descriptor
		Manifests []v1.Descriptor
	}
	if err := json.Unmarshal(manifest, &m); err != nil {
		t.Fatal(err)
	}
	if m.Config != nil {
		m.Layers = append(m.Layers, *m.Config)
	}
	for _, l := range m.Layers {
		if rec := w.ask(t, http.MethodHead, "blobs/"+l.Digest.String()); rec.Code != http.StatusOK {
			t.Errorf("blob %s of a published image: %d", l.Digest, rec.Code)
		}
	}
	for _, d := range m.Manifests {
		rec := w.ask(t, http.MethodGet, "manifests/"+d.Digest.String())
		if rec.Code != http.StatusOK {
			t.Errorf("manifest %s of a published index: %d", d.Digest, rec.Code)
			continue
		}
		w.whole(t, rec.Body.Bytes())
	}
}
