package build

import "github.com/joelhooks/gh-sbw/internal/pipeline"

// The codes of this package's findings that more than one builder reports.
const (
	CodePlatform pipeline.Code = "builder-platform"
	CodeCache    pipeline.Code = "builder-cache"
	// CodeLegacy is that Docker's legacy builder cannot do what the build needs.
	CodeLegacy pipeline.Code = "builder-legacy"
	// CodeNoSpace is that a disk is full, the builder's or this machine's.
	CodeNoSpace pipeline.Code = "build-no-space"
	// CodeShortName is that podman or buildah does not guess the registry.
	CodeShortName pipeline.Code = "base-image-short-name"
	// CodeExecForm is a command that was meant as a list and is not JSON.
	CodeExecForm pipeline.Code = "dockerfile-exec-form"
	// CodeEpoch is that the builder cannot set the times of files.
	CodeEpoch pipeline.Code = "builder-epoch"
)
