package reuse

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	ggcr "github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/joelhooks/gh-sbw/internal/layer"
	"github.com/joelhooks/gh-sbw/internal/layout"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// files are a layer's regular files by path. A value that begins with '/' is a hard link. Modification times differ
// in every tar that is made from them.
type files map[string]string

var clock int64

func (fs files) tar(tb testing.TB) []byte {
	tb.Helper()
	clock++
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	var names []string
	dirs := map[string]bool{}
	for name := range fs {
		names = append(names, name)
		for d := path.Dir(name); d != "."; d = path.Dir(d) {
			if !dirs[d] {
				dirs[d], names = true, append(names, d+"/")
			}
		}
	}
	slices.Sort(names)
	for _, name := range names {
		h := &tar.Header{Name: name, Mode: 0o755, Typeflag: tar.TypeDir, ModTime: time.Unix(clock, 0)}
		body := fs[name]
		switch {
		case strings.HasSuffix(name, "/"):
			body = ""
		case strings.HasPrefix(body, "/"):
			h.Typeflag, h.Linkname, body = tar.TypeLink, body[1:], ""
		default:
			h.Typeflag, h.Mode, h.Size = tar.TypeReg, 0o644, int64(len(body))
		}
		if err := tw.WriteHeader(h); err != nil {
			tb.Fatal(err)
		}
		_, _ = io.WriteString(tw, body)
	}
	if err := tw.Close(); err != nil {
		tb.Fatal(err)
	}
	return buf.Bytes()
}

func (fs files) with(name, body string) files {
	all := files{}
	for k, v := range fs {
		all[k] = v
	}
	if all[name] = body; body == "" {
		delete(all, name)
	}
	return all
}

// modules returns a layer that is large enough to be reused: 60 files, 240 kB.
func modules() files {
	r := rand.New(rand.NewPCG(1, 2))
	fs := files{}
	for i := range 60 {
		body := make([]byte, 4000)
		for j := range body {
			body[j] = "abcdefgh"[r.IntN(8)]
		}
		fs[fmt.Sprintf("app/node_modules/p%d/index.js", i)] = string(body)
	}
	fs["app/node_modules/.modules.yaml"] = "prunedAt: 1"
	return fs
}

// bench is a layout and what publishes have stored about it.
type bench struct {
	testing.TB
	Options
}

func newBench(tb testing.TB) *bench {
	b := &bench{TB: tb, Options: Options{Dir: filepath.Join(tb.TempDir(), "image"), Facts: tb.TempDir(), Compare: true, Compression: layer.Zstd}}
	if _, err := ggcr.Write(b.Dir, empty.Index); err != nil {
		tb.Fatal(err)
	}
	return b
}

// image creates an image with uncompressed layers, as a builder exports it.
func (b *bench) image(arch string, layers ...[]byte) v1.Image {
	b.Helper()
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	cfg, err := img.ConfigFile()
	if err != nil {
		b.Fatal(err)
	}
	cfg = cfg.DeepCopy()
	cfg.OS, cfg.Architecture = "linux", arch
	if img, err = mutate.ConfigFile(img, cfg); err != nil {
		b.Fatal(err)
	}
	for i, l := range layers {
		adds := []mutate.Addendum{{Layer: static.NewLayer(l, types.OCIUncompressedLayer), History: v1.History{CreatedBy: fmt.Sprint("COPY ", i), Created: v1.Time{Time: time.Unix(clock, 0)}}}}
		if i == 0 {
			adds = append(adds, mutate.Addendum{History: v1.History{CreatedBy: "ENV A=1", EmptyLayer: true}})
		}
		if img, err = mutate.Append(img, adds...); err != nil {
			b.Fatal(err)
		}
	}
	return img
}

func (b *bench) add(img v1.Image) string {
	b.Helper()
	p, err := ggcr.FromPath(b.Dir)
	if err == nil {
		err = p.AppendImage(img)
	}
	h, herr := img.Digest()
	if err != nil || herr != nil {
		b.Fatal(err, herr)
	}
	return h.String()
}

func (b *bench) addIndex(imgs ...v1.Image) string {
	b.Helper()
	var idx v1.ImageIndex = empty.Index
	for _, img := range imgs {
		idx = mutate.AppendManifests(idx, mutate.IndexAddendum{Add: img})
	}
	p, err := ggcr.FromPath(b.Dir)
	if err == nil {
		err = p.AppendIndex(idx)
	}
	h, herr := idx.Digest()
	if err != nil || herr != nil {
		b.Fatal(err, herr)
	}
	return h.String()
}

