package layout

import "github.com/joelhooks/gh-sbw/internal/pipeline"

// The codes of this package's findings.
const (
	codeLayoutAmbiguous pipeline.Code = "layout-ambiguous"
	codeLayoutBroken    pipeline.Code = "layout-broken"
	codeLayoutDir       pipeline.Code = "layout-dir"
	codeLayoutLocked    pipeline.Code = "layout-locked"
	codeLayoutMissing   pipeline.Code = "layout-missing"
)
