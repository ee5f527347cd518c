package reuse

import (
	"archive/tar"
	"bytes"
	"os"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/joelhooks/gh-sbw/internal/layer"
	"github.com/joelhooks/gh-sbw/internal/layout"
)

const tocDigest = "containerd.io/snapshot/stargz/toc.digest"

// below returns an image whose lowest layer is an unusual one.
func (b *bench) below(d v1.Descriptor, unusual []byte, layers ...[]byte) v1.Image {
	b.Helper()
	img, err := mutate.Append(b.image("arm64"), mutate.Addendum{Layer: static.NewLayer(unusual, d.MediaType), MediaType: d.MediaType, URLs: d.URLs,
		Annotations: d.Annotations, History: v1.History{CreatedBy: "FROM"}})
	if err != nil {
		b.Fatal(err)
	}
	for _, l := range layers {
		img, err = mutate.Append(img, mutate.Addendum{Layer: static.NewLayer(l, types.OCIUncompressedLayer), History: v1.History{CreatedBy: "COPY"}})
		if err != nil {
			b.Fatal(err)
		}
	}
	return img
}

// TestUnusualLayers checks a change above layers that are not what an ordinary build makes.
func TestUnusualLayers(t *testing.T) {
	nothing := make([]byte, 1024) // moby makes such layers for steps that change nothing
	for _, tt := range []struct {
		name   string
		lowest v1.Descriptor
		blob   []byte
		reused bool // otherwise the image is sent as it was built
	}{
		{"an empty layer", v1.Descriptor{MediaType: types.OCIUncompressedLayer}, nothing, true},
		{"a layer of no bytes", v1.Descriptor{MediaType: types.OCIUncompressedLayer}, nil, true},
		{"a foreign layer", v1.Descriptor{MediaType: types.OCIRestrictedLayer, URLs: []string{"https://example.com/layer"}}, []byte("absent"), false},
		{"an encrypted layer", v1.Descriptor{MediaType: "application/vnd.oci.image.layer.v1.tar+gzip+encrypted"}, []byte("secret"), false},
		{"not a tar", v1.Descriptor{MediaType: "application/wasm"}, []byte(strings.Repeat("\x00asm", 300)), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			mods := modules()
			image := func(m files) string {
				digest := b.add(b.below(tt.lowest, tt.blob, m.tar(t)))
				if len(tt.lowest.URLs) > 0 {
					if err := os.Remove(layout.BlobPath(b.Dir, b.images(digest)[0].Manifest.Layers[0].Digest)); err != nil {
						t.Fatal(err)
					}
				}
				return digest
			}
			first := image(mods)
			if err := Remember(t.Context(), first, b.Options, nil); err != nil {
				t.Fatal(err)
			}
			b.Published = []string{first}
			second := image(mods.with("app/new", "1"))
			res, err := Rewrite(t.Context(), second, b.Options, nil)
			if err != nil || len(res.Findings) != 0 || (len(res.Reused) > 0) != tt.reused || (res.Digest != second) != tt.reused {
				t.Errorf("%+v, %v", res, err)
			}
		})
	}
}

// TestSeekableLayers checks layers in the form of eStargz (stargz-snapshotter docs/estargz.md), which have a table of
// their own contents as their last entry and its digest as an annotation. A small layer has no such table.
func TestSeekableLayers(t *testing.T) {
	b := newBench(t)
	b.Compression = layer.Gzip
	seekable := func(m files, table string) string {
		var all, packed bytes.Buffer
		all.Write(m.tar(t))
		all.Truncate(all.Len() - 1024)
		tw := tar.NewWriter(&all)
		err := tw.WriteHeader(&tar.Header{Name: "stargz.index.json", Typeflag: tar.TypeReg, Size: int64(len(table))})
		if err == nil {
			_, err = tw.Write([]byte(table))
		}
		if err == nil {
			err = tw.Close()
		}
		if err == nil {
			err = layer.Compress(t.Context(), &packed, bytes.NewReader(all.Bytes()), layer.Gzip)
		}
		id, _, herr := v1.SHA256(&all)
		if err != nil || herr != nil {
			t.Fatal(err, herr)
		}
		img, err := mutate.Append(b.image("arm64"), mutate.Addendum{Layer: packedLayer{static.NewLayer(packed.Bytes(), types.OCILayer), id},
			MediaType: types.OCILayer, Annotations: map[string]string{tocDigest: table}, History: v1.History{CreatedBy: "COPY"}})
		if err != nil {
			t.Fatal(err)
		}
		return b.add(img)
	}
	_, first := b.publish(seekable(modules(), "sha256:1"))
	res, final := b.publish(seekable(modules().with("app/new", "1"), "sha256:2"))
	got := b.images(final)[0].Manifest.Layers
	if len(res.Findings) != 0 || len(res.Reused) != 1 || len(got) != 2 || got[0].Digest != b.images(first)[0].Manifest.Layers[0].Digest {
		t.Fatalf("%+v, %+v", res, got)
	}
	if got[0].Annotations[tocDigest] != "sha256:1" || got[1].Annotations[tocDigest] != "" {
		t.Errorf("%+v", got)
	}
}
