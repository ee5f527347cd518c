package layout

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/joelhooks/gh-sbw/internal/imageref"
)

// Image is one image of a layout, for one platform.
type Image struct {
	Digest   v1.Hash
	Manifest v1.Manifest
	Config   v1.ConfigFile
	// Size is the size in bytes of the manifest, the config and all layers, as
	// they are stored and pushed.
	Size int64
}

// Platform returns the image's os/arch[/variant] according to its config.
func (i Image) Platform() string {
	return imageref.PlatformOf(i.Config.OS, i.Config.Architecture, i.Config.Variant).String()
}

// Images returns the images behind digest: one for a manifest, all of them for an
// index, including nested indexes. Attestations are skipped. An error is a
// Finding with the code "layout-broken".
func Images(dir, digest string) ([]Image, error) {
	h, err := parseDigest(digest)
	if err != nil {
		return nil, broken(dir, "the image's digest is not valid", err)
	}
	var all []Image
	err = walk(dir, h, 0, func(n node) error {
		if n.manifest == nil {
			return nil
		}
		img := Image{Digest: n.digest, Manifest: *n.manifest, Size: n.size + n.manifest.Config.Size}
		text, err := document(dir, n.manifest.Config.Digest)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, &img.Config); err != nil {
			return fmt.Errorf("config: %w", err)
		}
		for _, l := range n.manifest.Layers {
			img.Size += l.Size
		}
		all = append(all, img)
		return nil
	})
	if err == nil && len(all) == 0 {
		err = broken(dir, digest+" does not contain an image", nil)
	}
	return all, err
}

// node is a document on the way from a digest to its images: an index or a
// manifest.
type node struct {
	digest   v1.Hash
	size     int64
	index    *v1.IndexManifest
	manifest *v1.Manifest
}

func (n node) mediaType() types.MediaType {
	switch {
	case n.index != nil && n.index.MediaType != "":
		return n.index.MediaType
	case n.index != nil:
		return types.OCIImageIndex
	case n.manifest.MediaType != "":
		return n.manifest.MediaType
	}
	return types.OCIManifestSchema1
}

var errNeither = errors.New("neither an image manifest nor an index")

// walk visits the documents reachable from digest, each index before its entries.
func walk(dir string, digest v1.Hash, depth int, visit func(node) error) error {
	text, err := document(dir, digest)
	if err != nil {
		return err
	}
	n := node{digest: digest, size: int64(len(text))}
	var t tree
	if err := json.Unmarshal(text, &t); err != nil {
		return wrap(dir, digest, err)
	}
	switch {
	case t["manifests"] != nil:
		n.index = &v1.IndexManifest{}
		err = json.Unmarshal(text, n.index)
	case t["config"] != nil:
		n.manifest = &v1.Manifest{}
		err = json.Unmarshal(text, n.manifest)
	default:
		err = errNeither
	}
	if err == nil && depth > maxDepth {
		err = fmt.Errorf("indexes nested more than %d deep", maxDepth)
	}
	if err == nil {
		err = visit(n)
	}
	if err != nil {
		return wrap(dir, digest, err)
	}
	if n.index == nil {
		return nil
	}
	for _, d := range n.index.Manifests {
		if d.Annotations[attestation] != "" {
			continue
		}
		if err := walk(dir, d.Digest, depth+1, visit); err != nil {
			return err
		}
	}
	return nil
}

// Verify checks that every blob behind digest exists with its full length.
// Small documents are compared with their digests. Layers are not read, because
// the registry checks what it receives.
func Verify(dir, digest string) error {
	h, err := parseDigest(digest)
	if err != nil {
		return broken(dir, "the image's digest is not valid", err)
	}
	var errs []error
	err = walk(dir, h, 0, func(n node) error {
		if n.manifest == nil {
			return nil
		}
		for _, d := range append([]v1.Descriptor{n.manifest.Config}, n.manifest.Layers...) {
			if len(d.URLs) > 0 {
				continue // stored elsewhere, according to the specification
			}
			if _, err := parseDigest(d.Digest.String()); err != nil {
				errs = append(errs, broken(dir, "the image's digest is not valid", err))
				continue
			}
			fi, err := os.Stat(BlobPath(dir, d.Digest))
			switch {
			case errors.Is(err, os.ErrNotExist):
				errs = append(errs, broken(dir, "blob "+d.Digest.String()+" is missing", nil))
			case err != nil:
				errs = append(errs, broken(dir, "blob "+d.Digest.String()+" cannot be read", err))
			case fi.Size() != d.Size:
				errs = append(errs, broken(dir, fmt.Sprintf("blob %s has size %d instead of %d", d.Digest, fi.Size(), d.Size), nil))
			}
		}
		if f := unpackable(dir, n); f != nil {
			errs = append(errs, f)
		}
		return nil
	})
	return errors.Join(append(errs, err)...)
}

// unpackable returns a finding if the image's config lists a different number of
// layers than its manifest, because no runtime unpacks such an image (containerd
// rootfs/apply.go, "mismatched image rootfs and manifest layers"). Missing blobs
// and configs of other kinds are reported elsewhere.
func unpackable(dir string, n node) error {
	text, err := document(dir, n.manifest.Config.Digest)
	var c v1.ConfigFile
	if err != nil || json.Unmarshal(text, &c) != nil || c.RootFS.Type == "" && len(c.RootFS.DiffIDs) == 0 {
		return nil
	}
	if have, want := len(n.manifest.Layers), len(c.RootFS.DiffIDs); have != want {
		return broken(dir, fmt.Sprintf("image %s has %s, but its config lists %s", n.digest, count(have, "layer"), count(want, "diff_id")), nil)
	}
	return nil
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Plain reports whether a layer is stored uncompressed.
func Plain(d v1.Descriptor) bool {
	return len(d.URLs) == 0 && (d.MediaType == types.OCIUncompressedLayer || d.MediaType == types.DockerUncompressedLayer)
}
