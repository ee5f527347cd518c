package dist

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// packed packs a small file as the binary for target, as if with another umask
// and another clock.
func packed(t *testing.T, plugin string, target Target, mode os.FileMode, age time.Duration) []byte {
	t.Helper()
	root := t.TempDir()
	bin := filepath.Join(root, "bin")
	at := time.Now().Add(-age)
	for path, text := range map[string]string{bin: "program", filepath.Join(root, LicenseName): "license"} {
		if err := errors.Join(os.WriteFile(path, []byte(text), mode), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	a := Asset{Name: AssetName(plugin, "v1.2.3", target), Plugin: plugin, Target: target}
	out := filepath.Join(root, a.Name)
	if err := pack(Options{Root: root, Date: time.Date(2026, 1, 2, 15, 4, 6, 0, time.UTC)}, a, bin, out); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestPackedBytesAreEqual(t *testing.T) {
	for _, plugin := range Plugins() {
		for _, target := range Targets() {
			if !bytes.Equal(packed(t, plugin, target, 0o600, time.Hour), packed(t, plugin, target, 0o755, 1000*time.Hour)) {
				t.Errorf("%s for %s: who packed it and when is in it", plugin, target)
			}
		}
	}
}

// entry is what an archive records about a file.
type entry struct {
	Name, Text string
	Mode       fs.FileMode
	Time       time.Time
}

func untar(t *testing.T, data []byte) (entries []entry) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	r := tar.NewReader(z)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return entries
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, entry{h.Name, string(text), h.FileInfo().Mode(), h.ModTime.UTC()})
	}
}

func unzip(t *testing.T, data []byte) (entries []entry) {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.File {
		rc, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(rc)
		if err := errors.Join(err, rc.Close()); err != nil {
			t.Fatal(err)
		}
		entries = append(entries, entry{f.Name, string(text), f.Mode(), f.Modified.UTC()})
	}
	return entries
}

func TestArchivesHoldBinaryAndLicense(t *testing.T) {
	date := time.Date(2026, 1, 2, 15, 4, 6, 0, time.UTC)
	for _, target := range Targets() {
		data := packed(t, Kubectl, target, 0o600, 0)
		var got []entry
		want := []entry{{"LICENSE", "license", 0o644, date}, {"kubectl-sbw", "program", 0o755, date}}
		if target.OS == "windows" {
			got = unzip(t, data)
			want[1].Name = "kubectl-sbw.exe"
		} else {
			got = untar(t, data)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", target, d)
		}
	}
}

