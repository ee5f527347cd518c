// Package build turns a Dockerfile and a context into an OCI layout directory
// by whichever builder the machine has.
//
// What builds is a well-kept engine: docker buildx, BuildKit (buildctl with
// BUILDKIT_HOST), podman, buildah, nerdctl; each is called as a program, so
// that nothing of it is linked and the user's own version, drivers and cache
// serve. All of them end in the same thing: a layout directory that is kept
// between builds and the digest in it that was built.
//
// # Decisions
//
//   - Labels are not given to the builder. They are stamped into the image's
//     config after the build (package layout), so that a new revision or time
//     never touches the layer cache, all builders behave the same, and a long
//     label is not bounded by the length of an argument (128 KiB on Linux).
//   - Progress is read from `--progress=rawjson`, BuildKit's own machine
//     format (client.SolveStatus); podman and buildah say "STEP n/m".
//   - The children's environment is the user's without the names in withheld:
//     a registry token is of no use to a build.
//   - Attestations are off: registries' pages show them as an image for
//     unknown/unknown.
//
// # To add a builder
//
// Write a type with the methods of Builder, and add it to the list in
// (*Options).candidates, in the order in which automatic choice shall try it.
package build

import (
	"context"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Request says what to build and where to put it.
type Request struct {
	// Dir is what relative paths in Secrets and caches start from: the
	// repository's root.
	Dir string
	// Context is the build context's directory.
	Context string
	// Dockerfile is its path; need not be below Context.
	Dockerfile string
	// Platforms are os/arch[/variant]; several make an index.
	Platforms []string
	// Target is a stage of the Dockerfile; empty: the last.
	Target string
	// Args are build arguments. They are visible in the process list and in
	// the image's history: nothing secret belongs here.
	Args map[string]string
	// Secrets are as buildx takes them: id=NAME[,src=FILE|,env=VAR].
	Secrets []string
	// CacheFrom and CacheTo are as buildx takes them: a reference, or
	// type=…,key=value.
	CacheFrom, CacheTo []string
	// Labels are stamped into the config of every image that is built, and as
	// annotations into its manifest, after the build.
	Labels map[string]string
	// SourceDateEpoch, when set, is given to the build, and is the time of
	// every file that is younger (rewrite-timestamp).
	SourceDateEpoch time.Time
	// NoCache builds every step anew; Pull looks for newer base images.
	NoCache, Pull bool
	// Uncompressed asks for layers that are not compressed, where the builder can:
	// most of them are not sent, and what is sent is compressed by the push.
	// Layers that the builder has compressed already, such as the base image's,
	// stay as they are.
	Uncompressed bool
	// LayoutDir takes the image. It may hold earlier ones.
	LayoutDir string
}

// Result is what a build came to.
type Result struct {
	LayoutDir string
	// Digest is of the manifest in LayoutDir, or of the index when several
	// platforms were asked for; labels are in it.
	Digest string
	// Builder is the name of what built it.
	Builder string
	Took    time.Duration
}

// Builder is one engine.
type Builder interface {
	// Name is the word of --builder: "buildx".
	Name() string
	// Check says whether the builder is there and can do what req asks for.
	// It changes nothing.
	Check(ctx context.Context, req Request) ([]*pipeline.Finding, error)
	// Build builds. A failing step is a *pipeline.Finding of the code
	// "build-step", whose Evidence ends with that step's own output.
	Build(ctx context.Context, req Request, r *pipeline.Reporter) (Result, error)
}
