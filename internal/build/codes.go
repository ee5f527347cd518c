package build

import "github.com/joelhooks/gh-sbw/internal/pipeline"

// The codes of this package's findings that more than one builder reports.
const (
	CodePlatform pipeline.Code = "builder-platform"
	CodeCache    pipeline.Code = "builder-cache"
	// CodeLegacy is that Docker's legacy builder cannot do what the build needs.
	CodeLegacy pipeline.Code = "builder-legacy"
	// CodeEpoch is that the builder cannot set the times of files.
	CodeEpoch pipeline.Code = "builder-epoch"
)
