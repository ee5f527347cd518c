package forward

import "github.com/joelhooks/gh-sbw/internal/pipeline"

// The codes of this package's findings.
const (
	codeForwardForbidden pipeline.Code = "forward-forbidden"
	codePortUnknown      pipeline.Code = "port-unknown"
	codeServiceUnknown   pipeline.Code = "service-unknown"
	codeServiceUnready   pipeline.Code = "service-unready"
)
