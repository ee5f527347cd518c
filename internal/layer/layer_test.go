package layer

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

// check compares everything with the oracle: the base, the published layer, the layer that was built, and the small
// layer that turns the former into the latter. made reports whether there was a small layer.
func check(t testing.TB, base [][]byte, published, built []byte, hide bool) (made bool) {
	t.Helper()
	read := func(b []byte) *Listing {
		l, err := Read(t.Context(), bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	tree, want := NewTree(), newOracle()
	for _, b := range base {
		if err := tree.Apply(read(b), "base"); err != nil {
			return false
		}
		want.unpack(t, b)
	}
	target, have := tree.Clone(), tree.Clone()
	if target.Apply(read(built), "built") != nil || have.Apply(read(published), "published") != nil {
		return false
	}
	d, err := Compare(have, target, "built")
	if err != nil {
		if !errors.Is(err, ErrUncertain) {
			t.Fatal(err)
		}
		return false
	}
	var small bytes.Buffer
	if !d.Empty() {
		var from io.Reader = bytes.NewReader(built)
		if hide {
			from = onlyReader{from}
		}
		if err := WriteDelta(t.Context(), &small, d, from, scratch(t)); err != nil {
			t.Fatal(err)
		}
		if err := have.Apply(read(small.Bytes()), "small"); err != nil {
			t.Fatalf("the small layer is odd: %v", err)
		}
	}
	got := newOracle()
	for _, b := range base {
		got.unpack(t, b)
	}
	want.unpack(t, built)
	got.unpack(t, published)
	if !d.Empty() {
		got.unpack(t, small.Bytes())
	}
	differs := have.Difference(target)
	if (want.text() == got.text()) != (differs == "") {
		t.Fatalf("Difference says %q; built:\n%s\nrewritten:\n%s", differs, want.text(), got.text())
	}
	return differs == ""
}

func TestRandomStacks(t *testing.T) {
	n, made := 1000, 0
	for seed := range n {
		if stack(t, uint64(seed)) {
			made++
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if made < n/4 {
		t.Errorf("only %d of %d stacks led to a small layer: the generator makes too many odd layers", made, n)
	}
	t.Logf("%d stacks, %d of them with a proven small layer", n, made)
}

func stack(t testing.TB, seed uint64) bool {
	g := generator{rand.New(rand.NewPCG(seed, 1))}
	var base [][]byte
	for range g.IntN(3) {
		base = append(base, pack(t, g.tidy(g.layer())))
	}
	published := g.tidy(append(g.layer(), g.layer()...))
	built := g.change(published)
	if g.IntN(8) > 0 {
		built = g.tidy(built)
	}
	return check(t, base, pack(t, published), pack(t, built), g.IntN(2) == 0)
}

func FuzzStacks(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { stack(t, seed) })
}

func dir(name string) rec        { return rec{name: name + "/", kind: tar.TypeDir, mode: 0o755} }
func file(name, body string) rec { return rec{name: name, kind: tar.TypeReg, mode: 0o644, body: body} }
func hard(name, to string) rec {
	return rec{name: name, kind: tar.TypeLink, mode: 0o644, link: to}
}
func soft(name, to string) rec {
	return rec{name: name, kind: tar.TypeSymlink, link: to, mode: 0o777}
}
func gone(name string) rec { return file(name, "") }

func TestPairs(t *testing.T) {
	touched := file("a/f", "1")
	touched.mtime = 99
	device := rec{name: "dev/n", kind: tar.TypeChar, major: 5}
	other := device
	other.major = 6
	owned := file("a/f", "1")
	owned.uid = 1000
	attr := file("a/f", "1")
	attr.xattr = "x"
	for _, tt := range []struct {
		name                   string
		base, published, built []rec
		made                   bool // otherwise it stays as the builder made it
	}{
		{"times alone", nil, []rec{dir("a"), file("a/f", "1")}, []rec{dir("a"), touched}, true},
		{"content", nil, []rec{dir("a"), file("a/f", "1")}, []rec{dir("a"), file("a/f", "2")}, true},
		{"owner", nil, []rec{dir("a"), file("a/f", "1")}, []rec{dir("a"), owned}, true},
		{"attribute", nil, []rec{dir("a"), file("a/f", "1")}, []rec{dir("a"), attr}, true},
		{"device", nil, []rec{dir("dev"), device}, []rec{dir("dev"), other}, true},
		{"file added and removed", nil, []rec{dir("a"), file("a/f", "1")}, []rec{dir("a"), file("a/g", "1")}, true},
		{"directory becomes a file", nil, []rec{dir("a"), file("a/f", "1")}, []rec{file("a", "1")}, true},
		{"file becomes a directory", nil, []rec{file("a", "1")}, []rec{dir("a"), file("a/f", "1")}, true},
		{"file becomes a symlink", nil, []rec{file("a", "1")}, []rec{soft("a", "b")}, true},
		{"hard link's content", nil, []rec{file("a", "1"), hard("b", "a"), file("z", "")}, []rec{file("a", "2"), hard("b", "a"), file("z", "")}, true},
		{"hard link becomes a copy", nil, []rec{file("a", "1"), hard("b", "a")}, []rec{file("a", "1"), file("b", "1")}, true},
		{"copy becomes a hard link", nil, []rec{file("a", "1"), file("b", "1")}, []rec{file("a", "1"), hard("b", "a")}, true},
		{"hard link with a mode of its own", nil, []rec{file("a", "1"), file("c", "1")}, []rec{file("a", "1"), {name: "b", kind: tar.TypeLink, mode: 0o600, link: "a"}, file("c", "1")}, false},
		{"hard link to a hard link", nil, []rec{file("a", "1"), hard("b", "a"), hard("c", "b")}, []rec{file("a", "2"), hard("b", "a"), hard("c", "b")}, true},
		{"hard link to a lower layer", []rec{file("a", "1")}, []rec{file("c", "1")}, []rec{hard("b", "a"), file("c", "1")}, false},
		{"removal of a base's file is new", []rec{file("a", "1")}, []rec{file("b", "1")}, []rec{gone(".wh.a"), file("b", "1")}, true},
		{"removal of a base's file is gone", []rec{file("a", "1")}, []rec{gone(".wh.a"), file("b", "1")}, []rec{file("b", "1")}, false},
		{"base's file shows again", []rec{file("a", "1")}, []rec{file("a", "2"), file("b", "1")}, []rec{file("b", "1")}, false},
		{"base's symlink shows again", []rec{soft("a", "1")}, []rec{soft("a", "2"), file("b", "1")}, []rec{file("b", "1")}, true},
		{"opaque in both", []rec{dir("a"), file("a/o", "1")}, []rec{dir("a"), gone("a/.wh..wh..opq"), file("a/f", "1")}, []rec{dir("a"), gone("a/.wh..wh..opq"), file("a/f", "2")}, true},
		{"opaque in built", []rec{dir("a"), file("a/o", "1")}, []rec{dir("a"), file("a/f", "1")}, []rec{dir("a"), gone("a/.wh..wh..opq"), file("a/f", "1")}, true},
		{"opaque in published", []rec{dir("a"), file("a/o", "1")}, []rec{dir("a"), gone("a/.wh..wh..opq"), file("a/f", "1")}, []rec{dir("a"), file("a/f", "1")}, false},
		{"file over a base's directory", []rec{dir("a"), file("a/o", "1")}, []rec{file("a", "1")}, []rec{dir("a"), file("a/f", "1")}, false},
		{"removal from a missing directory", nil, []rec{file("b", "1")}, []rec{gone("a/.wh.x"), file("b", "1")}, false},
		{"removal from a new directory", nil, []rec{file("b", "1")}, []rec{dir("a"), gone("a/.wh.x"), file("b", "1")}, true},
		{"twice", nil, []rec{file("a", "1")}, []rec{file("a", "1"), file("a", "2")}, false},
		{"directory twice", nil, []rec{dir("a"), file("a/f", "1")}, []rec{dir("a"), dir("a"), file("a/f", "2")}, true},
		{"removed and added", nil, []rec{file("a", "1")}, []rec{gone(".wh.a"), file("a", "2")}, false},
		{"through a symlink", []rec{dir("usr"), soft("lib", "usr")}, []rec{file("b", "1")}, []rec{file("lib/f", "1"), file("b", "1")}, false},
		{"no entry for the directory", nil, []rec{file("a/b/f", "1")}, []rec{file("a/b/f", "2")}, false},
		{"new directory without an entry", nil, []rec{file("f", "1")}, []rec{file("f", "1"), file("a/b/f", "2")}, false},
		{"directory's entry is gone", nil, []rec{dir("a"), file("a/f", "1")}, []rec{file("a/f", "1")}, false},
		{"parent", nil, []rec{file("f", "1")}, []rec{file("f", "1"), file("../f", "2")}, false},
		{"dots and slashes", nil, []rec{dir("./a"), file("./a//f", "1")}, []rec{dir("a"), file("a/./f", "2")}, true},
		{"whiteout device", nil, []rec{file("f", "1")}, []rec{{name: "g", kind: tar.TypeChar}}, false},
		{"aufs", nil, []rec{file("f", "1")}, []rec{file(".wh..wh.plnk", "")}, false},
		{"contiguous", nil, []rec{file("f", "1")}, []rec{{name: "f", kind: tar.TypeCont}}, false},
		{"global header", nil, []rec{file("f", "1")}, []rec{{kind: tar.TypeXGlobalHeader, xattr: "x"}, file("f", "1")}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, hide := range []bool{false, true} {
				if made := check(t, [][]byte{pack(t, tt.base)}, pack(t, tt.published), pack(t, tt.built), hide); made != tt.made {
					t.Errorf("a small layer was made: %v, want %v", made, tt.made)
				}
			}
		})
	}
}

// TestReportedLayers checks layers that other tools got wrong, from reports about them.
func TestReportedLayers(t *testing.T) {
	private := dir("a")
	private.mode = 0o700
	root, closed := dir("."), dir(".")
	closed.mode = 0o711
	linked := []rec{file("a", "1"), hard("b", "a")}
	for _, tt := range []struct {
		name                   string
		base, published, built []rec
		made                   bool // otherwise it stays as the builder made it
	}{
		// apple/container#1797
		{"a hard link in a directory without an entry", nil, []rec{file("a", "1")}, []rec{file("a", "1"), hard("d/b", "a")}, false},
		// opencontainers/image-spec#1314, anchore/stereoscope#647
		{"a removal without a name", nil, []rec{dir("a"), file("a/f", "1")}, []rec{dir("a"), gone("a/.wh."), file("a/f", "2")}, false},
		// opencontainers/image-spec#1215, moby/moby#17819
		{"an opaque directory whose mark comes last", []rec{dir("a"), file("a/o", "1")}, []rec{dir("a"), file("a/f", "1"), gone("a/.wh..wh..opq")},
			[]rec{dir("a"), file("a/.f", "1"), file("a/f", "2"), gone("a/.wh..wh..opq")}, true},
		// google/go-containerregistry#977, appc/docker2aci#98
		{"one of a base's hard links is removed", linked, []rec{file("f", "1"), gone(".wh.a")}, []rec{file("f", "2"), gone(".wh.a")}, true},
		{"one of a base's hard links is no longer removed", linked, []rec{file("f", "1"), gone(".wh.a")}, []rec{file("f", "1")}, false},
		{"one of a base's hard links is replaced", linked, []rec{file("f", "1")}, []rec{file("f", "1"), file("a", "1")}, true},
		// GoogleContainerTools/kaniko#282
		{"a file becomes a symlink to its hard link", linked, []rec{file("f", "1")}, []rec{file("f", "1"), soft("a", "b")}, true},
		// moby/buildkit#2614
		{"a removed directory comes back", []rec{dir("a"), file("a/o", "1")}, []rec{file("f", "1"), gone(".wh.a")}, []rec{file("f", "1"), dir("a"), gone("a/.wh..wh..opq")}, true},
		// project-stacker/stacker#627
		{"a directory is removed and comes back in the same layer", []rec{dir("a"), file("a/o", "1")}, []rec{file("f", "1")},
			[]rec{file("f", "1"), gone(".wh.a"), file("a/n", "1")}, false},
		// containerd/containerd#6991
		{"a symlink in an opaque directory", []rec{dir("a"), soft("a/l", "x")}, []rec{dir("a"), gone("a/.wh..wh..opq"), soft("a/l", "x")},
			[]rec{dir("a"), gone("a/.wh..wh..opq"), soft("a/l", "y")}, true},
		{"a directory twice with different modes", nil, []rec{dir("a"), file("a/f", "1")}, []rec{dir("a"), file("a/f", "2"), private}, true},
		{"the root directory's mode", nil, []rec{root, file("f", "1")}, []rec{closed, file("f", "1")}, true},
		{"a directory's mode above a change", nil, []rec{dir("a"), dir("a/b"), file("a/b/f", "1")}, []rec{private, dir("a/b"), file("a/b/f", "2")}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, hide := range []bool{false, true} {
				if made := check(t, [][]byte{pack(t, tt.base)}, pack(t, tt.published), pack(t, tt.built), hide); made != tt.made {
					t.Errorf("a small layer was made: %v, want %v", made, tt.made)
				}
			}
		})
	}
}

// TestACompiledFileTakesItsSourceAlong checks that a compiled Python file and its source
// come from the same layer, because the former contains the latter's modification time.
func TestACompiledFileTakesItsSourceAlong(t *testing.T) {
	before := []rec{dir("a"), dir("a/__pycache__"), file("a/__pycache__/m.cpython-312.pyc", "time 1"), file("a/m.py", "x"), file("a/n.py", "x")}
	after := []rec{dir("a"), dir("a/__pycache__"), file("a/__pycache__/m.cpython-312.pyc", "time 2"), file("a/m.py", "x"), file("a/n.py", "x")}
	for i := range after {
		after[i].mtime = 2
	}
	small := smallLayer(t, nil, pack(t, before), pack(t, after))
	l, err := Read(t.Context(), bytes.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, e := range l.Entries {
		if e.Kind == File {
			files = append(files, e.Path)
		}
	}
	if !slices.Equal(files, []string{"/a/__pycache__/m.cpython-312.pyc", "/a/m.py"}) {
		t.Errorf("%q", files)
	}
}

// FuzzRead checks that Read accepts any bytes and returns a listing, an odd one
// or an error.
func FuzzRead(f *testing.F) {
	plain := pack(f, []rec{dir("a"), file("a/f", "1"), hard("b", "a/f"), gone(".wh.c")})
	f.Add(plain)
	for _, how := range Compressions() {
		var buf bytes.Buffer
		if err := Compress(f.Context(), &buf, bytes.NewReader(plain), how); err != nil {
			f.Fatal(err)
		}
		f.Add(buf.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := Read(t.Context(), bytes.NewReader(b))
		if err != nil || l.Odd != "" {
			return
		}
		tree := NewTree()
		if err := tree.Apply(l, "x"); err != nil && !errors.Is(err, ErrUncertain) {
			t.Fatal(err)
		}
		if d := tree.Clone().Difference(tree); d != "" {
			t.Fatalf("a tree differs from its copy at %q", d)
		}
	})
}

func TestCompress(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, how := range Compressions() {
		for _, n := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 3*chunkSize + 17} {
			plain := make([]byte, n)
			for i := range plain {
				plain[i] = byte(r.IntN(4))
			}
			var once, again, back bytes.Buffer
			for _, to := range []*bytes.Buffer{&once, &again} {
				if err := Compress(t.Context(), to, bytes.NewReader(plain), how); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(once.Bytes(), again.Bytes()) {
				t.Errorf("%s of %d bytes is not the same twice", how, n)
			}
			z, err := Decompress(&once)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := back.ReadFrom(z); err != nil || !bytes.Equal(back.Bytes(), plain) {
				t.Errorf("%s of %d bytes comes back as %d: %v", how, n, back.Len(), err)
			}
		}
	}
}

func TestCompressEndsWithItsWriter(t *testing.T) {
	err := Compress(t.Context(), failing{}, io.LimitReader(zeros{}, 20*chunkSize), Zstd)
	if !errors.Is(err, io.ErrShortWrite) {
		t.Error(err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestACutOffLayerIsAnError(t *testing.T) {
	plain := pack(t, []rec{file("a", string(make([]byte, 5000)))})
	for _, how := range Compressions() {
		var buf bytes.Buffer
		if err := Compress(t.Context(), &buf, bytes.NewReader(plain), how); err != nil {
			t.Fatal(err)
		}
		if l, err := Read(t.Context(), bytes.NewReader(buf.Bytes()[:buf.Len()-5])); err == nil {
			t.Errorf("%s: %+v", how, l)
		}
	}
	if l, err := Read(t.Context(), bytes.NewReader(plain[:3000])); err == nil {
		t.Errorf("%+v", l)
	}
}

func TestRemember(t *testing.T) {
	l, err := Read(t.Context(), bytes.NewReader(pack(t, []rec{dir("a"), file("a/\xff", "1")})))
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	if err := Remember(home, l.DiffID, l); err != nil {
		t.Fatal(err)
	}
	got := Remembered(home, l.DiffID)
	if got == nil || len(got.Entries) != 2 || got.Entries[1].Path != "/a/\xff" || got.DiffID != l.DiffID {
		t.Errorf("%+v", got)
	}
}

// TestADamagedListingIsForgotten checks that a stored listing is not used if it
// was damaged on disk.
func TestADamagedListingIsForgotten(t *testing.T) {
	l, err := Read(t.Context(), bytes.NewReader(pack(t, []rec{dir("a"), file("a/f", "1")})))
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	if err := Remember(home, l.DiffID, l); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(listingPath(home, l.DiffID))
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 0x10
		if err := os.WriteFile(listingPath(home, l.DiffID), damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := Remembered(home, l.DiffID); got != nil {
			t.Fatalf("byte %d: %+v", i, got)
		}
	}
}

// smallLayer returns the small layer, or nil if there is none: the layers are equal, or the
// built one has to stay as it is.
func scratch(t testing.TB) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func smallLayer(t testing.TB, base [][]byte, published, built []byte) []byte {
	t.Helper()
	tree := NewTree()
	apply := func(to *Tree, b []byte, name string) bool {
		l, err := Read(t.Context(), bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		return to.Apply(l, name) == nil
	}
	for _, b := range base {
		if !apply(tree, b, "base") {
			return nil
		}
	}
	want, have := tree.Clone(), tree.Clone()
	if !apply(want, built, "built") || !apply(have, published, "published") {
		return nil
	}
	d, err := Compare(have, want, "built")
	if err != nil || d.Empty() {
		return nil
	}
	var small bytes.Buffer
	if err := WriteDelta(t.Context(), &small, d, io.Reader(bytes.NewReader(built)), nil); err != nil {
		t.Fatal(err)
	}
	if !apply(have, small.Bytes(), "small") || have.Difference(want) != "" {
		return nil
	}
	return small.Bytes()
}
