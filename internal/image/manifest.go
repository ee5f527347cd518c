package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/registry"
)

var accept = strings.Join([]string{
	string(types.OCIManifestSchema1), string(types.OCIImageIndex),
	string(types.DockerManifestSchema2), string(types.DockerManifestList),
}, ", ")

const (
	// attestation is the annotation of the entries that BuildKit adds to an index to
	// describe an image (docs/attestations/attestation-storage.md of moby/buildkit).
	attestation = "vnd.docker.reference.type"
	maxDepth    = 3  // of nested indexes; BuildKit makes one
	maxVariants = 64 // in all
	parallel    = 8
)

// errContent means that the registry returned content that is invalid or does not
// match its digest.
var errContent = errors.New("the registry's answer is not an image")

type reader struct {
	client  *registry.Client
	configs configs
}

func newReader(c *registry.Client, cacheDir string) *reader {
	return &reader{client: c, configs: configs{dir: cacheDir, known: map[string]*pipeline.Lazy[[]byte]{}}}
}

// manifest is a manifest or an index.
type manifest struct {
	digest, mediaType string

	MediaType   string            `json:"mediaType"`
	Config      *v1.Descriptor    `json:"config"`
	Layers      []v1.Descriptor   `json:"layers"`
	Manifests   []v1.Descriptor   `json:"manifests"`
	Annotations map[string]string `json:"annotations"`
}

func (r *reader) manifest(ctx context.Context, id string) (*manifest, error) {
	res, err := r.client.Do(ctx, registry.Request{
		Method: http.MethodGet, Kind: "manifest " + id, Path: "manifests/" + id,
		Header: http.Header{"Accept": {accept}},
	})
	if err != nil {
		return nil, err
	}
	h, _, err := v1.SHA256(bytes.NewReader(res.Body))
	if err != nil {
		return nil, err
	}
	// If a digest was asked for, the answer must match it.
	if imageref.IsDigest(id) && h.String() != id {
		return nil, fmt.Errorf("%w: manifest %s does not match its digest", errContent, id)
	}
	m := &manifest{digest: h.String()}
	if err := json.Unmarshal(res.Body, m); err != nil {
		return nil, fmt.Errorf("%w: manifest %s: %w", errContent, id, err)
	}
	m.mediaType = m.MediaType
	if m.mediaType == "" {
		m.mediaType, _, _ = strings.Cut(res.Header.Get("Content-Type"), ";")
	}
	return m, nil
}

// variants expands a manifest or index, in the order of the indexes.
func (r *reader) variants(ctx context.Context, m *manifest) ([]Variant, error) {
	leaves, err := r.leaves(ctx, m, 0)
	if err != nil {
		return nil, err
	}
	if len(leaves) > maxVariants {
		return nil, fmt.Errorf("%w: it has more than %d images", errContent, maxVariants)
	}
	all := make([]Variant, len(leaves))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, leaf := range leaves {
		g.Go(func() (err error) {
			all[i], err = r.variant(gctx, leaf)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	// Charts and signatures have a different kind of config, without a platform.
	return slices.DeleteFunc(all, func(v Variant) bool { return v.Platform == "" }), nil
}

// leaves returns the manifests of images that m lists, directly or through nested
// indexes.
func (r *reader) leaves(ctx context.Context, m *manifest, depth int) ([]*manifest, error) {
	if m.Config != nil {
		return []*manifest{m}, nil
	}
	if len(m.Manifests) > 0 && depth >= maxDepth {
		return nil, fmt.Errorf("%w: indexes nested more than %d deep", errContent, maxDepth)
	}
	if len(m.Manifests) > 2*maxVariants {
		return nil, fmt.Errorf("%w: an index of %d entries", errContent, len(m.Manifests))
	}
	below := make([][]*manifest, len(m.Manifests))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, d := range m.Manifests {
		if d.Annotations[attestation] != "" || d.MediaType != "" && !d.MediaType.IsImage() && !d.MediaType.IsIndex() {
			continue
		}
		g.Go(func() error {
			child, err := r.manifest(gctx, d.Digest.String())
			if err != nil {
				return err
			}
			below[i], err = r.leaves(gctx, child, depth+1)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(below...), nil
}

// variant reads one image's config. A config that several tags share is read only
// once.
func (r *reader) variant(ctx context.Context, m *manifest) (Variant, error) {
	v := Variant{Digest: m.digest, Config: m.Config.Digest.String(), Size: m.Config.Size, Annotations: m.Annotations}
	for _, l := range m.Layers {
		v.Size += l.Size
	}
	text, err := r.configs.get(ctx, m.Config.Digest, func(ctx context.Context) ([]byte, error) {
		res, err := r.client.Do(ctx, registry.Request{Method: http.MethodGet, Kind: "config " + v.Config, Path: "blobs/" + v.Config})
		if err != nil {
			return nil, err
		}
		return res.Body, nil
	})
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(text, &v.File); err != nil || v.File.OS == "" || v.File.Architecture == "" || v.File.OS == "unknown" {
		return v, nil
	}
	v.Platform = imageref.PlatformOf(v.File.OS, v.File.Architecture, v.File.Variant).String()
	return v, nil
}
