package reuse

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/joelhooks/gh-sbw/internal/layer"
	"github.com/joelhooks/gh-sbw/internal/layout"
)

// packedLayer is a layer that the builder has compressed.
type packedLayer struct {
	v1.Layer
	diffID v1.Hash
}

func (l packedLayer) DiffID() (v1.Hash, error) { return l.diffID, nil }

// packedImage creates an image whose layers the builder has compressed. again makes compressed bytes that differ from
// those of another builder for the same content.
func (b *bench) packedImage(how layer.Compression, again bool, layers ...[]byte) v1.Image {
	b.Helper()
	img := b.image("arm64")
	for i, l := range layers {
		var buf bytes.Buffer
		if again { // an empty frame or member changes nothing
			if err := layer.Compress(b.Context(), &buf, bytes.NewReader(nil), how); err != nil {
				b.Fatal(err)
			}
		}
		if err := layer.Compress(b.Context(), &buf, bytes.NewReader(l), how); err != nil {
			b.Fatal(err)
		}
		id, _, err := v1.SHA256(bytes.NewReader(l))
		if err != nil {
			b.Fatal(err)
		}
		img, err = mutate.Append(img, mutate.Addendum{
			Layer:     packedLayer{static.NewLayer(buf.Bytes(), how.MediaType()), id},
			MediaType: how.MediaType(), History: v1.History{CreatedBy: fmt.Sprint("COPY ", i)},
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return img
}

// TestLayersThatTheBuilderHasCompressed checks that they are reused just like uncompressed ones: with the same content,
// even if they were compressed in another way, and with nearly the same content.
func TestLayersThatTheBuilderHasCompressed(t *testing.T) {
	mods := modules()
	for _, how := range layer.Compressions() {
		t.Run(string(how), func(t *testing.T) {
			b := newBench(t)
			b.Compression = how
			same := files{"etc/passwd": strings.Repeat("root", 100)}.tar(t)
			_, first := b.publish(b.add(b.packedImage(how, false, same, mods.tar(t))))
			published := b.images(first)[0].Manifest.Layers
			changed := mods.with("app/node_modules/p7/index.js", strings.Repeat("new", 2000)).with("app/node_modules/p3/index.js", "")
			res, final := b.publish(b.add(b.packedImage(how, true, same, changed.tar(t))))
			if len(res.Findings) != 0 || len(res.Reused) != 1 {
				t.Fatalf("%+v", res)
			}
			got := b.images(final)[0].Manifest.Layers
			if len(got) != 3 || got[0].Digest != published[0].Digest || got[1].Digest != published[1].Digest {
				t.Errorf("%+v, published %+v", got, published)
			}
		})
	}
}

// TestZstdIsNotReusedForGzip checks that a published layer in zstd does not get into an image for nodes that cannot
// read it.
func TestZstdIsNotReusedForGzip(t *testing.T) {
	mods := modules()
	for _, name := range []string{"the same content", "one file differs", "the same content, compressed by the builder"} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			plain := mods.tar(t)
			b.publish(b.add(b.image("arm64", plain)))
			b.Compression = layer.Gzip
			img := b.image("arm64", plain)
			switch name {
			case "one file differs":
				img = b.image("arm64", mods.with("app/new", "1").tar(t))
			case "the same content, compressed by the builder":
				img = b.packedImage(layer.Gzip, false, plain)
			}
			_, final := b.publish(b.add(img))
			for _, d := range b.images(final)[0].Manifest.Layers {
				if d.MediaType != types.OCILayer {
					t.Errorf("%s is %s", d.Digest, d.MediaType)
				}
				if layout.Plain(d) {
					t.Errorf("%s is uncompressed", d.Digest)
				}
			}
		})
	}
}
