package layout

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

// box is a layout directory that a test fills.
type box struct {
	t   testing.TB
	dir string
}

func newBox(t testing.TB) box { return box{t, t.TempDir()} }

func (b box) check(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b box) blob(text string) v1.Descriptor {
	b.t.Helper()
	h, err := put(b.dir, []byte(text))
	b.check(err)
	return v1.Descriptor{Digest: h, Size: int64(len(text)), MediaType: "application/octet-stream"}
}

func (b box) json(v any) v1.Descriptor {
	b.t.Helper()
	text, err := json.Marshal(v)
	b.check(err)
	return b.blob(string(text))
}

// image adds an image for an architecture whose layers are the given texts.
func (b box) image(arch string, layers ...string) v1.Descriptor {
	b.t.Helper()
	config := b.json(map[string]any{"os": "linux", "architecture": arch, "strange": 1.50, "config": map[string]any{"Labels": map[string]string{"old": "1"}, "Cmd": []string{"x"}}})
	m := map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "unknown": map[string]any{"kept": true}}
	ls := []v1.Descriptor{}
	for _, l := range layers {
		ls = append(ls, b.blob(l))
	}
	m["layers"] = ls
	return b.json(m)
}

func (b box) index(of ...v1.Descriptor) v1.Descriptor {
	b.t.Helper()
	return b.json(map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": of})
}

// list writes index.json and oci-layout.
func (b box) list(entries ...v1.Descriptor) {
	b.t.Helper()
	text, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": entries, "annotations": map[string]string{"kept": "yes"}})
	b.check(err)
	b.check(os.WriteFile(filepath.Join(b.dir, indexFile), text, 0o644))
	b.check(os.WriteFile(filepath.Join(b.dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644))
}

func (b box) blobs() (all []string) {
	b.t.Helper()
	entries, err := os.ReadDir(filepath.Join(b.dir, "blobs", "sha256"))
	b.check(err)
	for _, e := range entries {
		all = append(all, "sha256:"+e.Name())
	}
	return all
}

func named(d v1.Descriptor, key, name string) v1.Descriptor {
	d.Annotations = map[string]string{key: name}
	return d
}

func code(err error) string {
	if f, ok := errors.AsType[*pipeline.Finding](err); ok {
		return string(f.Code)
	}
	return fmt.Sprint(err)
}

func TestStamp(t *testing.T) {
	b := newBox(t)
	img := b.image("arm64", "layer")
	b.list(img)
	labels := map[string]string{"org.opencontainers.image.revision": "abc", "dev.sbw.x": strings.Repeat("long", 50_000)}
	digest, err := Stamp(b.dir, img.Digest.String(), labels)
	b.check(err)
	if digest == img.Digest.String() {
		t.Fatal("nothing changed")
	}
	imgs, err := Images(b.dir, digest)
	b.check(err)
	if d := cmp.Diff(map[string]string{"old": "1", "org.opencontainers.image.revision": "abc", "dev.sbw.x": labels["dev.sbw.x"]}, imgs[0].Config.Config.Labels); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]string{"org.opencontainers.image.revision": "abc"}, imgs[0].Manifest.Annotations); d != "" {
		t.Error(d)
	}
	// Unknown fields stay as they were.
	text, err := os.ReadFile(BlobPath(b.dir, imgs[0].Digest))
	b.check(err)
	config, err := os.ReadFile(BlobPath(b.dir, imgs[0].Manifest.Config.Digest))
	b.check(err)
	if !bytes.Contains(text, []byte(`"unknown":{"kept":true}`)) || !bytes.Contains(config, []byte(`"strange":1.5`)) || !bytes.Contains(config, []byte(`"Cmd":["x"]`)) {
		t.Errorf("manifest %s\nconfig %s", text, config[:200])
	}
	b.check(Verify(b.dir, digest))
	if got, err := Choose(b.dir, ""); err != nil || got != digest {
		t.Errorf("index.json names %s, %v", got, err)
	}
	// The builder exports the same image again.
	stamped, err := v1.NewHash(digest)
	b.check(err)
	b.list(v1.Descriptor{Digest: stamped}, img)
	once, err := Stamp(b.dir, img.Digest.String(), labels)
	if err != nil || once != digest {
		t.Errorf("stamped once more: %s, %v", once, err)
	}
	if text, err := os.ReadFile(filepath.Join(b.dir, indexFile)); err != nil || strings.Count(string(text), `"digest"`) != 1 {
		t.Errorf("index.json is %s, %v", text, err)
	}
	again, err := Stamp(b.dir, digest, labels)
	if err != nil || again != digest {
		t.Errorf("stamped again: %s, %v", again, err)
	}
	for name, d := range map[string]string{"layout-broken": "sha256:" + strings.Repeat("0", 64), "layout-broken ": "nonsense", "layout-broken  ": img.Digest.String()} {
		if strings.HasSuffix(name, "  ") {
			b.check(os.WriteFile(BlobPath(b.dir, img.Digest), []byte("[]"), 0o644))
		}
		if _, err := Stamp(b.dir, d, labels); code(err) != "layout-broken" {
			t.Errorf("%s: %v", d, err)
		}
	}
}

