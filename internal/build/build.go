// Package build turns a Dockerfile and a context into an OCI layout directory
// with whichever builder the machine has. Find chooses a Builder for a Request,
// and its Build returns the digest of the new image in the layout.
//
// A well-maintained engine does the building: docker buildx, BuildKit (buildctl
// with BUILDKIT_HOST), podman, buildah or nerdctl. Each is called as a program,
// so that nothing of it is linked and the user's own version, drivers and cache
// are used. All of them produce the same: a layout directory that is kept
// between builds, and a digest in it.
//
// # Decisions
//
//   - Labels are not given to the builder. They are stamped into the image's
//     config after the build (package layout), so that a new revision or time never touches the
//
// layer cache, all builders behave the same, and a long label is not limited by the length of an
// argument (128 KiB on Linux).
//   - Progress is read from `--progress=rawjson`, BuildKit's own machine
//     format (client.SolveStatus); podman and buildah say "STEP n/m".
//   - Child processes get the user's environment without the names in withheld: a build does not need a registry token.
//   - Attestations are off: registries' pages show them as an image for
//     unknown/unknown.
//
// # To add a builder
//
// Write a type with the methods of Builder, and add it to the list in
// (*Options).candidates, at the position at which it should be tried
// automatically.
package build

import (
	"context"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Request says what to build and where to put it.
type Request struct {
	// Dir is the directory that relative paths in Secrets and caches start
	// from: the repository's root.
	Dir string
	// Context is the build context's directory.
	Context string
	// Dockerfile is its path; it need not be below Context.
	Dockerfile string
	// Platforms are os/arch[/variant]; several of them result in an index.
	Platforms []string
	// Target is a stage of the Dockerfile; empty means the last one.
	Target string
	// Args are build arguments. They are visible in the process list and in the
	// image's history, so they must not contain secrets.
	Args map[string]string
	// Secrets are in buildx's form: id=NAME[,src=FILE|,env=VAR].
	Secrets []string
	// CacheFrom and CacheTo are in buildx's form: a reference, or
	// type=…,key=value.
	CacheFrom, CacheTo []string
	// Labels are stamped into the config of every image after the build, and
	// into its manifest as annotations.
	Labels map[string]string
	// SourceDateEpoch, when set, is passed to the build, and becomes the time
	// of every file that is younger (rewrite-timestamp).
	SourceDateEpoch time.Time
	// NoCache runs every step again; Pull looks for newer base images.
	NoCache, Pull bool
	// Uncompressed asks for layers without compression where the builder can do
	// that: most of them are not sent, and the push compresses those that are.
	// Layers that are compressed already, such as those of the base image, stay
	// as they are.
	Uncompressed bool
	// LayoutDir receives the image. It may contain earlier ones.
	LayoutDir string
}

// Result describes a finished build.
type Result struct {
	LayoutDir string
	// Digest is the digest of the manifest in LayoutDir, or of the index when
	// several platforms were requested; the labels are part of it.
	Digest string
	// Builder is the name of the builder that was used.
	Builder string
	Took    time.Duration
}

// Builder is one engine.
type Builder interface {
	// Name is the value of --builder: "buildx".
	Name() string
	// Check reports whether the builder works and can do what req asks for. It
	// changes nothing.
	Check(ctx context.Context, req Request) ([]*pipeline.Finding, error)
	// Build builds. A step that fails is a *pipeline.Finding with the code
	// "build-step", whose Evidence ends with that step's own output.
	Build(ctx context.Context, req Request, r *pipeline.Reporter) (Result, error)
}
