// Package image is what a registry says about an image that is published: the
// digest behind a tag, the platforms by its configs, labels, size, and the list
// of tags with all of this.
//
// Both plugins ask it: rollout before it changes the cluster, with the
// credential of the Deployment's own imagePullSecrets; publish for the size of
// the tag before and for the list of tags.
//
// # Decisions
//
//   - Platforms are read from each image's config. What an index says of its
//     entries is what somebody wrote; the kernel of the node will judge the
//     binary. Nested indexes are descended into, attestations passed over.
//   - A config is kept on disk by its digest, if there is a place for it: it
//     cannot change, so a list of tags costs one request per tag the second
//     time.
//   - The credential is Options.Auth and nothing else; no Docker configuration
//     is read.
package image

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/registry"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// Options say as whom to ask.
type Options struct {
	// Auth is the credential; nil is anonymous.
	Auth authn.Authenticator
	// Credential names it in messages: "the pull secret ghcr-pull".
	Credential string
	// CacheDir keeps configs between runs; empty keeps none.
	CacheDir string
	// UserAgent is sent with each request.
	UserAgent string

	// Transport, Wait and Tries are as in registry.Options.
	Transport http.RoundTripper
	Wait      func(context.Context, time.Duration) error
	Tries     int
}

// Image is one image as it is published.
type Image struct {
	// Reference is what was asked for.
	Reference string `json:"reference"`
	// Digest is of what the reference names, an index or a manifest: what a
	// cluster is given.
	Digest    string `json:"digest"`
	MediaType string `json:"mediaType"`
	// Platforms are all that it can run on.
	Platforms []Platform `json:"platforms"`

	// The rest is of the image for one platform.
	Manifest   string            `json:"manifest"` // its digest
	Platform   string            `json:"platform"`
	Size       int64             `json:"size"` // manifest, config and layers as they are pulled, bytes
	Created    time.Time         `json:"created"`
	Labels     map[string]string `json:"labels,omitempty"`
	Entrypoint []string          `json:"entrypoint,omitempty"`
	Cmd        []string          `json:"cmd,omitempty"`
	User       string            `json:"user,omitempty"`
	WorkingDir string            `json:"workingDir,omitempty"`
	Ports      []string          `json:"ports,omitempty"` // "3111/tcp"
}

// Platform is one platform of an image.
type Platform struct {
	Name     string `json:"name"`     // os/arch[/variant], by the config
	Manifest string `json:"manifest"` // digest
	Size     int64  `json:"size"`     // bytes
}

// Catalog is the label that holds the function catalog, empty if there is none.
func (i *Image) Catalog() string { return i.Labels[worker.LabelCatalog] }

// Commit is the revision that the image was built from.
func (i *Image) Commit() string { return i.Labels[worker.LabelRevision] }

// Dirty says that it was built from a tree with changes.
func (i *Image) Dirty() bool { return i.Labels[worker.LabelDirty] == "true" }

// Publisher is the GitHub login that published it.
func (i *Image) Publisher() string { return i.Labels[worker.LabelPublisher] }

// Pinned is NAME:TAG@DIGEST: the tag for people, the digest for the cluster.
func (i *Image) Pinned() string {
	ref, _, _ := strings.Cut(i.Reference, "@")
	return ref + "@" + i.Digest
}

// Reader asks one repository.
type Reader struct {
	client    *registry.Client
	configs   configs
	anonymous bool
}

// NewReader makes a Reader; nothing is sent yet.
func NewReader(repo name.Repository, o Options) *Reader {
	return &Reader{
		client: registry.New(repo, registry.Options{
			Auth: o.Auth, Credential: o.Credential, UserAgent: o.UserAgent,
			Transport: o.Transport, Wait: o.Wait, Tries: o.Tries,
		}),
		configs:   configs{dir: o.CacheDir, known: map[string]*pipeline.Lazy[[]byte]{}},
		anonymous: o.Auth == nil || o.Auth == authn.Anonymous,
	}
}

// Resolve is NewReader and its Resolve for one reference.
func Resolve(ctx context.Context, ref registry.Reference, platform string, o Options) (*Image, error) {
	return NewReader(ref.Repository, o).Resolve(ctx, ref, platform)
}

