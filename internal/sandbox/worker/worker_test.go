package worker

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/sandbox/need"
)

func TestBaseImageIsArm64AndKept(t *testing.T) {
	cache := need.Dir(t)
	var digests [2]string
	for i := range digests {
		img, err := BaseImage(t.Context(), cache, t.Output())
		if err != nil {
			t.Fatal(err)
		}
		config, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if config.OS != "linux" || config.Architecture != "arm64" {
			t.Errorf("platform %s/%s", config.OS, config.Architecture)
		}
		digest, err := img.Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests[i] = digest.String()
	}
	if digests[0] != digests[1] {
		t.Errorf("made twice, it has two digests: %v", digests)
	}
}

func TestRepositoryIsCommittedWithItsModulesBeside(t *testing.T) {
	cache := need.Dir(t)
	dir := filepath.Join(t.TempDir(), "repo")
	if err := WriteRepo(t.Context(), dir, cache); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{".git", ".dockerignore", "k8s/system-bus-worker.yaml", modules + "/inngest/package.json", modules + "/hono/package.json"} {
		if _, err := os.Stat(filepath.Join(dir, path)); err != nil {
			t.Error(err)
		}
	}
	if err := WriteRepo(t.Context(), dir, cache); err == nil {
		t.Error("written over what was there")
	}
}
