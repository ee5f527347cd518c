package bench

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// sizes of the image's eight layers: 28.2 MB with the config, in the shape of a
// worker's image: a base, a runtime, packages, sources.
var sizes = []int{11_000_000, 8_000_000, 5_000_000, 2_600_000, 1_000_000, 400_000, 150_000, 50_000}

func makeImage(b *testing.B, dir string, seeds []uint64) string {
	b.Helper()
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for i, n := range sizes {
		var err error
		if img, err = mutate.AppendLayers(img, makeLayer(b, i, n, seeds[i])); err != nil {
			b.Fatal(err)
		}
	}
	return addImage(b, dir, img)
}

// makeLayer is a tar of the program that the image starts and of one file that
// does not compress.
func makeLayer(b *testing.B, i, size int, seed uint64) v1.Layer {
	b.Helper()
	content := make([]byte, size)
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	key[31] = byte(i)
	_, _ = rand.NewChaCha8(key).Read(content)
	var buf bytes.Buffer
	zw, err := gzip.NewWriterLevel(&buf, gzip.BestSpeed)
	if err != nil {
		b.Fatal(err)
	}
	tw := tar.NewWriter(zw)
	for _, f := range []struct {
		name string
		text []byte
	}{{"app/server", program()}, {fmt.Sprintf("data/%d", i), content}} {
		err = errors.Join(err, tw.WriteHeader(&tar.Header{Name: f.name, Mode: 0o755, Size: int64(len(f.text)), Typeflag: tar.TypeReg}))
		_, werr := tw.Write(f.text)
		err = errors.Join(err, werr)
	}
	if err := errors.Join(err, tw.Close(), zw.Close()); err != nil {
		b.Fatal(err)
	}
	// Not a static.Layer, whose diff_id is that of the compressed bytes: a publish
	// refuses an image whose config does not match its layers.
	l, err := tarball.LayerFromOpener(
		func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil },
		tarball.WithMediaType(types.OCILayer),
	)
	if err != nil {
		b.Fatal(err)
	}
	return l
}

// program is the header of a static arm64 executable, which is all that a
// publish looks at.
func program() []byte {
	h := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_AARCH64), Version: uint32(elf.EV_CURRENT), Ehsize: 64, Phentsize: 56, Shentsize: 64,
	}
	copy(h.Ident[:], []byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)})
	var buf bytes.Buffer
	_ = binary.Write(&buf, binary.LittleEndian, h) // writing to a Buffer cannot fail
	return append(buf.Bytes(), make([]byte, 64)...)
}

func addImage(b *testing.B, dir string, img v1.Image) string {
	b.Helper()
	cfg, err := img.ConfigFile()
	if err != nil {
		b.Fatal(err)
	}
	cfg = cfg.DeepCopy()
	cfg.OS, cfg.Architecture = "linux", "arm64"
	cfg.Config.Cmd = []string{"/app/server"}
	if img, err = mutate.ConfigFile(img, cfg); err != nil {
		b.Fatal(err)
	}
	p, err := layout.FromPath(dir)
	if err != nil {
		if p, err = layout.Write(dir, empty.Index); err != nil {
			b.Fatal(err)
		}
	}
	if err := p.AppendImage(img); err != nil {
		b.Fatal(err)
	}
	h, err := img.Digest()
	if err != nil {
		b.Fatal(err)
	}
	return h.String()
}

func randomSeeds() []uint64 {
	s := make([]uint64, len(sizes))
	for i := range s {
		s[i] = rand.Uint64()
	}
	return s
}
