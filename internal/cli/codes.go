package cli

import "github.com/joelhooks/gh-sbw/internal/pipeline"

// The codes of this package's findings.
const (
	CodeUnknown pipeline.Code = "code-unknown"
	CodeOutput  pipeline.Code = "output-unwritable"
)
