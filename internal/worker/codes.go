package worker

import "github.com/joelhooks/gh-sbw/internal/pipeline"

// The codes of this package's findings.
const (
	codeConfig          pipeline.Code = "config"
	codeWorkerAmbiguous pipeline.Code = "worker-ambiguous"
	codeWorkerUnknown   pipeline.Code = "worker-unknown"
)
