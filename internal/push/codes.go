package push

import "github.com/joelhooks/gh-sbw/internal/pipeline"

// The codes of this package's findings.
const (
	codeCompress       pipeline.Code = "layer-compress"
	codeLayoutBroken   pipeline.Code = "layout-broken"
	codeLayoutCorrupt  pipeline.Code = "layout-corrupt"
	codeRegistryDigest pipeline.Code = "registry-digest"
	codeTagExists      pipeline.Code = "tag-exists"
	codeTagNotMoved    pipeline.Code = "tag-not-moved"
	codeTagUnreadable  pipeline.Code = "tag-unreadable"
	codeUploadDamaged  pipeline.Code = "upload-damaged"
	codeUploadLost     pipeline.Code = "upload-lost"
)