// publish runs the steps of a publish: rewrite, compress, remember.
func (b *bench) publish(digest string) (Result, string) {
	b.Helper()
	res, err := Rewrite(b.Context(), digest, b.Options, nil)
	if err != nil {
		b.Fatal(err)
	}
	edits := map[v1.Hash]layout.Edit{}
	imgs := b.images(res.Digest)
	for _, img := range imgs {
		e := layout.Edit{Layers: map[int][]layout.Layer{}}
		for i, d := range img.Manifest.Layers {
			if !layout.Plain(d) {
				continue
			}
			packed, err := Packer{Dir: b.Dir, Facts: b.Facts, How: b.Compression}.Pack(b.Context(), d)
			if err != nil {
				b.Fatal(err)
			}
			e.Layers[i] = []layout.Layer{{Descriptor: packed, DiffID: img.Config.RootFS.DiffIDs[i]}}
		}
		edits[img.Digest] = e
	}
	final, err := layout.Relayer(b.Dir, res.Digest, edits)
	if err != nil {
		b.Fatal(err)
	}
	if err := Remember(b.Context(), res.Digest, b.Options, nil); err != nil {
		b.Fatal(err)
	}
	if err := Carry(res.Digest, final, b.Options); err != nil {
		b.Fatal(err)
	}
	if err := layout.Verify(b.Dir, final); err != nil {
		b.Fatal(err)
	}
	for i, img := range b.images(final) {
		b.valid(img)
		if got, want := b.flat(img), b.flat(b.images(digest)[i]); got != want {
			b.Fatalf("the published image differs:\n%s\nbuilt:\n%s", got, want)
		}
	}
	b.Published = append([]string{final}, b.Published...)
	return res, final
}

func (b *bench) images(digest string) []layout.Image {
	b.Helper()
	imgs, err := layout.Images(b.Dir, digest)
	if err != nil {
		b.Fatal(err)
	}
	return imgs
}

// valid checks an image against the specification: diff_ids, one history entry for each layer, sizes and digests.
func (b *bench) valid(img layout.Image) {
	b.Helper()
	if !consistent(img) {
		b.Fatalf("config and manifest do not match: %+v", img)
	}
	for i, d := range img.Manifest.Layers {
		f, err := os.Open(layout.BlobPath(b.Dir, d.Digest))
		if err != nil {
			b.Fatal(err)
		}
		if h, n, err := v1.SHA256(f); err != nil || h != d.Digest || n != d.Size {
			b.Fatal(h, n, err)
		}
		_, _ = f.Seek(0, io.SeekStart)
		z, err := layer.Decompress(f)
		if err != nil {
			b.Fatal(err)
		}
		if h, _, err := v1.SHA256(z); err != nil || h != img.Config.RootFS.DiffIDs[i] {
			b.Fatalf("layer %d: %s, %v, want %s", i, h, err, img.Config.RootFS.DiffIDs[i])
		}
		_ = f.Close()
	}
}