// Resolve reads the image that ref names. platform (os/arch[/variant]) chooses
// one of several; empty takes the first. Where there is none for it, the error
// is a Finding "image-platform" and the Image still says which there are. Other
// findings: "image-not-found", "image-private", "image-invalid", and those of
// package registry.
func (r *Reader) Resolve(ctx context.Context, ref registry.Reference, platform string) (*Image, error) {
	root, err := r.manifest(ctx, ref.Identifier())
	if err != nil {
		return nil, r.explain(ctx, ref, err)
	}
	img := &Image{Reference: ref.String(), Digest: root.digest, MediaType: root.mediaType}
	found, err := r.descend(ctx, root)
	if err != nil {
		return nil, r.explain(ctx, ref, err)
	}
	if len(found) == 0 {
		return nil, invalid(ref.String(), "it holds no image that can run")
	}
	var chosen *variant
	for _, v := range found {
		img.Platforms = append(img.Platforms, Platform{Name: v.platform(), Manifest: v.digest, Size: v.size()})
		if chosen == nil && (platform == "" || SamePlatform(v.platform(), platform)) {
			chosen = v
		}
	}
	if chosen == nil {
		return img, wrongPlatform(ref.String(), img.Platforms, platform)
	}
	img.describe(root, chosen)
	return img, nil
}

func (i *Image) describe(root *manifest, v *variant) {
	cfg := v.config
	i.Manifest, i.Platform, i.Size, i.Created = v.digest, v.platform(), v.size(), cfg.Created.Time
	i.Entrypoint, i.Cmd, i.User, i.WorkingDir = cfg.Config.Entrypoint, cfg.Config.Cmd, cfg.Config.User, cfg.Config.WorkingDir
	for p := range cfg.Config.ExposedPorts {
		i.Ports = append(i.Ports, p)
	}
	slices.Sort(i.Ports)
	i.Labels = map[string]string{}
	// Builders put the same facts into labels, annotations of the manifest or
	// of the index; the nearest to the image wins.
	for _, from := range []map[string]string{root.Annotations, v.Annotations, cfg.Config.Labels} {
		for k, val := range from {
			i.Labels[k] = val
		}
	}
	if t, err := time.Parse(time.RFC3339, i.Labels[worker.LabelCreated]); err == nil && i.Created.Unix() <= 0 {
		i.Created = t // reproducible builds set the config's own to zero
	}
}

// SamePlatform compares os/arch[/variant]; arm64 is arm64/v8, and amd64 v1.
func SamePlatform(a, b string) bool { return normal(a) == normal(b) }

func normal(p string) string {
	parts := strings.Split(strings.ToLower(strings.TrimSpace(p)), "/")
	if len(parts) == 1 {
		parts = []string{"linux", parts[0]}
	}
	switch parts[1] {
	case "aarch64":
		parts[1] = "arm64"
	case "x86_64", "x86-64":
		parts[1] = "amd64"
	}
	if len(parts) == 3 && (parts[1] == "arm64" && parts[2] == "v8" || parts[1] == "amd64" && parts[2] == "v1" || parts[2] == "") {
		parts = parts[:2]
	}
	return strings.Join(parts, "/")
}

func wrongPlatform(ref string, have []Platform, want string) error {
	var names []string
	for _, p := range have {
		names = append(names, p.Name)
	}
	return &pipeline.Finding{
		Code: "image-platform", Severity: pipeline.Error,
		What: fmt.Sprintf("%s is for %s, not for %s", ref, strings.Join(names, ", "), want),
		Why:  "on another architecture it ends at once with exec format error",
		Fix:  "publish it with `gh sbw publish --platform " + want + "`",
	}
}

func invalid(ref, why string) error {
	return &pipeline.Finding{
		Code: "image-invalid", Severity: pipeline.Error,
		What: ref + " is no image that can be run",
		Why:  why,
		Fix:  "check the reference; charts, signatures and other artifacts live in registries too",
	}
}

// Digests are those by which a node that pulled the image may know it: of the
// index, and of each platform's manifest.
func (i *Image) Digests() []string {
	all := []string{i.Digest}
	for _, p := range i.Platforms {
		if p.Manifest != i.Digest {
			all = append(all, p.Manifest)
		}
	}
	return all
}

// PlatformNames are os/arch[/variant] of all platforms.
func (i *Image) PlatformNames() []string {
	names := make([]string, len(i.Platforms))
	for n, p := range i.Platforms {
		names[n] = p.Name
	}
	return names
}
