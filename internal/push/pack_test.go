package push

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/joelhooks/gh-sbw/internal/layer"
	"github.com/joelhooks/gh-sbw/internal/layout"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/reuse"
)

// plainLayers returns layers as a builder leaves them that does not compress.
func plainLayers(sizes ...int) []v1.Layer {
	var all []v1.Layer
	for i, n := range sizes {
		all = append(all, static.NewLayer(bytes.Repeat([]byte{byte('a' + i), 'b'}, n/2), types.OCIUncompressedLayer))
	}
	return all
}

func packer(t *testing.T, dir string) func(context.Context, v1.Descriptor) (v1.Descriptor, error) {
	return reuse.Packer{Dir: dir, Facts: filepath.Join(t.TempDir(), "facts"), How: layer.Zstd}.Pack
}

func TestLayersAreCompressedOnTheWay(t *testing.T) {
	mixed := append(layers(1, 70_000), plainLayers(300_000, 2_000_000)...)
	for name, write := range map[string]func(dir string) string{
		"image": func(dir string) string { return makeImage(t, dir, mixed...) },
		"index": func(dir string) string {
			return makeIndex(t, dir, map[string]v1.Image{"linux/arm64": buildImage(t, "linux/arm64", mixed...), "linux/amd64": buildImage(t, "linux/amd64", plainLayers(300_000)...)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, dir := newHarness(t), tempLayout(t)
			digest := write(dir)
			job := Job{Layout: dir, Digest: digest, Tags: []string{"v1", Latest}, Pack: packer(t, dir)}
			plan, err := New(h.options()).Plan(t.Context(), job, nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := New(h.options()).Push(t.Context(), job, nil)
			if err != nil {
				t.Fatal(err)
			}
			if res.Digest == digest || res.Digest != plan.Digest || h.digestOf(t, "v1") != res.Digest || h.digestOf(t, Latest) != res.Digest {
				t.Errorf("pushed %s, planned %s, v1 is %s", res.Digest, plan.Digest, h.digestOf(t, "v1"))
			}
			if res.Sent > 90_000 {
				t.Errorf("%d bytes were sent", res.Sent)
			}
			h.walk(t, "v1")
			imgs, err := layout.Images(dir, res.Digest)
			if err != nil {
				t.Fatal(err)
			}
			for _, img := range imgs {
				d, err := remote.Image(h.repo.Digest(img.Digest.String()), h.remote()...)
				if err != nil {
					t.Fatal(err)
				}
				ls, err := d.Layers()
				if err != nil {
					t.Fatal(err)
				}
				for i, l := range ls {
					if m, err := l.MediaType(); err != nil || m == types.OCIUncompressedLayer {
						t.Errorf("layer %d is sent as %s, %v", i, m, err)
					}
				}
			}
			// A second push finds that everything exists.
			again, err := New(h.options()).Push(t.Context(), job, nil)
			if err != nil || again.Sent != 0 || again.Digest != res.Digest {
				t.Errorf("%+v, %v", again, err)
			}
		})
	}
}

func TestALayerThatCannotBeCompressed(t *testing.T) {
	h, dir := newHarness(t), tempLayout(t)
	rep := pipeline.NewReporter("push", &collector{})
	job := Job{Layout: dir, Digest: makeImage(t, dir, plainLayers(1000, 2000)...), Tags: []string{"v1"}}
	full := errors.New("no space left on device")
	job.Pack = func(context.Context, v1.Descriptor) (v1.Descriptor, error) { return v1.Descriptor{}, full }
	_, err := New(h.options()).Push(t.Context(), job, rep)
	if f, ok := errors.AsType[*pipeline.Finding](err); !ok || f.Code != codeCompress || !errors.Is(err, full) || rep.HasChanged() {
		t.Errorf("%v, changed %v", err, rep.HasChanged())
	}
	ctx, cancel := context.WithCancel(t.Context())
	job.Pack = func(context.Context, v1.Descriptor) (v1.Descriptor, error) {
		cancel()
		return v1.Descriptor{}, ctx.Err()
	}
	if _, err := New(h.options()).Push(ctx, job, rep); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
