package dist

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

// isolated returns an environment without anything of the user: no login, no
// configuration, no installed extension.
func isolated(t *testing.T, more ...string) []string {
	t.Helper()
	home := t.TempDir()
	return append([]string{
		"HOME=" + home, "PATH=" + os.Getenv("PATH"),
		"XDG_CONFIG_HOME=" + filepath.Join(home, "config"), "XDG_DATA_HOME=" + filepath.Join(home, "data"),
		"XDG_STATE_HOME=" + filepath.Join(home, "state"), "XDG_CACHE_HOME=" + filepath.Join(home, "cache"),
		"TMPDIR=" + home, // gh keeps answers in os.TempDir() for half a minute
		"GH_CONFIG_DIR=" + filepath.Join(home, "config", "gh"), "GH_NO_UPDATE_NOTIFIER=1", "GH_PROMPT_DISABLED=1",
	}, more...)
}

// isVersion checks that --version prints what the release was built with.
func isVersion(t *testing.T, plugin, out string, libraries ...string) {
	t.Helper()
	for _, part := range append(libraries, plugin+" "+testVersion+"\n", testCommit, "2026-01-02T15:04:06Z", here.String()) {
		if !strings.Contains(out, part) {
			t.Errorf("%s --version does not say %q:\n%s", plugin, part, out)
		}
	}
}

// TestGHInstallsALocalFolder checks that `gh extension install .` links a folder
// that has the name of its executable.
func TestGHInstallsALocalFolder(t *testing.T) {
	gh := require.Tool(t, "gh")
	folder := filepath.Join(t.TempDir(), GH)
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	binary := read(t, filepath.Join(released(t, GH), AssetName(GH, testVersion, here)))
	if err := os.WriteFile(filepath.Join(folder, GH), []byte(binary), 0o755); err != nil {
		t.Fatal(err)
	}
	// gh requires a login for everything, but does not use it here.
	env := isolated(t, "GH_TOKEN=none")
	run(t, folder, env, gh, "extension", "install", ".")
	isVersion(t, "gh sbw", run(t, folder, env, gh, "sbw", "--version"), "github.com/cli/go-gh/v2", "github.com/google/go-containerregistry")
}

// releases answers like GitHub's API for one release, and records which assets
// were downloaded.
type releases struct {
	dir string

	mu     sync.Mutex
	loaded []string
}

func (r *releases) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	const repo = "/repos/joelhooks/gh-sbw"
	if name, ok := strings.CutPrefix(req.URL.Path, repo+"/releases/assets/"); ok {
		r.mu.Lock()
		r.loaded = append(r.loaded, name)
		r.mu.Unlock()
		http.ServeFile(w, req, filepath.Join(r.dir, filepath.Base(name)))
		return
	}
	var answer any
	switch req.URL.Path {
	case repo:
		answer = map[string]any{"id": 1, "name": "gh-sbw", "full_name": "joelhooks/gh-sbw", "owner": map[string]string{"login": "joelhooks"}}
	case repo + "/releases/latest":
		// List the assets of all platforms, as in a real release: gh must find its own.
		var assets []map[string]string
		add := func(name string) {
			assets = append(assets, map[string]string{"name": name, "url": "http://api.github.localhost" + repo + "/releases/assets/" + name})
		}
		add(ChecksumsName)
		for _, plugin := range []string{Kubectl, GH} {
			for _, target := range Targets() {
				add(AssetName(plugin, testVersion, target))
			}
		}
		answer = map[string]any{"tag_name": testVersion, "assets": assets}
	default:
		http.Error(w, `{"message":"Not Found"}`, http.StatusNotFound)
		return
	}
	text, err := json.Marshal(answer)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.Copy(w, bytes.NewReader(text)) // if the client is gone, its own test fails
}

// TestGHInstallsTheRelease checks that `gh extension install joelhooks/gh-sbw`
// finds this platform's binary among all assets. gh speaks plain HTTP only with
// the host github.localhost, which it reaches through a proxy: this test.
func TestGHInstallsTheRelease(t *testing.T) {
	gh := require.Tool(t, "gh")
	api := &releases{dir: released(t, GH)}
	server := httptest.NewServer(api)
	defer server.Close()
	env := isolated(t, "GH_HOST=github.localhost", "GH_ENTERPRISE_TOKEN=none", "GH_TOKEN=none", "HTTP_PROXY="+server.URL)
	dir := t.TempDir()
	run(t, dir, env, gh, "extension", "install", "joelhooks/gh-sbw")
	api.mu.Lock()
	defer api.mu.Unlock()
	if want := []string{AssetName(GH, testVersion, here)}; !slices.Equal(api.loaded, want) {
		t.Errorf("gh took %v, want %v", api.loaded, want)
	}
	isVersion(t, "gh sbw", run(t, dir, env, gh, "sbw", "--version"))
	if out := run(t, dir, env, gh, "extension", "list"); !strings.Contains(out, "joelhooks/gh-sbw") || !strings.Contains(out, testVersion) {
		t.Errorf("gh extension list: %q", out)
	}
}
