// Package image reads from a registry the facts about an image (digests,
// platforms, labels, how it starts) and the published tags. Resolve reads one
// image, List the tags. gh-sbw uses it to list and compare images, kubectl-sbw to
// check what it is about to roll out, with the credential of the workload's own
// pull secrets.
//
// Platforms and labels come from each image's config and not from descriptors,
// because anybody can write anything into a descriptor, whereas the config is
// what was built. Indexes are followed, even nested ones, and attestations are
// skipped.
//
// Configs are cached on disk by digest if a directory is given. They cannot
// change, so listing tags a second time costs only one request for each tag.
package image

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/registry"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// Image is the image or index that a tag or digest refers to.
type Image struct {
	// Digest is the digest of the image's manifest or of the index.
	Digest    string `json:"digest"`
	MediaType string `json:"mediaType"`
	// Variants are the images for each platform. There is only one if Digest is that
	// of a manifest.
	Variants []Variant `json:"variants"`
}

// Variant is the image for one platform.
type Variant struct {
	Digest   string        `json:"digest"` // of its manifest
	Config   string        `json:"config"` // digest of its config
	Platform string        `json:"platform"`
	Size     int64         `json:"size"` // of config and layers as they are pulled, in bytes
	File     v1.ConfigFile `json:"-"`
	// Annotations are those of the manifest. Some builders use them for what others
	// write into labels.
	Annotations map[string]string `json:"-"`
}

// Platforms returns os/arch[/variant] of all variants.
func (i *Image) Platforms() []string {
	all := make([]string, len(i.Variants))
	for n, v := range i.Variants {
		all[n] = v.Platform
	}
	return all
}

// Digests returns all digests by which a node may know the image: of the index,
// of each manifest, and of each config (for an image that was imported by hand).
func (i *Image) Digests() []string {
	all := []string{i.Digest}
	for _, v := range i.Variants {
		all = append(all, v.Digest, v.Config)
	}
	return all
}

// Variant returns the variant for a platform (os/arch[/variant]), and whether
// there is one.
func (i *Image) Variant(platform string) (Variant, bool) {
	want := imageref.SplitPlatform(platform)
	n := slices.IndexFunc(i.Variants, func(v Variant) bool { return imageref.SplitPlatform(v.Platform) == want })
	if n < 0 {
		return Variant{}, false
	}
	return i.Variants[n], true
}

// Label returns the value of a label in the first variant that has it, or else of
// an annotation with that name.
func (i *Image) Label(key string) string {
	for _, v := range i.Variants {
		if text := v.File.Config.Labels[key]; text != "" {
			return text
		}
	}
	for _, v := range i.Variants {
		if text := v.Annotations[key]; text != "" {
			return text
		}
	}
	return ""
}

// Created returns when the image was built; zero if unknown. A reproducible build
// sets the config's own time to a fixed one and records the real time in a label.
func (i *Image) Created() time.Time {
	if t, err := time.Parse(time.RFC3339, i.Label(worker.LabelCreated)); err == nil {
		return t
	}
	for _, v := range i.Variants {
		if t := v.File.Created.Time; t.Unix() > 0 {
			return t
		}
	}
	return time.Time{}
}

// Resolve reads the image that identifier, a tag or a digest, refers to. The
// error is a Finding with the code "image-not-found", "image-private",
// "image-unreadable" or one of registry.Client.Explain, or the context's error.
func Resolve(ctx context.Context, c *registry.Client, identifier string) (*Image, error) {
	return newReader(c, "").resolve(ctx, identifier)
}

func (r *reader) resolve(ctx context.Context, identifier string) (*Image, error) {
	root, err := r.manifest(ctx, identifier)
	if err != nil {
		return nil, r.explain(ctx, identifier, err)
	}
	img := &Image{Digest: root.digest, MediaType: root.mediaType}
	if img.Variants, err = r.variants(ctx, root); err != nil {
		return nil, r.explain(ctx, identifier, err)
	}
	if len(img.Variants) == 0 {
		return nil, unreadable(r.name(identifier), "it contains no image that could run")
	}
	return img, nil
}

// name returns the reference of identifier as people write it.
func (r *reader) name(identifier string) string {
	return r.client.Repository().At(identifier).String()
}

// explain turns an error of the registry into a Finding.
func (r *reader) explain(ctx context.Context, identifier string, err error) error {
	if ctx.Err() == nil && registry.IsNotFound(err) {
		return r.notFound(ctx, identifier, err)
	}
	return r.refused(ctx, r.name(identifier), err)
}

// refused returns the error for every failure other than "not found".
func (r *reader) refused(ctx context.Context, what string, err error) error {
	var f *pipeline.Finding
	if ctx.Err() != nil || errors.As(err, &f) {
		return err
	}
	if errors.Is(err, errContent) {
		return unreadable(what, err.Error())
	}
	var answer *registry.Error
	if errors.As(err, &answer) && r.client.Anonymous() && (answer.Status == http.StatusUnauthorized || answer.Status == http.StatusForbidden) {
		return &pipeline.Finding{
			Code: codeImagePrivate, Severity: pipeline.Error, Err: err,
			What: what + " cannot be read without a credential",
			Why:  answer.Error(),
			Fix:  "give one that may read it (in a cluster: an imagePullSecret), or make the package public; new packages on GHCR are private",
		}
	}
	return r.client.Explain("read "+what, err)
}

// notFound returns a Finding that lists existing tags with similar names.
func (r *reader) notFound(ctx context.Context, identifier string, err error) error {
	f := &pipeline.Finding{
		Code: registry.CodeImageNotFound, Severity: pipeline.Error, Err: err,
		What: r.name(identifier) + " is not published",
		Why:  err.Error(),
		Fix:  "check the name, or publish it with `gh sbw publish`",
	}
	if answer, ok := errors.AsType[*registry.Error](err); ok && answer.Said() != "" {
		f.Why = answer.Said()
	}
	if tags, err := r.names(ctx); err == nil && len(tags) > 0 {
		f.Fix = "use one of the published tags: " + strings.Join(near(identifier, tags), ", ")
	}
	return f
}

func unreadable(name, why string) error {
	return &pipeline.Finding{Code: codeImageUnreadable, Severity: pipeline.Error,
		What: name + " cannot be read as an image", Why: why,
		Fix: "check the reference (registries also contain charts and signatures), or publish the image again: gh sbw publish"}
}
