package push

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/joelhooks/gh-sbw/internal/layout"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// image is everything that a manifest or index refers to, including
// attestations: a registry refuses an index while anything that it lists is
// missing.
type image struct {
	root      document
	documents []document // manifests, children before the index that lists them, the root last
	blobs     []blob     // configs and layers, each once
}

type document struct {
	digest, mediaType string
	text              []byte
	index             bool
}

type blob struct {
	digest v1.Hash
	size   int64
	name   string // for messages: "layer 3/8", "config"
	path   string
	desc   v1.Descriptor
	// from lists repositories of the same registry that may contain it.
	from []string
}

const (
	maxNesting = 4
	// maxManifest is the size in bytes of the largest manifest that a registry has
	// to accept (distribution specification).
	maxManifest = 4 << 20
	baseName    = "org.opencontainers.image.base.name"
	// sourcePrefix, followed by the registry's host, is the label in which
	// containerd records the repository that a blob came from.
	sourcePrefix = "containerd.io/distribution.source."
)

func readImage(dir, digest string) (*image, error) {
	img := &image{}
	h, err := v1.NewHash(digest)
	if err != nil {
		return nil, broken(dir, "the digest is not valid", err)
	}
	if err := img.read(dir, h, "", 0); err != nil {
		return nil, err
	}
	img.root = img.documents[len(img.documents)-1]
	return img, nil
}

func (img *image) read(dir string, h v1.Hash, mediaType string, depth int) error {
	for _, d := range img.documents {
		if d.digest == h.String() {
			return nil
		}
	}
	text, err := os.ReadFile(layout.BlobPath(dir, h))
	if err != nil {
		return broken(dir, "manifest "+h.String()+" cannot be read", err)
	}
	if got, _, err := v1.SHA256(bytes.NewReader(text)); err != nil || got != h {
		return broken(dir, "manifest "+h.String()+" does not match its digest", err)
	}
	if len(text) > maxManifest {
		return broken(dir, "manifest "+h.String()+" is larger than a registry accepts", nil)
	}
	var m struct {
		MediaType   types.MediaType   `json:"mediaType"`
		Config      *v1.Descriptor    `json:"config"`
		Layers      []v1.Descriptor   `json:"layers"`
		Manifests   []v1.Descriptor   `json:"manifests"`
		Annotations map[string]string `json:"annotations"`
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return broken(dir, "manifest "+h.String()+" is not valid", err)
	}
	switch {
	case m.MediaType != "":
		mediaType = string(m.MediaType)
	case mediaType == "" && m.Config != nil:
		mediaType = string(types.OCIManifestSchema1)
	case mediaType == "":
		mediaType = string(types.OCIImageIndex)
	}
	switch {
	case m.Config != nil:
		if err := img.add(dir, *m.Config, "config", m.Annotations); err != nil {
			return err
		}
		for i, l := range m.Layers {
			if err := img.add(dir, l, fmt.Sprintf("layer %d/%d", i+1, len(m.Layers)), m.Annotations); err != nil {
				return err
			}
		}
	case m.Manifests != nil && depth < maxNesting:
		for _, d := range m.Manifests {
			if err := img.read(dir, d.Digest, string(d.MediaType), depth+1); err != nil {
				return err
			}
		}
	default:
		return broken(dir, h.String()+" is neither an image manifest nor an index", nil)
	}
	img.documents = append(img.documents, document{digest: h.String(), mediaType: mediaType, text: text, index: m.Config == nil})
	return nil
}

func (img *image) add(dir string, d v1.Descriptor, what string, annotations map[string]string) error {
	if len(d.URLs) > 0 && !d.MediaType.IsDistributable() {
		return nil // stored elsewhere, according to the specification
	}
	for _, b := range img.blobs {
		if b.digest == d.Digest {
			return nil
		}
	}
	if d.Digest.Algorithm != "sha256" {
		return broken(dir, "blob "+d.Digest.String()+" is not named by a sha256", nil)
	}
	b := blob{digest: d.Digest, size: d.Size, name: what, path: layout.BlobPath(dir, d.Digest), desc: d}
	fi, err := os.Stat(b.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return broken(dir, "blob "+d.Digest.String()+" is missing", nil)
	case err != nil:
		return broken(dir, "blob "+d.Digest.String()+" cannot be read", err)
	case fi.Size() != d.Size:
		return broken(dir, fmt.Sprintf("blob %s has size %d instead of %d", d.Digest, fi.Size(), d.Size), nil)
	}
	if what != "config" {
		for key, repos := range d.Annotations {
			if host, ok := strings.CutPrefix(key, sourcePrefix); ok {
				for repo := range strings.SplitSeq(repos, ",") {
					b.from = append(b.from, host+"/"+strings.TrimSpace(repo))
				}
			}
		}
		if base := annotations[baseName]; base != "" {
			b.from = append(b.from, base)
		}
	}
	img.blobs = append(img.blobs, b)
	return nil
}

func (img *image) size() int64 {
	var n int64
	for _, d := range img.documents {
		n += int64(len(d.text))
	}
	for _, b := range img.blobs {
		n += b.size
	}
	return n
}

// broken returns a finding with the code and remedy that package layout uses for
// this fault.
func broken(dir, what string, err error) error {
	f := &pipeline.Finding{Code: codeLayoutBroken, Severity: pipeline.Error, Where: dir, What: what,
		Fix: "build the image again; if the layout was made elsewhere, export it again", Err: err}
	if err != nil {
		f.Why = err.Error()
	}
	return f
}