// flat returns the image's tree without times. It does not use the product's
// code.
func (b *bench) flat(img layout.Image) string {
	b.Helper()
	lines := map[string]string{}
	for _, d := range img.Manifest.Layers {
		f, err := os.Open(layout.BlobPath(b.Dir, d.Digest))
		if err != nil {
			b.Fatal(err)
		}
		z, err := layer.Decompress(f)
		if err != nil {
			b.Fatal(err)
		}
		in := tar.NewReader(z)
		for {
			h, err := in.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			p := path.Clean("/" + h.Name)
			if base := path.Base(p); strings.HasPrefix(base, ".wh.") {
				gone := path.Join(path.Dir(p), base[4:])
				for q := range lines {
					if q == gone || strings.HasPrefix(q, gone+"/") {
						delete(lines, q)
					}
				}
				continue
			}
			body, err := io.ReadAll(in)
			if err != nil {
				b.Fatal(err)
			}
			lines[p] = fmt.Sprintf("%c %o %d %s %x", h.Typeflag, h.Mode, h.Uid, h.Linkname, body)
		}
		_ = f.Close()
	}
	var all []string
	for p, l := range lines {
		all = append(all, p+" "+l)
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

func TestOneFileOfManyDiffers(t *testing.T) {
	b := newBench(t)
	base, mods := files{"etc/passwd": "root"}.tar(t), modules()
	_, first := b.publish(b.add(b.image("arm64", base, mods.tar(t), files{"src": "1"}.tar(t))))
	reference := b.images(first)[0].Manifest.Layers[1].Digest
	for i := range 3 {
		res, final := b.publish(b.add(b.image("arm64", base, mods.with("app/node_modules/.modules.yaml", fmt.Sprint("prunedAt: ", i+2)).tar(t), files{"src": fmt.Sprint(i)}.tar(t))))
		if len(res.Findings) != 0 || len(res.Reused) == 0 {
			t.Fatalf("%+v", res)
		}
		u := res.Reused[0]
		if u.Layer != 2 || u.CreatedBy != "COPY 1" || u.Files != 61 || !slices.Equal(u.Changed, []string{"/app/node_modules/.modules.yaml"}) || u.Small == 0 || u.Small > 600 {
			t.Errorf("%+v", u)
		}
		img := b.images(final)[0]
		if img.Manifest.Layers[1].Digest != reference || len(img.Manifest.Layers) != 4 {
			t.Errorf("publish %d: %+v", i, img.Manifest.Layers)
		}
		var notes []note
		if err := json.Unmarshal([]byte(img.Config.Config.Labels[worker.LabelLayerReuse]), &notes); err != nil || len(notes) == 0 || notes[0].Layer != 2 || notes[0].Small != 3 {
			t.Errorf("%+v, %v", notes, err)
		}
		if !smallLayers(img)[2] {
			t.Error("the small layer could become a reference")
		}
	}
}

func TestTimesAlone(t *testing.T) {
	b := newBench(t)
	_, first := b.publish(b.add(b.image("arm64", modules().tar(t))))
	res, final := b.publish(b.add(b.image("arm64", modules().tar(t))))
	if len(res.Reused) != 1 || res.Reused[0].Small != 0 {
		t.Fatalf("%+v", res)
	}
	if a, b := b.images(first)[0].Manifest.Layers, b.images(final)[0].Manifest.Layers; len(b) != 1 || a[0].Digest != b[0].Digest {
		t.Errorf("%+v", b)
	}
}

func TestWhatIsLeftAsBuilt(t *testing.T) {
	mods := modules()
	half := mods
	for i := range 20 {
		half = half.with(fmt.Sprintf("app/node_modules/p%d/index.js", i), strings.Repeat("new", 1300))
	}
	small := files{"a": "1", "b": strings.Repeat("x", 3000)}
	for _, tt := range []struct {
		name   string
		before []files
		after  []files
		change func(*bench)
	}{
		{"too much differs", []files{mods}, []files{half}, nil},
		{"a small layer", []files{small}, []files{small.with("a", "2")}, nil},
		{"comparing is off", []files{mods}, []files{mods.with("new", "1")}, func(b *bench) { b.Compare = false }},
		{"nothing is published", nil, []files{mods}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			if tt.change != nil {
				tt.change(b)
			}
			if tt.before != nil {
				b.publish(b.add(b.image("arm64", tars(t, tt.before)...)))
			}
			built := b.add(b.image("arm64", tars(t, tt.after)...))
			if res, _ := b.publish(built); len(res.Reused) != 0 || res.Digest != built || len(res.Findings) != 0 {
				t.Errorf("%+v", res)
			}
		})
	}
}

func tars(t *testing.T, all []files) (out [][]byte) {
	for _, fs := range all {
		out = append(out, fs.tar(t))
	}
	return out
}

// TestTheSameLayerIsNotCompressedAgain checks that the layer of an unchanged step is taken from the
// published image in the form in which it was sent.
func TestTheSameLayerIsNotCompressedAgain(t *testing.T) {
	for _, compare := range []bool{true, false} {
		b := newBench(t)
		b.Compare = compare
		mods := modules().tar(t)
		_, first := b.publish(b.add(b.image("arm64", mods, files{"src": "1"}.tar(t))))
		built := b.add(b.image("arm64", mods, files{"src": "2"}.tar(t)))
		res, err := Rewrite(t.Context(), built, b.Options, nil)
		if err != nil || len(res.Reused) != 0 {
			t.Fatal(res, err)
		}
		if got, want := b.images(res.Digest)[0].Manifest.Layers[0].Digest, b.images(first)[0].Manifest.Layers[0].Digest; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestSeveralPlatforms(t *testing.T) {
	b := newBench(t)
	mods := modules()
	images := func(stamp string) string {
		m := mods.with("app/node_modules/.modules.yaml", stamp)
		return b.addIndex(b.image("arm64", m.with("arch", "arm64").tar(t)), b.image("amd64", m.with("arch", "amd64").tar(t)))
	}
	b.publish(images("1"))
	res, final := b.publish(images("2"))
	if len(res.Reused) != 2 || res.Reused[0].Platform != "linux/arm64" || res.Reused[1].Platform != "linux/amd64" {
		t.Errorf("%+v", res)
	}
	for _, img := range b.images(final) {
		if len(img.Manifest.Layers) != 2 {
			t.Errorf("%s: %+v", img.Platform(), img.Manifest.Layers)
		}
	}
}

// TestRandomBuilds checks that what is published equals what was built, after any sequence of builds. The
// comparison is in publish.
func TestRandomBuilds(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 9))
		b := newBench(t)
		now := []files{{"etc/passwd": "root", "app/old": "x"}, modules(), {"app/src": "1"}}
		reused := 0
		for range 6 {
			i := r.IntN(len(now))
			for range r.IntN(4) {
				name := fmt.Sprintf("app/node_modules/p%d/%s", r.IntN(60), []string{"index.js", "x/y"}[r.IntN(2)])
				now[i] = now[i].with(name, []string{"", "new", "other", strings.Repeat("long", 3000)}[r.IntN(4)])
			}
			if r.IntN(4) == 0 {
				now[i] = now[i].with(".wh.gone", " ")
			}
			res, _ := b.publish(b.add(b.image("arm64", tars(t, now)...)))
			reused += len(res.Reused)
			if len(res.Findings) > 0 {
				t.Fatalf("seed %d: %+v", seed, res.Findings[0])
			}
		}
		if reused == 0 {
			t.Errorf("seed %d: nothing was ever reused", seed)
		}
	}
}

