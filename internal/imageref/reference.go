// Package imageref parses and prints the names of container images and of the
// platforms they are built for. Use Parse, ParseRepository or ParsePlatform once
// for what a user types, at the edge of the program. Use Split or SplitPlatform,
// which accept everything, for what comes from elsewhere (the image of a running
// pod, a line of a manifest). From there on, pass a Reference or a Platform;
// String puts the parts together.
//
// # Decisions
//
// The grammar is the one of the distribution specification and the OCI image
// specification, and stricter than Docker's in one respect: a registry must be
// named. A name without a registry, which Docker would look up on Docker Hub, is
// refused, because nobody publishes a worker to docker.io/library.
//
// Package name of go-containerregistry is not used for this, because it accepts
// repositories that registries refuse (a..b, a___b) and prints docker.io as
// index.docker.io.
package imageref

import (
	"strings"

	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// The codes of this package's findings.
const (
	CodeName pipeline.Code = "image-name"
	CodeTag  pipeline.Code = "tag-invalid"
)

var (
	// domainRE matches a registry's host with an optional port, as in
	// distribution/reference regexp.go (domainAndPort).
	domainRE = lazyregexp.New(
		`^([a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?$`,
	)
	// pathRE matches <name> of the distribution specification.
	pathRE = lazyregexp.New(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	// tagRE matches the specification's <reference> if it is a tag.
	tagRE  = lazyregexp.New(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
	notTag = lazyregexp.New(`[^a-zA-Z0-9._-]+`)
	// digestRE matches the digests that this program can verify.
	digestRE = lazyregexp.New(`^sha256:[0-9a-f]{64}$`)
)

// maxName is the maximum length of a repository's name including its registry
// (distribution/reference NameTotalLengthMax).
const maxName = 255

// Repository is a registry and a path in it, without tag or digest.
type Repository struct {
	Registry string // "ghcr.io", "localhost:5000"; empty only in what Split returns
	Path     string // "joelhooks/system-bus-worker"
}

// ParseRepository parses REGISTRY/OWNER/NAME. The error is a Finding with
// CodeName.
func ParseRepository(s string) (Repository, error) {
	host, path, ok := strings.Cut(s, "/")
	if !ok || !isRegistry(host) || !domainRE.MatchString(host) {
		return Repository{}, pipeline.UsageErrorf(CodeName, "write it with its registry, such as ghcr.io/OWNER/NAME",
			"image name %q does not start with a registry", s)
	}
	if i := strings.IndexAny(path, "@:"); i >= 0 {
		return Repository{}, pipeline.UsageErrorf(CodeName, "write it as "+host+"/"+path[:i]+"; the tag is given by itself",
			"%q has a tag or digest where only a name belongs", s)
	}
	lower := strings.ToLower(path)
	switch {
	case lower != path && pathRE.MatchString(lower):
		return Repository{}, pipeline.UsageErrorf(CodeName, "write it as "+host+"/"+lower,
			"image name %q has upper case letters, which registries refuse", s)
	case len(s) > maxName:
		return Repository{}, pipeline.UsageErrorf(CodeName, "shorten it; lower-case letters, digits and . _ - are allowed",
			"image name %.40q… is longer than %d characters", s, maxName)
	case !pathRE.MatchString(path):
		return Repository{}, pipeline.UsageErrorf(CodeName,
			"use lower-case letters, digits and single . _ - between them, such as ghcr.io/OWNER/NAME", "%q is not a valid image name", s)
	}
	return Repository{Registry: host, Path: path}, nil
}

// isRegistry reports whether the first part of a name is a registry and not a
// part of Docker Hub's path, by Docker's rule (distribution/reference
// normalize.go).
func isRegistry(host string) bool {
	return strings.ContainsAny(host, ".:") || host == "localhost"
}

// IsZero reports whether the repository is unknown.
func (r Repository) IsZero() bool { return r == Repository{} }

func (r Repository) String() string {
	if r.Registry == "" {
		return r.Path
	}
	return r.Registry + "/" + r.Path
}

// UnmarshalText parses text like ParseRepository. Empty text is the zero value.
func (r *Repository) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		*r = Repository{}
		return nil
	}
	*r, err = ParseRepository(string(text))
	return err
}

// MarshalText prints it.
func (r Repository) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// At returns the reference of the image that identifier, a tag or a digest, names
// in the repository.
func (r Repository) At(identifier string) Reference {
	if IsDigest(identifier) {
		return Reference{Repository: r, Digest: identifier}
	}
	return Reference{Repository: r, Tag: identifier}
}

// IsDigest reports whether s is a digest: sha256: and 64 hexadecimal digits.
func IsDigest(s string) bool { return digestRE.MatchString(s) }

// CheckTag returns a Finding with CodeTag if tag is not a valid tag.
func CheckTag(tag string) error {
	if tagRE.MatchString(tag) {
		return nil
	}
	fix := "use up to 128 letters, digits, . _ -, and start with neither . nor -"
	if t := strings.TrimLeft(notTag.ReplaceAllString(tag, "-"), ".-"); tagRE.MatchString(t) {
		fix += "; for example " + t
	}
	if _, digest, ok := strings.Cut(tag, "@"); ok && IsDigest(digest) {
		fix = "name the image with its digest: --image NAME:" + tag
	}
	return pipeline.UsageErrorf(CodeTag, fix, "%q is not a valid tag", tag)
}

// Reference is the name of an image. Without Tag and Digest it names only the
// repository.
type Reference struct {
	Repository
	Tag    string
	Digest string // sha256:…; it wins over Tag
}

// Parse parses REGISTRY/NAME[:TAG][@DIGEST]. The error is a Finding with CodeName
// or CodeTag.
func Parse(s string) (Reference, error) {
	r := Split(s)
	repository, err := ParseRepository(r.Repository.String())
	if err != nil {
		return Reference{}, err
	}
	r.Repository = repository
	// A separator with nothing after it comes from an empty variable.
	rest := strings.TrimPrefix(s, repository.String())
	if r.Tag != "" || strings.HasPrefix(rest, ":") {
		if err := CheckTag(r.Tag); err != nil {
			return Reference{}, err
		}
	}
	if strings.Contains(rest, "@") && !IsDigest(r.Digest) {
		return Reference{}, pipeline.UsageErrorf(CodeName, "a digest is sha256: and 64 hexadecimal digits", "%q is not a valid digest", r.Digest)
	}
	return r, nil
}

// Split splits a reference from another source. Missing parts stay empty. It does
// not check or complete anything.
func Split(s string) Reference {
	var r Reference
	s, r.Digest, _ = strings.Cut(s, "@")
	if colon := strings.LastIndexByte(s, ':'); colon > strings.LastIndexByte(s, '/') {
		s, r.Tag = s[:colon], s[colon+1:]
	}
	if host, path, ok := strings.Cut(s, "/"); ok && isRegistry(host) {
		r.Registry, r.Path = host, path
	} else {
		r.Path = s
	}
	return r
}

// Identifier returns what to ask the registry for: the digest, or else the tag,
// or else latest, which is what a name without either means everywhere.
func (r Reference) Identifier() string {
	switch {
	case r.Digest != "":
		return r.Digest
	case r.Tag != "":
		return r.Tag
	}
	return "latest"
}

// WithDigest returns the reference with another digest. The tag stays, because
// people read it.
func (r Reference) WithDigest(digest string) Reference {
	r.Digest = digest
	return r
}

// Tagged returns the reference without its digest.
func (r Reference) Tagged() Reference { return r.WithDigest("") }

func (r Reference) String() string {
	s := r.Repository.String()
	if r.Tag != "" {
		s += ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + r.Digest
	}
	return s
}

// UnmarshalText parses text like Parse. Empty text is the zero value.
func (r *Reference) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		*r = Reference{}
		return nil
	}
	*r, err = Parse(string(text))
	return err
}

// MarshalText prints it.
func (r Reference) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
