package dist

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

// fixtures is the directory in which the release under test is built, once for
// all tests.
var fixtures string

func TestMain(m *testing.M) {
	var err error
	if fixtures, err = os.MkdirTemp("", "sbw-dist-test-*"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(fixtures)
	os.Exit(code)
}

const testVersion, testCommit = "v1.2.3", "0123456789abcdef0123456789abcdef01234567"

// here is the platform that the tests run on, so that they can run what they
// build.
var here = Target{runtime.GOOS, runtime.GOARCH}

func options(root, out, plugin string) Options {
	return Options{
		Root: root, Out: out, Version: testVersion, Commit: testCommit, Date: time.Date(2026, 1, 2, 15, 4, 6, 0, time.UTC),
		Plugins: []string{plugin}, Targets: []Target{here},
	}
}

// released returns the directory of a release with one plugin for this machine.
func released(t *testing.T, plugin string) string {
	t.Helper()
	require.Sources(t)
	build := ghRelease
	if plugin == Kubectl {
		build = kubectlRelease
	}
	dir, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

var (
	ghRelease      = sync.OnceValues(func() (string, error) { return makeRelease(GH) })
	kubectlRelease = sync.OnceValues(func() (string, error) { return makeRelease(Kubectl) })
)

func makeRelease(plugin string) (string, error) {
	dir := filepath.Join(fixtures, plugin)
	_, err := Build(context.Background(), options("../../..", dir, plugin))
	return dir, err
}

func TestAReleaseIsWhole(t *testing.T) {
	dir := released(t, GH)
	asset := AssetName(GH, testVersion, here)
	check := strings.Split(strings.TrimSpace(read(t, filepath.Join(dir, ChecksumsName))), "\n")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 4 || len(check) != 3 {
		t.Errorf("%d files, %d checksums: want %s, %s, %s and %s", len(entries), len(check), asset, ManifestName, sbomName(testVersion), ChecksumsName)
	}
	for _, line := range check {
		sum, name, ok := strings.Cut(line, "  ")
		if got, err := sha256Of(filepath.Join(dir, name)); !ok || err != nil || got != sum {
			t.Errorf("%q: %s, %v", line, got, err)
		}
	}
	doc := checkSPDX(t, []byte(read(t, filepath.Join(dir, sbomName(testVersion)))))
	info, err := buildinfo.ReadFile(filepath.Join(dir, asset))
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, p := range doc.Packages {
		listed[p.Name+"@"+p.Version] = true
	}
	for _, m := range info.Deps {
		if !listed[m.Path+"@"+m.Version] {
			t.Errorf("%s %s is in the binary and not in the list of modules", m.Path, m.Version)
		}
	}
	if sum, err := sha256Of(filepath.Join(dir, asset)); err != nil || doc.Packages[0].Checksums[0].Value != sum {
		t.Errorf("the list is of another binary: %+v, %v", doc.Packages[0], err)
	}
}

func TestBinariesNeedNothingOfTheSystem(t *testing.T) {
	if here.OS != "linux" {
		t.Logf("on %s every program links the system's library; CGO_ENABLED=0 is held by the build itself", here.OS)
		return
	}
	f, err := elf.Open(filepath.Join(released(t, GH), AssetName(GH, testVersion, here)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the binary is not static: it has a %s segment", p.Type)
		}
	}
}

// TestTwoBuildsAreEqual builds a copy of the sources in another directory and
// with another environment.
func TestTwoBuildsAreEqual(t *testing.T) {
	first := released(t, GH)
	root := filepath.Join(t.TempDir(), "elsewhere")
	copySources(t, "../../..", root)
	t.Setenv("GOFLAGS", "-race")
	t.Setenv("GOAMD64", "v3")
	t.Setenv("GOARM64", "v8.2")
	t.Setenv("CGO_ENABLED", "1")
	t.Setenv("TZ", "Asia/Tokyo")
	second := filepath.Join(t.TempDir(), "dist")
	if _, err := Build(t.Context(), options(root, second, GH)); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(first)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !bytes.Equal([]byte(read(t, filepath.Join(first, e.Name()))), []byte(read(t, filepath.Join(second, e.Name())))) {
			t.Errorf("%s: two builds differ", e.Name())
		}
	}
	binary := read(t, filepath.Join(second, AssetName(GH, testVersion, here)))
	if strings.Contains(binary, root) {
		t.Error("the binary reveals where it was built")
	}
}

// copySources copies what gh-sbw is compiled from.
func copySources(t *testing.T, from, to string) {
	t.Helper()
	for _, dir := range []string{"cmd", "internal"} {
		if err := os.CopyFS(filepath.Join(to, dir), os.DirFS(filepath.Join(from, dir))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"go.mod", "go.sum", LicenseName, ManifestName} {
		if err := os.WriteFile(filepath.Join(to, name), []byte(read(t, filepath.Join(from, name))), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// run runs a program with an environment of its own and returns its output.
func run(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return string(out)
}
