package worker

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

func TestBaseImageIsArm64AndKept(t *testing.T) {
	cache := require.Dir(t)
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
		t.Errorf("two builds have different digests: %v", digests)
	}
}

func TestRepositoryIsCommittedWithItsModulesBeside(t *testing.T) {
	cache := require.Dir(t)
	dir := filepath.Join(t.TempDir(), "repo")
	if err := WriteRepo(t.Context(), dir, cache); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{".git", ".dockerignore", "k8s/system-bus-worker.yaml", modules} {
		if _, err := os.Stat(filepath.Join(dir, path)); err != nil {
			t.Error(err)
		}
	}
	if err := WriteRepo(t.Context(), dir, cache); err == nil {
		t.Error("the existing files were overwritten")
	}
}

func TestPackLeavesOutWhatNothingReads(t *testing.T) {
	root := fstest.MapFS{}
	for _, path := range []string{
		"node_modules/inngest/index.js", "node_modules/inngest/index.js.map", "node_modules/inngest/index.d.ts",
		"node_modules/inngest/README.md", "node_modules/inngest/build/esnext/index.js",
		"node_modules/inngest/node_modules/debug/index.js", "node_modules/.bin/inngest-cli", "package.json",
	} {
		root[path] = &fstest.MapFile{Data: []byte("x")}
	}
	var b bytes.Buffer
	if err := pack(&b, root); err != nil {
		t.Fatal(err)
	}
	var have []string
	for in := tar.NewReader(&b); ; {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			have = append(have, h.Name)
		}
	}
	want := []string{"node_modules/inngest/index.js", "node_modules/inngest/node_modules/debug/index.js"}
	if !slices.Equal(have, want) {
		t.Errorf("packed %v, want %v", have, want)
	}
}
