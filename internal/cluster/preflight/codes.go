package preflight

import "github.com/joelhooks/gh-sbw/internal/pipeline"

// The codes of this package's findings.
const (
	codeNoReplicas         pipeline.Code = "no-replicas"
	codeNodeNone           pipeline.Code = "node-none"
	codeNodePlatform       pipeline.Code = "node-platform"
	codePreflightBlind     pipeline.Code = "preflight-blind"
	codePullSecretMissing  pipeline.Code = "pull-secret-missing"
	codePullSecretUnusable pipeline.Code = "pull-secret-unusable"
	codeReferenceMissing   pipeline.Code = "reference-missing"
	codeStuckRollout       pipeline.Code = "stuck-rollout"
)
