//go:build linux

package layer

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sys/unix"

	"github.com/joelhooks/gh-sbw/internal/sandbox/containerd"
)

// unpacker is a containerd that only this test uses.
type unpacker struct {
	testing.TB
	*containerd.Daemon
	images int
}

func newUnpacker(t testing.TB) *unpacker {
	t.Helper()
	return &unpacker{TB: t, Daemon: containerd.Start(t)}
}

func (u *unpacker) run(args ...string) {
	u.Helper()
	if out, err := u.try(args...); err != nil {
		u.Fatalf("ctr %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func (u *unpacker) try(args ...string) ([]byte, error) {
	return u.Ctr(args...).CombinedOutput()
}

// archive writes a layout in a tar with one image that has these uncompressed
// layers.
func (u *unpacker) archive(name string, layers [][]byte) string {
	u.Helper()
	file := filepath.Join(u.Dir, "image.tar")
	f, err := os.Create(file)
	if err != nil {
		u.Fatal(err)
	}
	tw := tar.NewWriter(f)
	put := func(name string, body []byte) {
		err := tw.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(body))})
		if _, werr := tw.Write(body); err != nil || werr != nil {
			u.Fatal(err, werr)
		}
	}
	seen := map[v1.Hash]bool{}
	blob := func(media types.MediaType, body []byte) v1.Descriptor {
		h := v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%x", sha256.Sum256(body))}
		if !seen[h] {
			seen[h] = true
			put("blobs/sha256/"+h.Hex, body)
		}
		return v1.Descriptor{MediaType: media, Digest: h, Size: int64(len(body))}
	}
	encode := func(v any) []byte {
		text, err := json.Marshal(v)
		if err != nil {
			u.Fatal(err)
		}
		return text
	}
	config := v1.ConfigFile{OS: "linux", Architecture: "arm64", RootFS: v1.RootFS{Type: "layers"}}
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1}
	for _, l := range layers {
		d := blob(types.OCIUncompressedLayer, l)
		m.Layers = append(m.Layers, d)
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, d.Digest)
	}
	m.Config = blob(types.OCIConfigJSON, encode(config))
	d := blob(types.OCIManifestSchema1, encode(m))
	d.Annotations = map[string]string{"io.containerd.image.name": name}
	put("index.json", encode(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{d}}))
	put("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	if err := errors.Join(tw.Close(), f.Close()); err != nil {
		u.Fatal(err)
	}
	return file
}

// tree returns the file system that containerd makes of layers: it unpacks them itself and mounts the result with the
// kernel's overlayfs. It fails for a stack that containerd does not unpack, such as one with a file in a directory
// that a layer below removes and no layer adds.
func (u *unpacker) tree(layers [][]byte) (string, error) {
	u.Helper()
	u.images++
	name := fmt.Sprintf("test.local/i%d:v1", u.images)
	if out, err := u.try("images", "import", "--platform", "linux/arm64", "--snapshotter", "overlayfs", u.archive(name, layers)); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	at := filepath.Join(u.Dir, fmt.Sprint("m", u.images))
	if err := os.Mkdir(at, 0o700); err != nil {
		u.Fatal(err)
	}
	u.run("images", "mount", "--platform", "linux/arm64", "--snapshotter", "overlayfs", name, at)
	defer u.run("images", "unmount", "--rm", "--snapshotter", "overlayfs", at)
	return listTree(u, at), nil
}

func listTree(t testing.TB, root string) string {
	t.Helper()
	var lines []string
	first := map[uint64]string{}
	err := filepath.WalkDir(root, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(p, &st); errors.Is(err, unix.ENOENT) {
			return nil // overlayfs lists a removed name in a directory that it does not merge, although nothing with that name exists
		} else if err != nil {
			return err
		}
		rel := strings.TrimPrefix(p, root)
		if rel == "" {
			return nil // a mount's own mode
		}
		line := fmt.Sprintf("%q %o %d:%d", rel, st.Mode, st.Uid, st.Gid)
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			body, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %x", sha256.Sum256(body))
		case unix.S_IFLNK:
			to, err := os.Readlink(p)
			if err != nil {
				return err
			}
			line += " " + to
		case unix.S_IFCHR, unix.S_IFBLK:
			line += fmt.Sprint(" ", st.Rdev)
		}
		buf := make([]byte, 64)
		if n, err := unix.Lgetxattr(p, "user.x", buf); err == nil {
			line += fmt.Sprintf(" x=%s", buf[:n])
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR && st.Nlink > 1 {
			if first[st.Ino] == "" {
				first[st.Ino] = rel
			}
			line += " =" + first[st.Ino]
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestContainerdUnpacksBothAlike checks the rewritten layers with a real runtime: containerd must make the same file
// system of the layers as built and of the published ones with the small layer on top.
func TestContainerdUnpacksBothAlike(t *testing.T) {
	u := newUnpacker(t)
	const pairs = 30
	compared := 0
	for seed := uint64(0); compared < pairs && seed < 2000; seed++ {
		g := generator{rand.New(rand.NewPCG(seed, 77))}
		var base [][]byte
		for range 1 + g.IntN(2) {
			base = append(base, pack(t, g.usual(g.tidy(g.layer()))))
		}
		before := g.usual(g.tidy(append(g.layer(), g.layer()...)))
		after := g.usual(g.tidy(g.change(before)))
		published, built := pack(t, before), pack(t, after)
		small := smallLayer(t, base, published, built)
		if small == nil {
			continue
		}
		want, err := u.tree(append(slices.Clone(base), built))
		if err != nil {
			continue
		}
		if _, err := u.tree(append(slices.Clone(base), published)); err != nil {
			continue
		}
		compared++
		got, err := u.tree(append(slices.Clone(base), published, small))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if got != want {
			t.Fatalf("seed %d: containerd unpacks the rewritten layers (-) and those that were built (+) differently:\n%s", seed,
				cmp.Diff(strings.Split(got, "\n"), strings.Split(want, "\n")))
		}
	}
	t.Logf("containerd unpacked %d pairs alike", compared)
	if compared < pairs {
		t.Errorf("only %d pairs could be compared", compared)
	}
}

// usual removes attributes that a kernel allows only on files and directories.
func (g generator) usual(all []rec) []rec {
	for i := range all {
		if k := all[i].kind; k != tar.TypeReg && k != tar.TypeDir {
			all[i].xattr = ""
		}
	}
	return all
}
