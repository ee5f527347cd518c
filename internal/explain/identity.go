package explain

const packagesDoc = "https://docs.github.com/en/packages/working-with-a-github-packages-registry/working-with-the-container-registry"

// identityEntries are about whose token it is and what it may do.
var identityEntries = []Entry{
	{
		Code:    "credential-command",
		Title:   "the command that prints the token failed",
		Cause:   "credentials.command of .sbw.yaml ended with an error, printed nothing, or took too long. It is run as it stands, without a shell, and its output is the token.",
		Remedy:  "Run it by hand: it has to print the token and nothing else on stdout. A locked vault is the usual reason.",
		Aliases: []string{"secrets lease", "credentials.command"},
	},
	{
		Code:   "credential-user",
		Title:  "there is a token, and not whose it is",
		Cause:  "A registry other than GitHub's cannot be asked for the login behind a token, and wants one beside it.",
		Remedy: "Set GHCR_USER to the login that the token belongs to.",
	},
	{
		Code:    "github-unreachable",
		Title:   "GitHub does not answer",
		Cause:   "The API was asked for the login and the scopes of the token, and there was no answer: no network, a proxy, or an outage (githubstatus.com).",
		Remedy:  "Check the network and HTTPS_PROXY. With GHCR_TOKEN and GHCR_USER set nothing needs to be asked.",
		Aliases: []string{"dial tcp: lookup api.github.com", "error connecting to api.github.com"},
		Docs:    []string{"https://www.githubstatus.com"},
	},
	{
		Code:    "no-credential",
		Title:   "no login for this registry",
		Cause:   "A token is looked for in GHCR_TOKEN, then in credentials.command of .sbw.yaml, then in gh's login for the host that the registry belongs to. There was none. A token never goes to another host than its own, so that a login for github.com does not serve an Enterprise host.",
		Remedy:  "gh auth login -h github.com -s write:packages",
		Aliases: []string{"gh auth login", "not logged into any GitHub hosts", "no basic auth credentials"},
		Docs:    []string{packagesDoc},
	},
	{
		Code:    "organization-policy",
		Title:   "the organisation does not let this token make packages",
		Symptom: "installation not allowed to Create organization package",
		Cause:   "In a workflow: its permissions lack packages: write. Else: the organisation's settings do not allow members to create packages of this visibility.",
		Remedy:  "Add \"permissions: packages: write\" to the workflow, or have an owner allow it under Settings → Packages → Package creation.",
		Aliases: []string{"installation not allowed to Create organization package", "installation not allowed to Write organization package"},
		Docs:    []string{packagesDoc},
	},
	{
		Code:    "package-permission",
		Title:   "the token may write packages, but not this one",
		Symptom: "denied: permission_denied: write_package",
		Cause:   "The package exists and belongs to somebody else, or is not linked to the repository that the workflow's token is of. It is often one that was first pushed by hand.",
		Remedy:  "In the package's settings give the repository the Write role under \"Manage Actions access\", or the user under \"Manage access\".",
		Aliases: []string{"permission_denied: write_package", "write_package"},
		Docs:    []string{"https://docs.github.com/en/packages/learn-github-packages/configuring-a-packages-access-control-and-visibility"},
	},
	{
		Code:    "token-fine-grained",
		Title:   "a fine-grained token cannot write packages",
		Cause:   "GitHub Packages takes classic tokens (ghp_…), OAuth tokens (gho_…, gh's own) and those of Actions; fine-grained ones (github_pat_…) are refused.",
		Remedy:  "Use gh's login with the scope (gh auth refresh -h github.com -s write:packages), or make a classic token with write:packages.",
		Aliases: []string{"github_pat_", "fine-grained personal access token"},
		Docs:    []string{packagesDoc},
	},
	{
		Code:    "token-rejected",
		Title:   "GitHub does not know this token",
		Symptom: "401 Bad credentials",
		Cause:   "It expired, was revoked, or was copied with something missing. GH_TOKEN and GITHUB_TOKEN in the environment come before gh's stored login: an old one there hides a good login.",
		Remedy:  "The finding names where the token came from: renew it there, or unset the variable.",
		Aliases: []string{"Bad credentials", "HTTP 401"},
	},
	{
		Code:    "token-scope",
		Title:   "the token lacks write:packages",
		Symptom: "denied: permission_denied: The token provided does not match expected scopes",
		Cause:   "gh's login by default has no scope for packages. Reading private ones takes read:packages, publishing write:packages.",
		Remedy:  "gh auth refresh -h github.com -s write:packages\nThat refuses to work while GH_TOKEN or GITHUB_TOKEN is set: unset it first.",
		Aliases: []string{"The token provided does not match expected scopes", "permission_denied", "write:packages", "read:packages", "missing scope"},
		Docs:    []string{packagesDoc},
	},
	{
		Code:    "token-sso",
		Title:   "the token is not authorised for the organisation's single sign-on",
		Symptom: "Resource protected by organization SAML enforcement",
		Cause:   "The organisation wants every token to be let in by hand once.",
		Remedy:  "github.com/settings/tokens → the token → Configure SSO → Authorize. For gh's login: gh auth refresh asks anew.",
		Aliases: []string{"Resource protected by organization SAML enforcement", "SAML", "X-GitHub-SSO"},
	},
}
