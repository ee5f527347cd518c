package build

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

// storage gives podman and buildah a storage of their own. vfs and chroot work
// whenever the user is root, even in a container.
func storage(t *testing.T) machine {
	require.Root(t)
	dir := t.TempDir()
	conf := filepath.Join(dir, "storage.conf")
	text := "[storage]\ndriver = \"vfs\"\ngraphroot = \"" + dir + "/graph\"\nrunroot = \"" + dir + "/run\"\n"
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return testMachine("CONTAINERS_STORAGE_CONF="+conf, "STORAGE_DRIVER=vfs", "BUILDAH_ISOLATION=chroot")
}

func TestBuildah(t *testing.T) {
	b := &containers{machine: storage(t), name: "buildah", program: require.Tool(t, "buildah"), binfmt: binfmtDir}
	engines(t, b, byContainer)
	steps(t, b, byContainer)
}

func TestPodman(t *testing.T) {
	b := &containers{machine: storage(t), name: "podman", program: require.Tool(t, "podman"), binfmt: binfmtDir}
	engines(t, b, byContainer)
	steps(t, b, byContainer)
}

// TestShortName checks the line and the full name in the finding.
func TestShortName(t *testing.T) {
	dir := files(t, map[string]string{
		"w/Dockerfile":    "# x\nFROM oven/bun:1.3 AS deps\nWORKDIR /app\nFROM scratch\nCOPY --from=deps /app /app\n",
		"registries.conf": "unqualified-search-registries = [\"registry.fedoraproject.org\", \"docker.io\"]\nshort-name-mode = \"enforcing\"\n",
	})
	m := storage(t)
	m.all = m.all.with("CONTAINERS_REGISTRIES_CONF=" + filepath.Join(dir, "registries.conf"))
	b := &containers{machine: m, name: "buildah", program: require.Tool(t, "buildah"), binfmt: binfmtDir}
	req := request(t, dir)
	req.Dockerfile = filepath.Join(dir, "w", "Dockerfile")
	_, err := b.Build(t.Context(), req, nil)
	f, ok := errors.AsType[*pipeline.Finding](err)
	if !ok || f.Code != CodeShortName || f.Where != "w/Dockerfile:2" || !strings.Contains(f.Fix, "docker.io/oven/bun:1.3 in FROM") {
		t.Errorf("%s at %q: %v", f.Code, f.Where, err)
	}
}

func TestContainersCheck(t *testing.T) {
	dir := files(t, map[string]string{"Dockerfile": "FROM scratch\nRUN true\n"})
	req := request(t, dir)
	req.Platforms = []string{"linux/s390x"}
	req.CacheFrom = []string{"ghcr.io/o/cache:main", "type=gha"}
	b := &containers{machine: storage(t), name: "buildah", program: require.Tool(t, "buildah"), binfmt: t.TempDir()}
	found, err := b.Check(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	for _, f := range found {
		codes = append(codes, string(f.Code)+" "+f.Severity.String())
	}
	if d := cmp.Diff([]string{"builder-cache warning", "builder-platform error"}, codes); d != "" {
		t.Error(d)
	}
	b.program = filepath.Join(dir, "Dockerfile")
	found, err = b.Check(t.Context(), req)
	if err != nil || len(found) != 1 || found[0].Code != "builder-down" || found[0].Severity != pipeline.Error {
		t.Errorf("findings = %v, %v", found, err)
	}
}

func TestCacheRepository(t *testing.T) {
	for spec, want := range map[string]string{
		"ghcr.io/o/cache": "ghcr.io/o/cache", "ghcr.io/o/cache:main": "ghcr.io/o/cache", "localhost:5000/c": "localhost:5000/c",
		"type=registry,ref=ghcr.io/o/cache:x,mode=max": "ghcr.io/o/cache", "type=gha": "", "type=local,src=/x": "",
	} {
		if got := cacheRepository(spec); got != want {
			t.Errorf("cacheRepository(%q) = %q, want %q", spec, got, want)
		}
	}
}
