package imageref

import (
	"slices"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/editdistance"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Platform is what an image is built for. It is normalised, so that two platforms
// which a container runtime treats alike are equal. The zero value is an unknown
// platform.
type Platform struct {
	OS      string // GOOS
	Arch    string // GOARCH
	Variant string // "v6"; empty for the usual variant of amd64 and arm64
}

// systems and architectures are the values of GOOS and GOARCH that images are
// published for (go tool dist list; OCI image-spec config.md, "architecture").
var (
	systems = []string{
		"linux",
		"windows",
		"darwin",
		"freebsd",
		"netbsd",
		"openbsd",
		"dragonfly",
		"solaris",
		"illumos",
		"aix",
		"android",
		"wasip1",
	}
	// The common ones come first, because a misspelt word that is equally close to
	// several is more likely to mean one of them.
	architectures = []string{
		"arm64",
		"amd64",
		"arm",
		"386",
		"loong64",
		"mips",
		"mips64",
		"mips64le",
		"mipsle",
		"ppc64",
		"ppc64le",
		"riscv64",
		"s390x",
		"wasm",
	}
)

// variants maps architectures to their known variants (containerd/platforms
// database.go, compare.go).
var variants = map[string][]string{
	"amd64": {"v1", "v2", "v3", "v4"},
	"arm":   {"v5", "v6", "v7", "v8"},
	"arm64": {
		"v8",
		"v8.0",
		"v8.1",
		"v8.2",
		"v8.3",
		"v8.4",
		"v8.5",
		"v8.6",
		"v8.7",
		"v8.8",
		"v8.9",
		"v9",
		"v9.0",
		"v9.1",
		"v9.2",
		"v9.3",
		"v9.4",
		"v9.5",
		"v9.6",
		"v9.7",
	},
}

// ParsePlatform parses os/arch[/variant] as a user writes it. If no image can be
// built for the platform, the error is a Finding with pipeline.CodeUsage, so that the
// mistake is reported before a build starts.
func ParsePlatform(s string) (Platform, error) {
	wrong := func(fix string) (Platform, error) {
		if fix == "" {
			fix = "write it as linux/arm64 or linux/amd64"
		}
		return Platform{}, pipeline.UsageErrorf(pipeline.CodeUsage, fix, "%q is not a platform", s)
	}
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") || strings.ToLower(strings.TrimSpace(s)) != s {
		if p := SplitPlatform(s); len(parts) <= 2 && p.known() {
			return wrong("did you mean " + p.String() + "?")
		}
		return wrong("")
	}
	p := SplitPlatform(s)
	switch {
	case !slices.Contains(systems, p.OS):
		p.OS = editdistance.Nearest(p.OS, systems)
	case !slices.Contains(architectures, p.Arch):
		p.Arch = editdistance.Nearest(p.Arch, architectures)
	case !p.variantKnown():
		return wrong("its variants are " + strings.Join(variants[p.Arch], ", "))
	default:
		return p, nil
	}
	if p.known() {
		return wrong("did you mean " + p.String() + "?")
	}
	return wrong("")
}

func (p Platform) known() bool {
	return slices.Contains(systems, p.OS) && slices.Contains(architectures, p.Arch) && p.variantKnown()
}

func (p Platform) variantKnown() bool {
	if p.Variant == "" {
		return true
	}
	known, some := variants[p.Arch]
	return !some || slices.Contains(known, p.Variant)
}

// aliases maps other names of architectures to what they stand for, with the
// variant that they imply (containerd/platforms database.go, normalizeArch).
var aliases = map[string]Platform{
	"aarch64": {Arch: "arm64"}, "x86_64": {Arch: "amd64"}, "x86-64": {Arch: "amd64"}, "i386": {Arch: "386"}, "i686": {Arch: "386"},
	"armhf": {Arch: "arm", Variant: "v7"}, "armel": {Arch: "arm", Variant: "v6"},
}

// usual is the variant that is meant if none is written, by architecture. The
// usual variant of arm is written nevertheless, as people and containerd do.
var usual = map[string]string{"amd64": "v1", "arm64": "v8"}

// SplitPlatform splits a platform from another source (an image's config, a
// node). It does not check anything. An architecture alone means Linux.
func SplitPlatform(s string) Platform {
	parts := strings.Split(strings.ToLower(strings.TrimSpace(s)), "/")
	if len(parts) == 1 {
		parts = []string{"linux", parts[0]}
	}
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	p := Platform{OS: parts[0], Arch: parts[1]}
	if len(parts) > 2 {
		p.Variant = strings.Join(parts[2:], "/")
	}
	if s == "" {
		return Platform{}
	}
	return p.normal()
}

// PlatformOf returns the platform named by three fields of an image's config.
func PlatformOf(os, arch, variant string) Platform {
	if os == "" && arch == "" {
		return Platform{}
	}
	return SplitPlatform(os + "/" + arch + "/" + variant)
}

func (p Platform) normal() Platform {
	if a, ok := aliases[p.Arch]; ok {
		p.Arch = a.Arch
		if p.Variant == "" {
			p.Variant = a.Variant
		}
	}
	if p.Arch == "arm" && p.Variant == "" {
		p.Variant = "v7"
	}
	if p.Arch == "arm" || p.Arch == "arm64" {
		// Some builders write the number alone.
		if len(p.Variant) > 0 && p.Variant[0] >= '5' && p.Variant[0] <= '9' {
			p.Variant = "v" + p.Variant
		}
	}
	if p.Variant == usual[p.Arch] || p.Arch == "arm64" && p.Variant == "v8.0" {
		p.Variant = ""
	}
	return p
}

func (p Platform) String() string {
	if p == (Platform{}) {
		return ""
	}
	s := p.OS + "/" + p.Arch
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// Runs reports whether a machine of platform p accepts an image for other: a
// runtime on arm64 accepts arm, and one on amd64 accepts 386 and any variant of
// amd64, because a node does not report which instructions it supports
// (containerd/platforms compare.go, Only).
func (p Platform) Runs(other Platform) bool {
	if p.OS != other.OS {
		return false
	}
	return p.Arch == other.Arch || p.Arch == "arm64" && other.Arch == "arm" || p.Arch == "amd64" && other.Arch == "386"
}

// UnmarshalText parses text like ParsePlatform.
func (p *Platform) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePlatform(string(text))
	return err
}

// MarshalText returns the form that String returns.
func (p Platform) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// PlatformNames returns the string form of each platform.
func PlatformNames(all []Platform) []string {
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = p.String()
	}
	return names
}