func TestZipBefore1980(t *testing.T) {
	var b bytes.Buffer
	if err := zipped(&b, []member{{"a", 0o644, []byte("x")}}, time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	if got := unzip(t, b.Bytes()); len(got) != 1 || got[0].Time.Year() != 1980 {
		t.Errorf("%+v", got)
	}
}

func TestEnvironment(t *testing.T) {
	got := environment([]string{"PATH=/bin", "GOFLAGS=-race", "GOARM64=v9.5", "GOOS=plan9", "GOOSE=1", "GOEXPERIMENT=x", "CGO_ENABLED=1", "GOPROXY=off"}, Target{"linux", "arm64"})
	want := []string{"PATH=/bin", "GOOSE=1", "GOPROXY=off",
		"CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm64", "GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=", "GOEXPERIMENT=", "GOFIPS140=off", "GOWORK=off"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestChecksumsAreSorted(t *testing.T) {
	got := string(checksums([]Asset{{Name: "b", SHA256: "22"}, {Name: "a", SHA256: "11"}}))
	if got != "11  a\n22  b\n" {
		t.Errorf("%q", got)
	}
}

func TestSBOM(t *testing.T) {
	o := Options{Version: "v1.2.3", Date: time.Unix(1, 0).UTC()}
	contents := []content{
		{Asset{Name: "gh-sbw_v1.2.3_linux-arm64", Plugin: GH, Target: Target{"linux", "arm64"}}, strings.Repeat("a", 64), "go1.26.7", []*debug.Module{
			{Path: "github.com/spf13/cobra", Version: "v1.10.2", Sum: "h1:abc="},
			{Path: "example.com/old", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/new", Version: "v2.0.0+incompatible"}},
		}},
		{Asset{Name: "kubectl-sbw_v1.2.3_linux_arm64.tar.gz", Plugin: Kubectl, Target: Target{"linux", "arm64"}}, strings.Repeat("b", 64), "go1.26.7", []*debug.Module{
			{Path: "github.com/spf13/cobra", Version: "v1.10.2", Sum: "h1:abc="},
		}},
	}
	text, err := sbom(o, contents)
	if err != nil {
		t.Fatal(err)
	}
	doc := checkSPDX(t, text)
	names := map[string]int{}
	for _, p := range doc.Packages {
		names[p.Name+"@"+p.Version]++
	}
	want := map[string]int{"gh-sbw@v1.2.3": 1, "kubectl-sbw@v1.2.3": 1, "stdlib@1.26.7": 1, "github.com/spf13/cobra@v1.10.2": 1, "example.com/new@v2.0.0+incompatible": 1}
	if d := cmp.Diff(want, names); d != "" {
		t.Error(d)
	}
	contents[0].deps = append(contents[0].deps, &debug.Module{Path: "example.com/a/b", Version: "v1.0.0"}, &debug.Module{Path: "example.com/a_b", Version: "v1.0.0"})
	if _, err := sbom(o, contents); err == nil {
		t.Error("two modules under one identifier")
	}
}

var spdxIDs = regexp.MustCompile(`^SPDXRef-[A-Za-z0-9.-]+$`)

// checkSPDX checks that a document is valid SPDX 2.3: required fields, unique
// identifiers, and relationships between them.
func checkSPDX(t *testing.T, text []byte) spdxDocument {
	t.Helper()
	var doc spdxDocument
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Version != "SPDX-2.3" || doc.License != "CC0-1.0" || doc.ID != "SPDXRef-DOCUMENT" || doc.Name == "" || len(doc.Creation.Creators) == 0 || !strings.HasPrefix(doc.Namespace, "https://") {
		t.Errorf("header: %+v", doc)
	}
	if _, err := time.Parse("2006-01-02T15:04:05Z", doc.Creation.Created); err != nil {
		t.Error(err)
	}
	ids := map[string]bool{doc.ID: true}
	for _, p := range doc.Packages {
		if ids[p.ID] || !spdxIDs.MatchString(p.ID) {
			t.Errorf("identifier %q is not unique or not valid", p.ID)
		}
		ids[p.ID] = true
		if p.Name == "" || p.Version == "" || p.Download == "" {
			t.Errorf("incomplete: %+v", p)
		}
	}
	for _, r := range doc.Relationships {
		if !ids[r.Element] || !ids[r.Related] {
			t.Errorf("a relationship of something that does not exist: %+v", r)
		}
	}
	for _, id := range doc.Describes {
		if !ids[id] {
			t.Errorf("%s is described but does not exist", id)
		}
	}
	return doc
}

// TestOutIsNotJustAnything checks that a directory which is not a release is
// never replaced.
func TestOutIsNotJustAnything(t *testing.T) {
	dir := t.TempDir()
	if err := ours(filepath.Join(dir, "new")); err != nil {
		t.Error(err)
	}
	if err := ours(dir); err != nil {
		t.Errorf("empty: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "thesis.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := ours(dir); err == nil {
		t.Error("somebody's directory would have been removed")
	}
	if err := os.WriteFile(filepath.Join(dir, ChecksumsName), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := ours(dir); err != nil {
		t.Errorf("an earlier release: %v", err)
	}
}

func TestBuildRefuses(t *testing.T) {
	good := Options{Root: ".", Version: "v1.2.3", Date: time.Unix(1, 0)}
	for name, change := range map[string]func(*Options){
		"version":  func(o *Options) { o.Version = "1.2.3" },
		"date":     func(o *Options) { o.Date = time.Time{} },
		"plugin":   func(o *Options) { o.Plugins = []string{"helm-sbw"} },
		"platform": func(o *Options) { o.Targets = []Target{{"plan9", "amd64"}} },
		"checkout": func(o *Options) { o.Plugins = []string{GH}; o.Targets = []Target{{"linux", "amd64"}} }, // Root has no cmd/
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			o.Out = filepath.Join(t.TempDir(), "out")
			change(&o)
			if _, err := Build(t.Context(), o); err == nil {
				t.Error("built")
			}
			if left, err := os.ReadDir(filepath.Dir(o.Out)); err != nil || len(left) > 0 {
				t.Errorf("left over: %v %v", left, err)
			}
		})
	}
}

func TestWeigh(t *testing.T) {
	for _, plugin := range []string{GH, Kubectl} {
		if err := weigh(plugin, Target{"linux", "amd64"}, most[plugin]); err != nil {
			t.Error(err)
		}
		if err := weigh(plugin, Target{"linux", "amd64"}, most[plugin]+1); err == nil || !strings.Contains(err.Error(), plugin) {
			t.Errorf("%s: %v", plugin, err)
		}
	}
}
