package layout

import (
	"io"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/joelhooks/gh-sbw/internal/statefile"
)

// Import makes the image or index of that digest in the layout at from part of the layout at dir, attestations
// included. Blobs become hard links where the file system allows it, copies elsewhere.
func Import(dir, from, digest string) error {
	h, err := parseDigest(digest)
	if err != nil {
		return broken(from, "a digest that cannot be used", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755); err != nil {
		return err
	}
	var all []v1.Hash
	var root v1.Descriptor
	err = walk(from, h, 0, func(n node) error {
		if n.digest == h {
			root = v1.Descriptor{Digest: h, Size: n.size, MediaType: n.mediaType()}
		}
		all = append(all, n.digest)
		if n.index != nil {
			for _, d := range n.index.Manifests {
				all = append(all, attested(from, d)...)
			}
			return nil
		}
		for _, d := range append([]v1.Descriptor{n.manifest.Config}, n.manifest.Layers...) {
			if len(d.URLs) == 0 {
				all = append(all, d.Digest)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, b := range all {
		if err := importBlob(dir, from, b); err != nil {
			return err
		}
	}
	return enlist(dir, root)
}

func importBlob(dir, from string, h v1.Hash) error {
	to, src := BlobPath(dir, h), BlobPath(from, h)
	fi, err := os.Stat(src)
	if err != nil {
		return broken(from, "blob "+h.String()+" cannot be read", err)
	}
	if old, err := os.Stat(to); err == nil && old.Size() == fi.Size() {
		return nil
	}
	if whole, err := filepath.EvalSymlinks(src); err == nil {
		src = whole // a link to a symlink would end with the layout that it points into
	}
	if os.Link(src, to) == nil {
		return nil
	}
	in, err := os.Open(src)
	if err != nil {
		return broken(from, "blob "+h.String()+" cannot be read", err)
	}
	defer in.Close()
	return statefile.Place(filepath.Dir(to), 0o644, func(f *os.File) (string, error) {
		_, err := io.Copy(f, in)
		return to, err
	})
}
