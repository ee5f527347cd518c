package kubecmd

import "github.com/joelhooks/gh-sbw/internal/pipeline"

// The codes of this package's findings.
const (
	codeManifestMissing pipeline.Code = "manifest-missing"
	codeFunctionMissing pipeline.Code = "function-missing"
	codeAppMissing      pipeline.Code = "app-missing"
	codeInngestNone     pipeline.Code = "inngest-none"
)