func TestStampIndex(t *testing.T) {
	b := newBox(t)
	arm, amd := b.image("arm64", "a"), b.image("amd64", "b")
	proof := b.json(map[string]any{"schemaVersion": 2, "config": b.blob("{}"), "layers": []v1.Descriptor{b.blob("proof")}})
	proof.Annotations = map[string]string{attestation: "attestation-manifest", "vnd.docker.reference.digest": arm.Digest.String()}
	top := b.index(b.index(arm, amd), proof)
	b.list(top)
	digest, err := Stamp(b.dir, top.Digest.String(), map[string]string{"k": "v"})
	b.check(err)
	imgs, err := Images(b.dir, digest)
	b.check(err)
	var got []string
	for _, i := range imgs {
		got = append(got, i.Platform()+" "+i.Config.Config.Labels["k"])
	}
	if d := cmp.Diff([]string{"linux/arm64 v", "linux/amd64 v"}, got); d != "" {
		t.Error(d)
	}
	b.check(Verify(b.dir, digest))
}

// TestStampAttested checks that an attestation next to its image refers to the
// image's new digest.
func TestStampAttested(t *testing.T) {
	b := newBox(t)
	arm := b.image("arm64", "a")
	proof := b.json(map[string]any{"schemaVersion": 2, "config": b.blob("{}"), "layers": []v1.Descriptor{b.blob("proof")}})
	proof.Annotations = map[string]string{attestation: "attestation-manifest", "vnd.docker.reference.digest": arm.Digest.String()}
	top := b.index(arm, proof)
	b.list(top)
	digest, err := Stamp(b.dir, top.Digest.String(), map[string]string{"k": "v"})
	b.check(err)
	imgs, err := Images(b.dir, digest)
	b.check(err)
	h, err := v1.NewHash(digest)
	b.check(err)
	text, err := os.ReadFile(BlobPath(b.dir, h))
	b.check(err)
	if want := `"vnd.docker.reference.digest":"` + imgs[0].Digest.String() + `"`; !bytes.Contains(text, []byte(want)) {
		t.Errorf("%s lacks %s", text, want)
	}
	// Collect keeps it.
	_, kept, err := Collect(b.dir, []string{digest})
	b.check(err)
	if !kept[proof.Digest] || !slices.Contains(b.blobs(), proof.Digest.String()) {
		t.Error("the attestation is gone")
	}
}

func TestImagesFaults(t *testing.T) {
	b := newBox(t)
	deep := b.image("arm64")
	for range maxDepth + 2 {
		deep = b.index(deep)
	}
	noConfig := b.json(map[string]any{"schemaVersion": 2, "config": v1.Descriptor{Digest: v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("1", 64)}}, "layers": []string{}})
	for name, d := range map[string]v1.Descriptor{"nested": deep, "no config": noConfig, "neither": b.blob("{}"), "no JSON": b.blob("x"), "empty index": b.index(), "too long": b.blob(strings.Repeat(" ", maxDocument+1))} {
		if _, err := Images(b.dir, d.Digest.String()); code(err) != "layout-broken" {
			t.Errorf("%s: %v", name, err)
		}
	}
	evil := v1.Hash{Algorithm: "sha256", Hex: "../../../../etc/passwd"}
	if _, err := document(b.dir, evil); code(err) != "layout-broken" {
		t.Errorf("%v", err)
	}
}

func TestVerify(t *testing.T) {
	b := newBox(t)
	img := b.image("arm64", "one", "two", "three")
	b.check(Verify(b.dir, img.Digest.String()))
	imgs, err := Images(b.dir, img.Digest.String())
	b.check(err)
	b.check(os.Remove(BlobPath(b.dir, imgs[0].Manifest.Layers[0].Digest)))
	b.check(os.Truncate(BlobPath(b.dir, imgs[0].Manifest.Layers[2].Digest), 1))
	found := pipeline.AsFindings("verify", Verify(b.dir, img.Digest.String()))
	if len(found) != 2 || !strings.Contains(found[0].What, "is missing") || !strings.Contains(found[1].What, "has size 1 instead of 5") {
		t.Errorf("findings = %v", found)
	}
}

