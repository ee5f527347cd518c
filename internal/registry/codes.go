package registry

import "github.com/joelhooks/gh-sbw/internal/pipeline"

// Codes of this package's findings.
const (
	CodeImageNotFound       pipeline.Code = "image-not-found"
	CodeOrganizationPolicy  pipeline.Code = "organization-policy"
	CodePackagePermission   pipeline.Code = "package-permission"
	CodeRegistryDenied      pipeline.Code = "registry-denied"
	CodeRegistryFailed      pipeline.Code = "registry-failed"
	CodeRegistryGarbled     pipeline.Code = "registry-garbled"
	CodeRegistryRateLimit   pipeline.Code = "registry-rate-limit"
	CodeRegistryRealm       pipeline.Code = "registry-realm"
	CodeRegistryRefused     pipeline.Code = "registry-refused"
	CodeRegistryTLS         pipeline.Code = "registry-tls"
	CodeRegistryUnreachable pipeline.Code = "registry-unreachable"
	CodeTokenScope          pipeline.Code = "token-scope"
)
