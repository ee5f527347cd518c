// Package build turns a Dockerfile and a context into an OCI layout directory
// with any builder that the machine has. Find chooses a Builder for a Request,
// and its Build returns the digest of the new image in the layout.
//
// A well-maintained engine does the building: docker buildx, BuildKit (buildctl
// with BUILDKIT_HOST), podman, buildah or nerdctl. Each is run as a program, so
// that nothing has to be linked and the user's own version, drivers and cache are
// used. All of them produce an image in a layout directory that is kept between
// builds, and its digest.
//
// # Decisions
//
//   - Labels are not given to the builder. They are stamped into the image's
//     config after the build (package layout). A new revision or time therefore
//     never touches the layer cache, all builders behave the same, and a long
//     label is not limited by the length of an argument (128 KiB on Linux).
//   - Progress is read from `--progress=rawjson`, BuildKit's own machine-readable
//     format (client.SolveStatus). podman and buildah print "STEP n/m".
//   - Child processes get the user's environment without the variables in
//     withheld, because a build does not need a registry token.
//   - Attestations are off, because registries show them as an image for
//     unknown/unknown.
//
// # Adding a builder
//
// Write a type with the methods of Builder, and add it to the list in
// (*Options).candidates, at the position at which it should be tried.
package build

import (
	"context"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Request says what to build and where to put it.
type Request struct {
	// Dir is the directory that relative paths in Secrets and caches are relative
	// to: the repository's root.
	Dir string
	// Context is the build context's directory.
	Context string
	// Dockerfile is its path; it need not be below Context.
	Dockerfile string
	// Platforms are os/arch[/variant]. Several platforms result in an index.
	Platforms []string
	// Target is a stage of the Dockerfile; empty means the last one.
	Target string
	// Args are build arguments. They are visible in the process list and in the
	// image's history, so they must not contain secrets.
	Args map[string]string
	// Secrets are in the form of buildx: id=NAME[,src=FILE|,env=VAR].
	Secrets []string
	// CacheFrom and CacheTo are in the form of buildx: a reference, or
	// type=…,key=value.
	CacheFrom, CacheTo []string
	// Labels are stamped into the config of every image after the build, and
	// into its manifest as annotations.
	Labels map[string]string
	// SourceDateEpoch, if set, is passed to the build. Files with a later
	// modification time get this time instead (rewrite-timestamp).
	SourceDateEpoch time.Time
	// NoCache runs every step again; Pull looks for newer base images.
	NoCache, Pull bool
	// Uncompressed asks for uncompressed layers if the builder supports that. Most
	// of them are not sent, and the push compresses the others. Layers that are
	// already compressed, such as those of the base image, stay as they are.
	Uncompressed bool
	// LayoutDir is the layout directory for the image. It may contain earlier
	// images.
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
	// Name returns the value of --builder that selects it: "buildx".
	Name() string
	// Check reports whether the builder works and supports what req asks for. It
	// does not change anything.
	Check(ctx context.Context, req Request) ([]*pipeline.Finding, error)
	// Build builds the image. If a step fails, the error is a *pipeline.Finding with
	// the code "build-step", whose Evidence ends with the output of that step.
	Build(ctx context.Context, req Request, r *pipeline.Reporter) (Result, error)
}
