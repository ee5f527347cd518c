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

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/registry"
)

var accept = strings.Join([]string{
	string(types.OCIManifestSchema1), string(types.OCIImageIndex),
	string(types.DockerManifestSchema2), string(types.DockerManifestList),
}, ", ")

const (
	// attestation marks, among an index's entries, what BuildKit says about an
	// image (docs/attestations/attestation-storage.md of moby/buildkit).
	attestation = "vnd.docker.reference.type"
	maxDepth    = 4
	maxVariants = 32
	jobs        = 8
)

// manifest is a manifest or an index.
type manifest struct {
	digest, mediaType string
	length            int64

	MediaType   string            `json:"mediaType"`
	Config      *v1.Descriptor    `json:"config"`
	Layers      []v1.Descriptor   `json:"layers"`
	Manifests   []v1.Descriptor   `json:"manifests"`
	Annotations map[string]string `json:"annotations"`
}

// variant is an image for one platform.
type variant struct {
	*manifest
	config v1.ConfigFile
}

func (v *variant) platform() string {
	p := v.config.OS + "/" + v.config.Architecture
	if v.config.Variant != "" {
		p += "/" + v.config.Variant
	}
	return p
}

func (v *variant) size() int64 {
	n := v.length + v.Config.Size
	for _, l := range v.Layers {
		n += l.Size
	}
	return n
}

var errNoManifest = errors.New("the registry's answer is no manifest")

func (r *Reader) manifest(ctx context.Context, id string) (*manifest, error) {
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
	if strings.HasPrefix(id, "sha256:") && h.String() != id {
		return nil, fmt.Errorf("the registry gave another manifest for %s: %s", id, h)
	}
	m := &manifest{digest: h.String(), length: int64(len(res.Body))}
	if err := json.Unmarshal(res.Body, m); err != nil {
		return nil, errNoManifest
	}
	m.mediaType = m.MediaType
	if m.mediaType == "" {
		m.mediaType, _, _ = strings.Cut(res.Header.Get("Content-Type"), ";")
	}
	return m, nil
}

// descend finds the images below m, in the order of the indexes.
func (r *Reader) descend(ctx context.Context, m *manifest) ([]*variant, error) {
	leaves, err := r.leaves(ctx, m, 0)
	if err != nil {
		return nil, err
	}
	if len(leaves) > maxVariants {
		leaves = leaves[:maxVariants]
	}
	all := make([]*variant, len(leaves))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(jobs)
	for i, leaf := range leaves {
		g.Go(func() error {
			text, err := r.config(gctx, *leaf.Config)
			if err != nil {
				return err
			}
			v := &variant{manifest: leaf}
			if json.Unmarshal(text, &v.config) == nil && v.config.OS != "" && v.config.Architecture != "" {
				all[i] = v // else a chart or a signature, whose config is of another kind
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(v *variant) bool { return v == nil }), nil
}

// leaves are the manifests below m that are images.
func (r *Reader) leaves(ctx context.Context, m *manifest, depth int) ([]*manifest, error) {
	if m.Config != nil {
		return []*manifest{m}, nil
	}
	if len(m.Manifests) > 0 && depth >= maxDepth {
		return nil, fmt.Errorf("indexes nested more than %d deep", maxDepth)
	}
	below := make([][]*manifest, len(m.Manifests))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(jobs)
	for i, d := range m.Manifests {
		if d.Annotations[attestation] != "" || !d.MediaType.IsImage() && !d.MediaType.IsIndex() && d.MediaType != "" {
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

// config reads a config, once for all tags that share it.
func (r *Reader) config(ctx context.Context, d v1.Descriptor) ([]byte, error) {
	return r.configs.get(ctx, d.Digest, func(ctx context.Context) ([]byte, error) {
		res, err := r.client.Do(ctx, registry.Request{
			Method: http.MethodGet, Kind: "config " + d.Digest.String(), Path: "blobs/" + d.Digest.String(),
		})
		if err != nil {
			return nil, err
		}
		return res.Body, nil
	})
}

// explain makes Findings of what the registry answered about ref.
func (r *Reader) explain(ctx context.Context, ref registry.Reference, err error) error {
	var f *pipeline.Finding
	if ctx.Err() != nil || errors.As(err, &f) {
		return err
	}
	if errors.Is(err, errNoManifest) {
		return invalid(ref.String(), err.Error())
	}
	var answer *registry.Error
	if errors.As(err, &answer) {
		switch {
		case answer.Status == http.StatusNotFound:
			return r.notFound(ctx, ref, answer)
		case r.anonymous && (answer.Status == http.StatusUnauthorized || answer.Status == http.StatusForbidden):
			return &pipeline.Finding{
				Code: "image-private", Severity: pipeline.Error, Err: err,
				What: ref.String() + " cannot be read without a credential",
				Why:  answer.Error(),
				Fix:  "give one that may read it, in a cluster an imagePullSecret, or make the package public; what is new on GHCR is private",
			}
		}
	}
	return r.client.Explain("read "+ref.String(), err)
}

// notFound says which tags there are instead.
func (r *Reader) notFound(ctx context.Context, ref registry.Reference, answer *registry.Error) error {
	f := &pipeline.Finding{
		Code: "image-not-found", Severity: pipeline.Error, Err: answer,
		What: ref.String() + " is not published",
		Why:  answer.Error(),
		Fix:  "check the name; `gh sbw publish` publishes it",
	}
	if answer.Said() != "" {
		f.Why = answer.Said()
	}
	if tags, err := r.names(ctx); err == nil && len(tags) > 0 {
		f.Fix = "use one that is: " + strings.Join(near(ref.Tag, tags), ", ")
	}
	return f
}