func TestChoose(t *testing.T) {
	b := newBox(t)
	one, two := b.image("arm64", "1"), b.image("arm64", "2")
	for _, tt := range []struct {
		name    string
		entries []v1.Descriptor
		want    string
		digest  string
		code    string
	}{
		{"only one", []v1.Descriptor{one}, "", one.Digest.String(), ""},
		{"the same entry twice", []v1.Descriptor{one, named(one, refName, "x")}, "", one.Digest.String(), ""},
		{"two", []v1.Descriptor{named(one, refName, "v1"), two}, "", "", "layout-ambiguous"},
		{"by tag", []v1.Descriptor{named(one, refName, "v1"), named(two, refName, "v2")}, "v2", two.Digest.String(), ""},
		{"by containerd's name", []v1.Descriptor{named(one, containerdName, "ghcr.io/o/n:v1"), two}, "v1", one.Digest.String(), ""},
		{"by full name", []v1.Descriptor{named(one, containerdName, "ghcr.io/o/n:v1"), two}, "ghcr.io/o/n:v1", one.Digest.String(), ""},
		{"by digest", []v1.Descriptor{one, two}, two.Digest.String(), two.Digest.String(), ""},
		{"no such", []v1.Descriptor{one}, "v9", "", "layout-ambiguous"},
		{"none", nil, "", "", "layout-broken"},
		{"an attestation is not an image", []v1.Descriptor{one, named(two, attestation, "x")}, "", one.Digest.String(), ""},
	} {
		b.list(tt.entries...)
		got, err := Choose(b.dir, tt.want)
		if got != tt.digest || err == nil && tt.code != "" || err != nil && code(err) != tt.code {
			t.Errorf("%s: %s, %v", tt.name, got, err)
		}
	}
	for name, text := range map[string]string{"oci-layout": `{"imageLayoutVersion":"2.0.0"}`, indexFile: "{"} {
		b.list(one)
		b.check(os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o644))
		if _, err := Choose(b.dir, ""); code(err) != "layout-broken" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Choose(t.TempDir(), ""); code(err) != "layout-broken" {
		t.Errorf("no layout: %v", err)
	}
}

// TestChooseAmongReferrers checks that an artifact which refers to an image is
// not a candidate, and that an entry may have several names.
func TestChooseAmongReferrers(t *testing.T) {
	b := newBox(t)
	img := b.image("arm64", "layer")
	empty := b.blob("{}")
	empty.MediaType = "application/vnd.oci.empty.v1+json"
	signature := b.json(map[string]any{"schemaVersion": 2, "artifactType": "application/vnd.example.signature+json", "config": empty, "layers": []any{}, "subject": img})
	sbom := b.json(map[string]any{"schemaVersion": 2, "config": empty, "layers": []any{}, "subject": img})
	plain := b.json(map[string]any{"schemaVersion": 2, "config": empty, "layers": []any{}})
	payload := b.blob("{\"critical\": {}}")
	payload.MediaType = "application/vnd.dev.cosign.simplesigning.v1+json"
	config := b.json(map[string]any{"os": "", "architecture": ""})
	config.MediaType = "application/vnd.oci.image.config.v1+json"
	saved := b.json(map[string]any{"schemaVersion": 2, "config": config, "layers": []any{payload}})
	saved.Annotations = map[string]string{"kind": "dev.cosignproject.cosign/sigs"}
	index := b.index(img, b.image("amd64", "layer"))
	typed := signature
	typed.ArtifactType = "application/vnd.example.signature+json"
	tag := "sha256-" + img.Digest.Hex
	both := img
	both.Annotations = map[string]string{refName: "v1,stable", containerdName: "ghcr.io/o/w:v1, ghcr.io/o/w:edge"}
	other := named(b.image("arm64", "other"), refName, "v2")
	for _, tt := range []struct {
		name    string
		entries []v1.Descriptor
		want    string
		chosen  v1.Descriptor
		err     string
	}{
		{"signature and SBOM", []v1.Descriptor{both, typed, sbom, plain}, "", img, ""},
		{"by tag schema", []v1.Descriptor{img, named(b.index(signature), refName, tag), named(other, refName, tag+".sig")}, "", img, ""},
		{"as cosign saves it", []v1.Descriptor{img, saved}, "", img, ""},
		{"an index and its members", []v1.Descriptor{img, index, saved}, "", index, ""},
		{"a member by its digest", []v1.Descriptor{img, index}, img.Digest.String(), img, ""},
		{"an index and a member with a name", []v1.Descriptor{named(img, refName, "v1"), named(index, refName, "all")}, "v1", img, ""},
		{"listed twice", []v1.Descriptor{img, named(img, refName, "v1"), named(img, refName, "v2")}, "", img, ""},
		{"first of two names", []v1.Descriptor{both, other}, "v1", img, ""},
		{"second of two names", []v1.Descriptor{both, other}, "stable", img, ""},
		{"all of it", []v1.Descriptor{both, other}, "v1,stable", img, ""},
		{"containerd's second name", []v1.Descriptor{both, other}, "edge", img, ""},
		{"containerd's name", []v1.Descriptor{both, other}, "ghcr.io/o/w:edge", img, ""},
		{"another image's name", []v1.Descriptor{both, other}, "v2", other, ""},
		{"part of a name", []v1.Descriptor{both, other}, "1", v1.Descriptor{}, "layout-ambiguous"},
		{"two images", []v1.Descriptor{both, other, sbom}, "", v1.Descriptor{}, "layout-ambiguous"},
		{"a referrer by its digest", []v1.Descriptor{both, sbom}, sbom.Digest.String(), sbom, ""},
		{"nothing but referrers", []v1.Descriptor{sbom, signature}, "", v1.Descriptor{}, "layout-ambiguous"},
	} {
		b.list(tt.entries...)
		got, err := Choose(b.dir, tt.want)
		if err != nil && code(err) != tt.err || err == nil && tt.err != "" || err == nil && got != tt.chosen.Digest.String() {
			t.Errorf("%s: %s, %v", tt.name, got, err)
		}
		if err != nil && strings.Contains(err.Error(), tag) {
			t.Errorf("%s: a referrer is offered: %v", tt.name, err)
		}
	}
}

