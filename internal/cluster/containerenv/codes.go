package containerenv

import "github.com/joelhooks/gh-sbw/internal/pipeline"

// The codes of this package's findings.
const (
	codeKeySource       pipeline.Code = "key-source"
	codeKeySourceUnread pipeline.Code = "key-source-unread"
)
