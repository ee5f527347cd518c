package build

import (
	"strings"

	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// hint recognises the cause of a failure by the builder's message, because
// builders have no error codes. It only replaces the code and the remedy; the
// builder's message stays in Why and Evidence.
type hint struct {
	// base means that the hint applies only while a base image is fetched.
	base bool
	said *lazyregexp.Regexp
	is   pipeline.Finding // its code and remedy
}

// hints are tried in this order. The messages were seen with BuildKit 0.34 and
// buildah 1.28, or come from the sources named below.
var hints = []hint{
	{said: lazyregexp.New(`no space left on device|disk quota exceeded`),
		is: pipeline.Finding{Code: CodeNoSpace, Fix: "free some disk space where the builder runs: docker buildx prune, or podman system prune"}},
	// containers/image pkg/shortnames, containers/common libimage.
	{base: true, said: lazyregexp.New(`short-name`),
		is: pipeline.Finding{Code: CodeShortName, Fix: "write the registry in front of the base image's name: docker.io/…"}},
	{
		said: lazyregexp.New(`exec format error`),
		is: pipeline.Finding{
			Code: CodePlatform,
			Fix: "install emulation where the builder runs: docker run --privileged --rm tonistiigi/binfmt --install all " +
				"(Debian: apt install qemu-user-static binfmt-support); if it is installed already, the base image is for another platform",
		},
	},
	{
		said: lazyregexp.New(`unknown flag|flag provided but not defined|invalid progress mode|rawjson`),
		is: pipeline.Finding{
			Code: codeBuilderOld,
			Fix:  "upgrade the builder to buildx 0.13, BuildKit 0.13, podman 4, buildah 1.28 or newer",
		},
	},
	// containerd images/handlers, containers/image manifest lists.
	{
		base: true,
		said: lazyregexp.New(`no match for platform|no image found in (image index|manifest list) for`),
		is: pipeline.Finding{
			Code: codeBaseImagePlatform,
			Fix:  "choose a base image that exists for the platform; docker buildx imagetools inspect IMAGE lists its platforms",
		},
	},
	// distribution-spec error codes.
	{base: true, said: lazyregexp.New(`(?i)toomanyrequests|too many requests|rate limit`),
		is: pipeline.Finding{Code: codeBaseImageRate, Fix: "wait, or log in to that registry with the builder's own login (docker login)"}},
	{
		base: true,
		said: lazyregexp.New(`(?i)unauthorized|forbidden|denied|insufficient_scope|authorization failed|authentication required`),
		is: pipeline.Finding{
			Code: codeBaseImageDenied,
			Fix:  "correct the base image's name, or log in to its registry with the builder's own login (docker login)",
		},
	},
	{base: true, said: lazyregexp.New(`(?i): not found|manifest unknown|name unknown`),
		is: pipeline.Finding{Code: codeBaseImageMissing, Fix: "correct the base image's name or tag in FROM"}},
	{
		said: lazyregexp.New(
			`no such host|i/o timeout|connection refused|TLS handshake timeout|Temporary failure in name resolution|network is unreachable`,
		),
		is: pipeline.Finding{Code: codeBuildNetwork, Fix: "check that the machine where the builder runs can reach that address"},
	},
}

// fetching is the start of the name of the step in which BuildKit asks a registry
// for a base image.
const fetching = "[internal] load metadata for "

// baseOf returns the base image that a step fetches. ok is false if it does not
// fetch one.
func baseOf(step string) (string, bool) {
	if base, ok := strings.CutPrefix(step, fetching); ok {
		return base, true
	}
	rest, ok := strings.CutPrefix(step, "FROM ")
	for _, w := range strings.Fields(rest) {
		if !strings.HasPrefix(w, "--") {
			return w, ok
		}
	}
	return "", ok
}

// explained is like betters, but makes the remedy specific to the builder and the
// request.
func explained(f *pipeline.Finding, builder string, req Request, step string) *pipeline.Finding {
	f = betters(f, step)
	switch {
	case f.Is(CodeNoSpace):
		f.Fix = spaceFix(f.Why, builder, req, step)
	case f.Is(CodeShortName):
		if base, ok := baseOf(step); ok {
			f.Fix = "write " + fullName(base) + " in FROM, or add docker.io to unqualified-search-registries in registries.conf"
		}
	}
	return f
}

// fullName expands one of Docker's short names, because podman and buildah need
// the full one.
func fullName(base string) string {
	if !strings.Contains(base, "/") {
		base = "library/" + base
	}
	return "docker.io/" + base
}

// spaceFix returns the remedy for a full disk: which disk it is and what to
// remove there.
func spaceFix(why, builder string, req Request, step string) string {
	switch {
	case strings.HasPrefix(step, "exporting to oci") || req.LayoutDir != "" && strings.Contains(why, req.LayoutDir):
		return "free some space on this machine's disk, where the image is written: " + req.LayoutDir
	case strings.Contains(builder, "podman"), strings.Contains(builder, "buildah"):
		return "free some space where " + builder + " keeps its images (podman info shows where; on macOS that is the podman machine's disk): " +
			"podman system prune"
	case strings.Contains(builder, "BuildKit"):
		return "free some space on the disk of the machine where buildkitd runs: buildctl prune"
	}
	return "free some space on the disk of the Docker engine (with Colima and Docker Desktop that is the virtual machine's): " +
		"docker system df shows what uses it, docker buildx prune and docker image prune remove it"
}

// betters replaces the code and remedy of a failure if its cause is known.
func betters(f *pipeline.Finding, step string) *pipeline.Finding {
	base, fetch := baseOf(step)
	if fetch {
		f.Code, f.What = codeBaseImage, "the base image "+plain(base)+" cannot be fetched"
		f.Fix = "check that the builder can pull it by itself"
	}
	// A step fails because of the last lines of its output. Earlier lines prove
	// nothing.
	const last = 5
	said := f.Why + "\n" + strings.Join(f.Evidence[max(0, len(f.Evidence)-last):], "\n")
	for _, h := range hints {
		if h.base && !fetch || !h.said.MatchString(said) {
			continue
		}
		f.Code, f.Fix = h.is.Code, h.is.Fix
		break
	}
	return f
}
