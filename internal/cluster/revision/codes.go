package revision

import "github.com/joelhooks/gh-sbw/internal/pipeline"

// The codes of this package's findings.
const (
	codeRevisionNone    pipeline.Code = "revision-none"
	codeRevisionUnknown pipeline.Code = "revision-unknown"
)
