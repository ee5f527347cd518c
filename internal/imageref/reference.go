// Package imageref parses and prints the names of container images and of the
// platforms they are built for. What a user types goes through Parse,
// ParseRepository or ParsePlatform once, at the edge of the program; what
// somebody else has written (the image of a running pod, a line of a manifest)
// goes through Split or SplitPlatform, which accept everything. From there on
// the parts travel in a Reference or a Platform, and String puts them together.
//
// # Decisions
//
// The grammar is the one of the distribution specification and the OCI image
// specification, and stricter than Docker's in one respect: a registry must be
// named. What Docker would complete with Docker Hub is a mistake here, because
// nobody publishes a worker to docker.io/library.
//
// The names of go-containerregistry are not used for this: they accept
// repositories that registries refuse (a..b, a___b), and print docker.io as
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
	// domainRE is a registry's host with an optional port, as in
	// distribution/reference regexp.go (domainAndPort).
	domainRE = lazyregexp.New(
		`^([a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?$`,
	)
	// pathRE is <name> of the distribution specification.
	pathRE = lazyregexp.New(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	// tagRE is its <reference> as a tag.
	tagRE  = lazyregexp.New(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
	notTag = lazyregexp.New(`[^a-zA-Z0-9._-]+`)
	// digestRE is a digest that this program can verify.
	digestRE = lazyregexp.New(`^sha256:[0-9a-f]{64}$`)
)

// maxName is how long a repository's name may be with its registry
// (distribution/reference NameTotalLengthMax).
const maxName = 255

// Repository is a registry and a path in it, without tag or digest.
type Repository struct {
	Registry string // "ghcr.io", "localhost:5000"; empty only in what Split returns
	Path     string // "joelhooks/system-bus-worker"
}

// ParseRepository reads REGISTRY/OWNER/NAME. The error is a Finding with
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

// IsZero reports whether the repository is not known.
func (r Repository) IsZero() bool { return r == Repository{} }

func (r Repository) String() string {
	if r.Registry == "" {
		return r.Path
	}
	return r.Registry + "/" + r.Path
}

// UnmarshalText reads what ParseRepository reads; nothing is the zero value.
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

// At is the image that identifier, a tag or a digest, names in the repository.
func (r Repository) At(identifier string) Reference {
	if IsDigest(identifier) {
		return Reference{Repository: r, Digest: identifier}
	}
	return Reference{Repository: r, Tag: identifier}
}

// IsDigest reports whether s is a digest: sha256: and 64 hexadecimal digits.
func IsDigest(s string) bool { return digestRE.MatchString(s) }

// CheckTag returns a Finding with CodeTag for what is not a tag.
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

// Reference is an image by its name. With neither Tag nor Digest it is the
// repository alone.
type Reference struct {
	Repository
	Tag    string
	Digest string // sha256:…; it wins over Tag
}

// Parse reads REGISTRY/NAME[:TAG][@DIGEST]. The error is a Finding with
// CodeName or CodeTag.
func Parse(s string) (Reference, error) {
	r := Split(s)
	repository, err := ParseRepository(r.Repository.String())
	if err != nil {
		return Reference{}, err
	}
	r.Repository = repository
	// A separator with nothing behind it is a variable that was empty.
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

// Split takes apart a reference that somebody else wrote. Whatever it does not
// name is empty; nothing is checked or completed.
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

// Identifier is what to ask the registry for: the digest, else the tag, else
// latest, which a name without either stands for everywhere.
func (r Reference) Identifier() string {
	switch {
	case r.Digest != "":
		return r.Digest
	case r.Tag != "":
		return r.Tag
	}
	return "latest"
}

// WithDigest is the reference with that digest; the tag stays, for people.
func (r Reference) WithDigest(digest string) Reference {
	r.Digest = digest
	return r
}

// Tagged is the reference without its digest.
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

// UnmarshalText reads what Parse reads; nothing is the zero value.
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
