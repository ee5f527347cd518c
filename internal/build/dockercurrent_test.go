package build

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/sandbox/dockerd"
	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

// TestDockerCurrent builds with a current engine, which keeps images in
// containerd's store or, after an update, still in its own. It builds with
// buildx, without it, and with the builder that is chosen automatically.
func TestDockerCurrent(t *testing.T) {
	native := "linux/" + runtime.GOARCH
	for _, tt := range []struct {
		name  string
		store dockerd.Store
		auto  string // the builder that is chosen automatically if there is buildx
	}{{"containerd's store", dockerd.Containerd, "buildx"}, {"its own store", dockerd.GraphDriver, "docker"}} {
		t.Run(tt.name, func(t *testing.T) {
			host, client := dockerd.StartCurrent(t, tt.store)
			// Debian's runc does not support the time namespace that this engine gives to
			// containers, so the legacy builder cannot run a step here. BuildKit does not
			// use one and runs steps with every store.
			t.Run("without buildx", func(t *testing.T) {
				b := &docker{machine: dockerMachine(t, host), program: client, binfmt: binfmtDir}
				engines(t, b, traits{cached: native + ": 5 of 7 steps from the cache", syntax: "build-failed", platform: native})
			})
			t.Run("buildx", func(t *testing.T) {
				b := &docker{machine: dockerMachine(t, host), program: client, binfmt: binfmtDir, buildx: []string{require.Tool(t, "buildx")}}
				can := traits{cached: "2 of 2 steps from the cache", syntax: "build-failed", secrets: true}
				engines(t, b, can)
				if tt.store == dockerd.GraphDriver {
					steps(t, b, can)
				}
			})
			t.Run("reached", func(t *testing.T) { reached(t, host, client) })
			t.Run("chosen", func(t *testing.T) {
				path := t.TempDir()
				for name, target := range map[string]string{"docker": client, "docker-buildx": require.Tool(t, "buildx")} {
					if err := os.Symlink(target, filepath.Join(path, name)); err != nil {
						t.Fatal(err)
					}
				}
				req := request(t, files(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"}))
				if !slices.Contains(localPlatforms(binfmtDir), "linux/arm64") {
					req.Platforms = []string{native}
				}
				b, found, err := Find(t.Context(), Options{Env: dockerMachine(t, host, "PATH="+path).all}, req)
				if err != nil || b == nil || b.Name() != tt.auto || len(found) != 0 {
					t.Fatalf("%T with %v, %v", b, found, err)
				}
				if _, err := b.Build(t.Context(), req, nil); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}
