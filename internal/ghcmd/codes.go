package ghcmd

import "github.com/joelhooks/gh-sbw/internal/pipeline"

// The codes of this package's findings.
const (
	codeImageNotFound pipeline.Code = "image-not-found"
	codeCatalogEmpty  pipeline.Code = "catalog-empty"
	codeCatalogAbsent pipeline.Code = "catalog-absent"
)
