package reuse

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/joelhooks/gh-sbw/internal/layer"
	"github.com/joelhooks/gh-sbw/internal/layout"
	"github.com/joelhooks/gh-sbw/internal/statefile"
)

// Packer produces the form in which layers are sent.
type Packer struct {
	// Dir is the layout, Facts the directory that stores facts about its layers.
	Dir, Facts string
	How        layer.Compression
}

// how returns the compression of a layer and its media type. Docker's own media types only
// support gzip.
func (p Packer) how(d v1.Descriptor) (layer.Compression, types.MediaType) {
	if strings.HasPrefix(string(d.MediaType), "application/vnd.docker.") {
		return layer.Gzip, types.DockerLayer
	}
	return p.How, p.How.MediaType()
}

// Pack compresses an uncompressed layer and returns the descriptor of the result, which is a blob in the same layout.
// If the layer was compressed before, that result is used.
func (p Packer) Pack(ctx context.Context, d v1.Descriptor) (v1.Descriptor, error) {
	how, media := p.how(d)
	memo := filepath.Join(p.Facts, d.Digest.Hex+"."+string(how))
	var packed v1.Descriptor
	if text, err := os.ReadFile(memo); err == nil && json.Unmarshal(text, &packed) == nil && packed.Digest.Algorithm == "sha256" {
		if fi, err := os.Stat(layout.BlobPath(p.Dir, packed.Digest)); err == nil && fi.Size() == packed.Size {
			packed.MediaType, packed.Annotations = media, d.Annotations
			return packed, nil
		}
	}
	f, err := os.Open(layout.BlobPath(p.Dir, d.Digest))
	if err != nil {
		return packed, err
	}
	defer f.Close()
	plain := sha256.New()
	packed, err = p.store(func(w io.Writer) error { return layer.Compress(ctx, w, io.TeeReader(f, plain), how) })
	if err != nil {
		return packed, err
	}
	if got := hex.EncodeToString(plain.Sum(nil)); got != d.Digest.Hex {
		return packed, fmt.Errorf("layer %s does not match its digest", d.Digest)
	}
	text, err := json.Marshal(v1.Descriptor{Digest: packed.Digest, Size: packed.Size, MediaType: media})
	if err == nil {
		err = os.MkdirAll(p.Facts, 0o755)
	}
	if err == nil {
		err = statefile.Write(memo, text, 0o600)
	}
	if err == nil {
		err = p.alias(d.Digest, packed.Digest)
	}
	packed.MediaType, packed.Annotations = media, d.Annotations
	return packed, err
}

// store writes a blob whose digest is not known in advance.
func (p Packer) store(write func(io.Writer) error) (d v1.Descriptor, err error) {
	blobs := filepath.Join(p.Dir, "blobs", "sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		return d, err
	}
	err = statefile.Place(blobs, 0o644, func(f *os.File) (string, error) {
		sum, out := sha256.New(), bufio.NewWriterSize(f, 256<<10)
		err := write(io.MultiWriter(out, sum))
		if err = errors.Join(err, out.Flush()); err != nil {
			return "", err
		}
		info, err := f.Stat()
		if err != nil {
			return "", err
		}
		d.Size, d.Digest = info.Size(), v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}
		return layout.BlobPath(p.Dir, d.Digest), nil
	})
	return d, err
}

// alias copies the facts about one blob to another one that is a different form of the same
// layer.
func (p Packer) alias(from, to v1.Hash) error {
	facts, err := filepath.Glob(filepath.Join(p.Facts, from.Hex+".*"))
	if err != nil {
		return err
	}
	for _, f := range facts {
		ext := filepath.Ext(f)
		if ext == "."+string(layer.Gzip) || ext == "."+string(layer.Zstd) {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if err := statefile.Write(filepath.Join(p.Facts, to.Hex+ext), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// small writes the small layer for a difference. It returns nil if the layer has to stay as it
// was built.
func (w *rewrite) small(ctx context.Context, i int, delta *layer.Delta) (*layout.Layer, error) {
	d := w.image.Manifest.Layers[i]
	p := Packer{Dir: w.Dir, Facts: w.Facts, How: w.Compression}
	f, err := os.Open(layout.BlobPath(w.Dir, d.Digest))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var from io.Reader = f
	if !layout.Plain(d) {
		z, err := layer.Decompress(f)
		if err != nil {
			return nil, nil //nolint:nilerr // it could be listed, so the push will report what is wrong
		}
		defer z.Close()
		from = struct{ io.Reader }{z}
	}
	if err := os.MkdirAll(w.Facts, 0o755); err != nil {
		return nil, err
	}
	var temp [2]*os.File
	for i := range temp {
		t, err := os.CreateTemp(w.Facts, statefile.Leftovers)
		if err != nil {
			return nil, err
		}
		defer func() { _, _ = t.Close(), os.Remove(t.Name()) }() // layout.Collect removes what is left
		temp[i] = t
	}
	plain, contents := temp[0], temp[1]
	sum, out := sha256.New(), bufio.NewWriterSize(plain, 64<<10)
	if err := layer.WriteDelta(ctx, io.MultiWriter(out, sum), delta, from, contents); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		w.r.Detailf("layer %d is sent as it was built: %v", i+1, err)
		return nil, nil
	}
	if err := out.Flush(); err != nil {
		return nil, err
	}
	if _, err := plain.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	how, media := p.how(d)
	packed, err := p.store(func(to io.Writer) error { return layer.Compress(ctx, to, plain, how) })
	packed.MediaType = media
	return &layout.Layer{Descriptor: packed, DiffID: v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}}, err
}
