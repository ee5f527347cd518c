package checkout

import "github.com/joelhooks/gh-sbw/internal/pipeline"

// Codes of this package's findings.
const (
	CodeMissing    pipeline.Code = "checkout-missing"
	CodeNone       pipeline.Code = "git-none"
	CodeDirty      pipeline.Code = "git-dirty"
	CodeDistrusted pipeline.Code = "git-distrusted"
)
