package image

import "github.com/joelhooks/gh-sbw/internal/pipeline"

// The codes of this package's findings.
const (
	codeImagePrivate    pipeline.Code = "image-private"
	codeImageUnreadable pipeline.Code = "image-unreadable"
)
