package layout

import (
	"io"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/joelhooks/gh-sbw/internal/statefile"
)

// Import copies the image or index with the given digest from the layout at from
// into the layout at dir, including attestations. Blobs become hard links if the
// file system allows it, and copies otherwise.
func Import(dir, from, digest string) error {
	h, err := parseDigest(digest)
	if err != nil {
		return broken(from, "the digest is not valid", err)
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
		src = whole // a link to a symlink would break once the layout that it points into is gone
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
