package identity

import "github.com/joelhooks/gh-sbw/internal/pipeline"

// Codes of this package's findings.
const (
	CodeCredentialCommand pipeline.Code = "credential-command"
	CodeCredentialUser    pipeline.Code = "credential-user"
	CodeGithubUnreachable pipeline.Code = "github-unreachable"
	CodeNoCredential      pipeline.Code = "no-credential"
	CodeTokenFineGrained  pipeline.Code = "token-fine-grained"
	CodeTokenMalformed    pipeline.Code = "token-malformed"
	CodeTokenRejected     pipeline.Code = "token-rejected"
	CodeTokenScope        pipeline.Code = "token-scope"
	CodeTokenSso          pipeline.Code = "token-sso"
)