// TestVerifyCountsLayers checks that an image is refused if its config lists a
// different number of layers than its manifest, because runtimes do not unpack
// it.
func TestVerifyCountsLayers(t *testing.T) {
	b := newBox(t)
	layer := b.blob("layer")
	for name, tt := range map[string]struct {
		diffIDs int
		layers  int
		ok      bool
	}{"the same": {2, 2, true}, "neither manifest nor config": {0, 0, true}, "fewer": {1, 2, false}, "more": {2, 1, false}, "none listed": {0, 1, false}} {
		c := v1.ConfigFile{OS: "linux", Architecture: "arm64", RootFS: v1.RootFS{Type: "layers"}}
		m := v1.Manifest{SchemaVersion: 2}
		for range tt.diffIDs {
			c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, layer.Digest)
		}
		for range tt.layers {
			m.Layers = append(m.Layers, layer)
		}
		m.Config = b.json(c)
		err := Verify(b.dir, b.json(m).Digest.String())
		if tt.ok != (err == nil) || err != nil && code(err) != "layout-broken" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpen(t *testing.T) {
	b := newBox(t)
	one, two := b.image("arm64", "1"), b.image("arm64", "2")
	b.list(named(one, refName, "v1"), two)
	odd := filepath.Join(b.dir, "a:b")
	b.check(os.Mkdir(odd, 0o755))
	file := filepath.Join(b.dir, indexFile)
	for spec, want := range map[string]string{
		b.dir + ":v1": one.Digest.String(), b.dir + "@" + two.Digest.String(): two.Digest.String(),
		b.dir: "layout-ambiguous", b.dir + "x": "layout-missing", file: "layout-missing", odd: "layout-broken",
	} {
		_, digest, err := Open(spec)
		if err != nil {
			digest = code(err)
		}
		if digest != want {
			t.Errorf("%s: %s, %v, want %s", spec, digest, err, want)
		}
	}
}

func TestCollect(t *testing.T) {
	b := newBox(t)
	shared, old, now := "shared layer", "old layer", "new layer"
	first, second := b.image("arm64", shared, old), b.image("arm64", shared, now)
	multi := b.index(b.image("amd64", "amd"), first)
	b.list(first, second, multi)
	b.check(os.MkdirAll(filepath.Join(b.dir, "ingest", "x"), 0o755))
	b.check(os.WriteFile(filepath.Join(b.dir, "ingest", "x", "data"), []byte("half"), 0o644))
	b.check(os.WriteFile(filepath.Join(b.dir, "blobs", "sha256", ".new-1"), []byte("half"), 0o644))
	gone := "sha256:" + strings.Repeat("a", 64)
	freed, kept, err := Collect(b.dir, []string{second.Digest.String(), gone})
	b.check(err)
	if freed == 0 || len(kept) != 4 {
		t.Errorf("freed %d, kept %v", freed, kept)
	}
	want := []string{second.Digest.String(), digestOf([]byte(shared)).String(), digestOf([]byte(now)).String()}
	imgs, err := Images(b.dir, second.Digest.String())
	b.check(err)
	want = append(want, imgs[0].Manifest.Config.Digest.String())
	slices.Sort(want)
	if d := cmp.Diff(want, b.blobs()); d != "" {
		t.Error(d)
	}
	b.check(Verify(b.dir, second.Digest.String()))
	if got, err := Choose(b.dir, ""); err != nil || got != second.Digest.String() {
		t.Errorf("index.json: %s, %v", got, err)
	}
	text, err := os.ReadFile(filepath.Join(b.dir, indexFile))
	b.check(err)
	if !bytes.Contains(text, []byte(`"kept":"yes"`)) {
		t.Errorf("index.json lost what is not ours: %s", text)
	}
	if entries, err := os.ReadDir(filepath.Join(b.dir, "ingest")); err != nil || len(entries) != 0 {
		t.Errorf("ingest: %v, %v", entries, err)
	}
}

// TestSkopeoReadsIt checks that another program can read what Compose and Unpack
// write.
func TestSkopeoReadsIt(t *testing.T) {
	skopeo := require.Tool(t, "skopeo")
	b := newBox(t)
	config := func(arch string) v1.Descriptor {
		return b.json(map[string]any{"os": "linux", "architecture": arch, "config": map[string]any{}, "rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + strings.Repeat("0", 64)}}})
	}
	layer := b.blob("\x1f\x8b") // inspect does not read it
	layer.MediaType = "application/vnd.oci.image.layer.v1.tar+gzip"
	var digests []string
	for _, arch := range []string{"arm64", "amd64"} {
		c := config(arch)
		c.MediaType = "application/vnd.oci.image.config.v1+json"
		digests = append(digests, b.json(map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": c, "layers": []v1.Descriptor{layer}}).Digest.String())
	}
	top, err := Compose(b.dir, digests)
	b.check(err)
	again, err := Compose(b.dir, digests)
	if err != nil || again != top {
		t.Errorf("composed again: %s, %v", again, err)
	}
	stamped, err := Stamp(b.dir, top, map[string]string{"k": "v"})
	b.check(err)
	out, err := exec.Command(skopeo, "inspect", "--raw", "oci:"+b.dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := digestOf(out).String(); got != stamped {
		t.Errorf("skopeo reads %s, want %s\n%s", got, stamped, out)
	}

	archive := filepath.Join(t.TempDir(), "image.tar")
	if out, err := exec.Command(skopeo, "copy", "--multi-arch", "index-only", "oci:"+b.dir, "oci-archive:"+archive).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// Only the index is in the archive; the rest is already in the directory.
	got, err := UnpackFile(b.dir, archive)
	if err != nil || got != stamped {
		t.Errorf("unpacked %s, %v; want %s", got, err, stamped)
	}
	b.check(Verify(b.dir, got))
}

// FuzzUnpack checks that Unpack accepts any bytes or fails, and that it writes
// only blobs that match their digests.
func FuzzUnpack(f *testing.F) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, text := range map[string]string{"blobs/sha256/" + digestOf([]byte("x")).Hex: "x", "blobs/sha256/../../evil": "x", "index.json": `{"manifests":[{"digest":"` + digestOf([]byte("x")).String() + `"}]}`} {
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(text))}); err != nil {
			f.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			f.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, archive []byte) {
		outer := t.TempDir()
		dir := filepath.Join(outer, "a", "b")
		_, err := Unpack(dir, bytes.NewReader(archive))
		_ = err // any error is fine
		err = filepath.WalkDir(outer, func(path string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			rel, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			switch hex, ok := strings.CutPrefix(filepath.ToSlash(rel), "blobs/sha256/"); {
			case rel == indexFile, rel == "oci-layout":
			case ok:
				text, err := os.ReadFile(path)
				if err != nil || digestOf(text).Hex != hex {
					t.Errorf("%s holds %q, %v", rel, text, err)
				}
			default:
				t.Errorf("wrote %s", rel)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
