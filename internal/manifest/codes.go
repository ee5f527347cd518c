package manifest

import "github.com/joelhooks/gh-sbw/internal/pipeline"

// The codes of this package's findings.
const (
	codeManifestAmbiguous    pipeline.Code = "manifest-ambiguous"
	codeManifestChanged      pipeline.Code = "manifest-changed"
	codeManifestDuplicateKey pipeline.Code = "manifest-duplicate-key"
	codeManifestEncoding     pipeline.Code = "manifest-encoding"
	codeManifestImageForm    pipeline.Code = "manifest-image-form"
	codeManifestImageRef     pipeline.Code = "manifest-image-ref"
	codeManifestKustomize    pipeline.Code = "manifest-kustomize"
	codeManifestNoContainer  pipeline.Code = "manifest-no-container"
	codeManifestNoImage      pipeline.Code = "manifest-no-image"
	codeManifestNotAFile     pipeline.Code = "manifest-not-a-file"
	codeManifestNotFound     pipeline.Code = "manifest-not-found"
	codeManifestNotObjects   pipeline.Code = "manifest-not-objects"
	codeManifestNotYAML      pipeline.Code = "manifest-not-yaml"
	codeManifestOutside      pipeline.Code = "manifest-outside"
	codeManifestSharedImage  pipeline.Code = "manifest-shared-image"
	codeManifestTemplate     pipeline.Code = "manifest-template"
	// codeNoWorkload means that a file, or all files, do not contain the workload.
	codeNoWorkload pipeline.Code = "manifest-no-workload"
)
