package registry

import (
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

var (
	// tagRE is the distribution specification's <reference> as a tag.
	tagRE = lazyregexp.New(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
	// nameRE is its <name>.
	nameRE = lazyregexp.New(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	notTag = lazyregexp.New(`[^a-zA-Z0-9._-]+`)
)

// ParseRepository reads REGISTRY/OWNER/NAME without a tag. A registry must be
// named: what Docker would complete with Docker Hub is a mistake here.
func ParseRepository(s string) (name.Repository, error) {
	host, path, ok := strings.Cut(s, "/")
	if !ok || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return name.Repository{}, pipeline.UsageErrorf("image-name",
			"write it with its registry, such as ghcr.io/OWNER/NAME",
			"%q is no image name: it does not say which registry", s)
	}
	if i := strings.IndexAny(path, "@:"); i >= 0 {
		return name.Repository{}, pipeline.UsageErrorf("image-name",
			"write it as "+host+"/"+path[:i]+"; the tag is given by itself",
			"%q carries a tag or digest where only a name belongs", s)
	}
	if lower := strings.ToLower(path); lower != path && nameRE.MatchString(lower) {
		return name.Repository{}, pipeline.UsageErrorf("image-name",
			"write it as "+host+"/"+lower,
			"%q has upper-case letters, which registries refuse", s)
	}
	if !nameRE.MatchString(path) || len(path) > 255 {
		return name.Repository{}, pipeline.UsageErrorf("image-name",
			"use lower-case letters, digits and single . _ - between them, such as ghcr.io/OWNER/NAME",
			"%q is no valid image name", s)
	}
	repo, err := name.NewRepository(s)
	if err != nil {
		return name.Repository{}, pipeline.UsageErrorf("image-name", "write it as ghcr.io/OWNER/NAME", "%q is no valid image name", s)
	}
	return repo, nil
}

// CheckTag says what is wrong with a tag.
func CheckTag(tag string) error {
	if tagRE.MatchString(tag) {
		return nil
	}
	fix := "use up to 128 letters, digits, . _ -, and neither . nor - as the first"
	if t := strings.TrimLeft(notTag.ReplaceAllString(tag, "-"), ".-"); tagRE.MatchString(t) {
		fix += "; for example " + t
	}
	return pipeline.UsageErrorf("tag-invalid", fix, "%q is not a valid tag", tag)
}

// Reference is what an image may be called by.
type Reference struct {
	Repository name.Repository
	Tag        string // may be empty when Digest is not
	Digest     string // sha256:…; it wins over Tag
}

// ParseReference reads REGISTRY/NAME[:TAG][@DIGEST]; without either the tag is
// latest.
func ParseReference(s string) (Reference, error) {
	rest, digest, hasDigest := strings.Cut(s, "@")
	var tag string
	hasTag := false
	if slash := strings.LastIndex(rest, "/"); slash >= 0 {
		if colon := strings.Index(rest[slash:], ":"); colon >= 0 {
			tag, hasTag = rest[slash+colon+1:], true
			rest = rest[:slash+colon]
		}
	}
	repo, err := ParseRepository(rest)
	if err != nil {
		return Reference{}, err
	}
	r := Reference{Repository: repo, Tag: tag}
	if hasTag {
		if err := CheckTag(tag); err != nil {
			return Reference{}, err
		}
	}
	if hasDigest {
		d, err := name.NewDigest(rest + "@" + digest)
		if err != nil {
			return Reference{}, pipeline.UsageErrorf("image-name", "a digest is sha256: and 64 hexadecimal digits", "%q is no valid digest", digest)
		}
		r.Digest = d.DigestStr()
	}
	if !hasTag && !hasDigest {
		r.Tag = "latest"
	}
	return r, nil
}

// Identifier is what to ask the registry for.
func (r Reference) Identifier() string {
	if r.Digest != "" {
		return r.Digest
	}
	return r.Tag
}

func (r Reference) String() string {
	s := r.Repository.Name()
	if r.Tag != "" {
		s += ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + r.Digest
	}
	return s
}
