package runnable

import "github.com/joelhooks/gh-sbw/internal/pipeline"

// The codes of this package's findings.
const (
	codeEntrypointLoader  pipeline.Code = "entrypoint-loader"
	codeEntrypointMissing pipeline.Code = "entrypoint-missing"
	codeEntrypointMode    pipeline.Code = "entrypoint-mode"
	codeEntrypointNone    pipeline.Code = "entrypoint-none"
	codeExecFormat        pipeline.Code = "exec-format"
	codeImagePlatform     pipeline.Code = "image-platform"
	codeImagePort         pipeline.Code = "image-port"
	codeImageUnread       pipeline.Code = "image-unread"
	codeImageUser         pipeline.Code = "image-user"
	codeLayoutBroken      pipeline.Code = "layout-broken"
)