// TestAnImageThatIsNotProvenIsSentAsBuilt checks that Prove notices a mistake in rewriting an image. Here the
// listing of the small layer is replaced before Rewrite writes the layer.
func TestAnImageThatIsNotProvenIsSentAsBuilt(t *testing.T) {
	b := newBench(t)
	b.publish(b.add(b.image("arm64", modules().tar(t))))
	built := b.add(b.image("arm64", modules().with("app/new", "1").tar(t)))
	res, err := Rewrite(t.Context(), built, b.Options, nil)
	if err != nil || len(res.Reused) != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	img := b.images(res.Digest)[0]
	l := layer.Remembered(b.Facts, img.Manifest.Layers[1].Digest)
	l.Entries[len(l.Entries)-1].Mode ^= 1
	if err := layer.Remember(b.Facts, img.Manifest.Layers[1].Digest, l); err != nil {
		t.Fatal(err)
	}
	res, err = Rewrite(t.Context(), built, b.Options, nil)
	if err != nil || res.Digest != built || len(res.Reused) != 0 || len(res.Findings) != 1 || res.Findings[0].Code != CodeUnproven {
		t.Errorf("%+v, %v", res, err)
	}
}

// TestAReferenceIsWhatItsDiffIDSays checks that a published layer with a wrong
// diff_id is not used as a reference.
func TestAReferenceIsWhatItsDiffIDSays(t *testing.T) {
	b := newBench(t)
	_, first := b.publish(b.add(b.image("arm64", modules().tar(t))))
	p := b.images(first)[0].Manifest.Layers[0].Digest
	l := layer.Remembered(b.Facts, p)
	l.DiffID = v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("0", 64)}
	if err := layer.Remember(b.Facts, p, l); err != nil {
		t.Fatal(err)
	}
	built := b.add(b.image("arm64", modules().with("app/new", "1").tar(t)))
	res, err := Rewrite(t.Context(), built, b.Options, nil)
	if err != nil || res.Digest != built || len(res.Reused) != 0 {
		t.Errorf("%+v, %v", res, err)
	}
}

// TestAReferenceIsThere checks that a published layer that no longer exists on this machine is not used as a
// reference, because nothing could send it again.
func TestAReferenceIsThere(t *testing.T) {
	b := newBench(t)
	_, first := b.publish(b.add(b.image("arm64", modules().tar(t))))
	if err := os.Remove(layout.BlobPath(b.Dir, b.images(first)[0].Manifest.Layers[0].Digest)); err != nil {
		t.Fatal(err)
	}
	built := b.add(b.image("arm64", modules().with("app/new", "1").tar(t)))
	res, err := Rewrite(t.Context(), built, b.Options, nil)
	if err != nil || res.Digest != built || len(res.Reused) != 0 {
		t.Errorf("%+v, %v", res, err)
	}
}
