// Package image is what a registry says of an image: its digests, platforms,
// labels and how it is started. Both plugins read it: gh-sbw to list what is
// published, kubectl-sbw to know what it is about to roll out.
//
// Platforms and labels are those of each image's config, not of descriptors:
// a descriptor says what somebody wrote, the config what was built. Indexes are
// descended into, nested ones too, and attestations passed over.
package image

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/registry"
)

// Image is what a tag or digest stands for.
type Image struct {
	// Digest is of what was asked for: an image's manifest, or an index.
	Digest    string `json:"digest"`
	MediaType string `json:"mediaType"`
	// Variants are the images in it, one for each platform; one alone where
	// Digest is an image's.
	Variants []Variant `json:"variants"`
}

// Variant is the image for one platform.
type Variant struct {
	Digest   string        `json:"digest"` // of its manifest
	Config   string        `json:"config"` // digest of its config
	Platform string        `json:"platform"`
	Size     int64         `json:"size"` // of config and layers as they are pulled, bytes
	File     v1.ConfigFile `json:"-"`
}

// Platforms are os/arch[/variant] of all variants.
func (i *Image) Platforms() []string {
	all := make([]string, len(i.Variants))
	for n, v := range i.Variants {
		all[n] = v.Platform
	}
	return all
}

// Digests are all digests by which a node may know the image: of the index, of
// each manifest, and of each config (of an image that was imported by hand).
func (i *Image) Digests() []string {
	all := []string{i.Digest}
	for _, v := range i.Variants {
		all = append(all, v.Digest, v.Config)
	}
	return all
}

// Label is the value of a label, of the first variant that has it.
func (i *Image) Label(key string) string {
	for _, v := range i.Variants {
		if text := v.File.Config.Labels[key]; text != "" {
			return text
		}
	}
	return ""
}

const (
	maxDepth    = 3  // of nested indexes; BuildKit makes one
	maxVariants = 64 // in all
	parallel    = 8
)

var accept = strings.Join([]string{
	string(types.OCIManifestSchema1), string(types.OCIImageIndex),
	string(types.DockerManifestSchema2), string(types.DockerManifestList),
}, ", ")

// Resolve reads what identifier, a tag or a digest, stands for. The error is
// the registry's refusal as a *pipeline.Finding (see registry.Client.Explain),
// one of the code "image-unreadable", or the context's end.
func Resolve(ctx context.Context, c *registry.Client, identifier string) (*Image, error) {
	r := &reader{client: c}
	res, err := r.manifest(ctx, identifier)
	if err != nil {
		return nil, c.Explain("read "+c.Repository().Name()+":"+identifier, err)
	}
	img := &Image{Digest: digestOf(res.Body), MediaType: res.Header.Get("Content-Type")}
	// A digest that was asked for is what must have come.
	if strings.HasPrefix(identifier, "sha256:") && identifier != img.Digest {
		return nil, unreadable(c, identifier, "the registry answered with other content than the digest names")
	}
	img.Variants, err = r.variants(ctx, res.Body, img.Digest, 0)
	if err != nil {
		return nil, c.Explain("read "+c.Repository().Name()+":"+identifier, err)
	}
	if len(img.Variants) == 0 {
		return nil, unreadable(c, identifier, "there is no image in it that could run")
	}
	return img, nil
}

func unreadable(c *registry.Client, identifier, why string) error {
	return &pipeline.Finding{Code: "image-unreadable", Severity: pipeline.Error,
		What: c.Repository().Name() + ":" + identifier + " is no image that can be read", Why: why, Fix: "publish it again: gh sbw publish"}
}

type reader struct {
	client *registry.Client
	count  int
}

func (r *reader) manifest(ctx context.Context, reference string) (*registry.Response, error) {
	return r.client.Do(ctx, registry.Request{
		Method: http.MethodGet, Kind: "manifest " + reference, Path: "manifests/" + reference,
		Header: http.Header{"Accept": {accept}},
	})
}

// variants unfolds a manifest or index.
func (r *reader) variants(ctx context.Context, body []byte, digest string, depth int) ([]Variant, error) {
	var doc struct {
		v1.Manifest
		Manifests []v1.Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return nil, fmt.Errorf("manifest %s: %w", digest, err)
	}
	if doc.Manifests == nil {
		v, err := r.variant(ctx, doc.Manifest, digest)
		if err != nil {
			return nil, err
		}
		return []Variant{v}, nil
	}
	if depth >= maxDepth {
		return nil, fmt.Errorf("index %s is nested more than %d deep", digest, maxDepth)
	}
	var children []v1.Descriptor
	for _, d := range doc.Manifests {
		// BuildKit marks attestations so; GHCR's page shows them as unknown/unknown.
		if d.Annotations["vnd.docker.reference.type"] == "" && !(d.Platform != nil && d.Platform.OS == "unknown") {
			children = append(children, d)
		}
	}
	if r.count += len(children); r.count > maxVariants {
		return nil, fmt.Errorf("index %s has more than %d images", digest, maxVariants)
	}
	below := make([][]Variant, len(children))
	// Nested indexes one after the other: they are rare, and share count.
	for i, d := range children {
		if !d.MediaType.IsIndex() {
			continue
		}
		body, err := r.child(ctx, d.Digest.String())
		if err != nil {
			return nil, err
		}
		if below[i], err = r.variants(ctx, body, d.Digest.String(), depth+1); err != nil {
			return nil, err
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, d := range children {
		if d.MediaType.IsIndex() {
			continue
		}
		digest := d.Digest.String()
		g.Go(func() error {
			body, err := r.child(gctx, digest)
			if err != nil {
				return err
			}
			below[i], err = r.variants(gctx, body, digest, maxDepth)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var all []Variant
	for _, b := range below {
		all = append(all, b...)
	}
	return all, nil
}

func (r *reader) child(ctx context.Context, digest string) ([]byte, error) {
	res, err := r.manifest(ctx, digest)
	if err != nil {
		return nil, err
	}
	if got := digestOf(res.Body); got != digest {
		return nil, fmt.Errorf("manifest %s has other content than its digest says", digest)
	}
	return res.Body, nil
}

// variant reads one image's config.
func (r *reader) variant(ctx context.Context, m v1.Manifest, digest string) (Variant, error) {
	v := Variant{Digest: digest, Config: m.Config.Digest.String(), Size: m.Config.Size}
	for _, l := range m.Layers {
		v.Size += l.Size
	}
	res, err := r.client.Do(ctx, registry.Request{Method: http.MethodGet, Kind: "config " + v.Config, Path: "blobs/" + v.Config})
	if err != nil {
		return v, err
	}
	if got := digestOf(res.Body); got != v.Config {
		return v, fmt.Errorf("config %s has other content than its digest says", v.Config)
	}
	if err := json.Unmarshal(res.Body, &v.File); err != nil {
		return v, fmt.Errorf("config %s: %w", v.Config, err)
	}
	v.Platform = v.File.OS + "/" + v.File.Architecture
	if v.File.Variant != "" {
		v.Platform += "/" + v.File.Variant
	}
	return v, nil
}

func digestOf(body []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(body)) }
