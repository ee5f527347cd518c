// Package images builds the sandbox's own images without a Dockerfile, from
// static Go programs, Debian's packages and npm's. A real cluster would pull
// them from registries that a closed network cannot reach.
package images

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Arch is the architecture of every image here, which is that of the node.
const Arch = "arm64"

// epoch is the only timestamp in all of them, so that the same input results
// in the same digest.
var epoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// File is one entry in a layer.
type File struct {
	Path string // has no leading slash, and ends in "/" for a directory
	Mode int64
	Link string // target of a symbolic link; Data is not used then
	Data []byte
}

// Layer packs files in the given order as one gzipped layer.
func Layer(files []File) (v1.Layer, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if err := pack(z, files); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil },
		tarball.WithMediaType(types.OCILayer))
}

// PlainLayer packs files as an uncompressed layer. It is for layers that every
// run builds again and that do not leave this machine: compressing them would
// take longer than everything else, especially under the race detector.
func PlainLayer(files []File) (v1.Layer, error) {
	var b bytes.Buffer
	if err := pack(&b, files); err != nil {
		return nil, err
	}
	return static.NewLayer(b.Bytes(), types.OCIUncompressedLayer), nil
}

func pack(to io.Writer, files []File) error {
	w := tar.NewWriter(to)
	for _, f := range files {
		h := &tar.Header{Name: f.Path, Mode: f.Mode, Size: int64(len(f.Data)), ModTime: epoch, Typeflag: tar.TypeReg}
		switch {
		case f.Link != "":
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, f.Link, 0
		case f.Path[len(f.Path)-1] == '/':
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		if _, err := w.Write(f.Data); err != nil {
			return err
		}
	}
	return w.Close()
}

// New returns an OCI image for linux/arm64 with one layer.
func New(files []File, config v1.Config) (v1.Image, error) {
	layer, err := Layer(files)
	if err != nil {
		return nil, err
	}
	return Of(config, layer)
}

// Of returns an OCI image for linux/arm64 with these layers.
func Of(config v1.Config, layers ...v1.Layer) (v1.Image, error) {
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, layer := range layers {
		kind, err := layer.MediaType()
		if err != nil {
			return nil, err
		}
		img, err = mutate.Append(img, mutate.Addendum{Layer: layer, MediaType: kind,
			History: v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "sbw sandbox"}})
		if err != nil {
			return nil, err
		}
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Created, file.Config = "linux", Arch, v1.Time{Time: epoch}, config
	return mutate.ConfigFile(img, file)
}

// Program returns an image with one static program as its entrypoint.
func Program(binary string, config v1.Config) (v1.Image, error) {
	b, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	const path = "program"
	config.Entrypoint = append([]string{"/" + path}, config.Entrypoint...)
	return New([]File{{Path: path, Mode: 0o755, Data: b}}, config)
}

// WriteTar writes an image with a name as an archive for `ctr image import`.
func WriteTar(path, ref string, img v1.Image) error {
	tag, err := name.NewTag(ref, name.WithDefaultRegistry(""))
	if err != nil {
		return err
	}
	tmp := path + ".tmp"
	if err := tarball.WriteToFile(tmp, tag, img); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(tmp, path)
}
