package build

import "github.com/joelhooks/gh-sbw/internal/pipeline"

// Codes of findings that more than one builder reports.
const (
	CodePlatform pipeline.Code = "builder-platform"
	CodeCache    pipeline.Code = "builder-cache"
	// CodeLegacy means that Docker's legacy builder cannot do what the build
	// needs.
	CodeLegacy pipeline.Code = "builder-legacy"
	// CodeNoSpace means that the disk of the builder or of this machine is full.
	CodeNoSpace pipeline.Code = "build-no-space"
	// CodeShortName means that podman or buildah refuses to guess the registry.
	CodeShortName pipeline.Code = "base-image-short-name"
	// CodeExecForm means that a command was meant as a list but is not valid
	// JSON.
	CodeExecForm pipeline.Code = "dockerfile-exec-form"
	// CodeEpoch means that the builder cannot set the times of files.
	CodeEpoch pipeline.Code = "builder-epoch"
)
