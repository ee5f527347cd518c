package explain

const ociDist = "https://github.com/opencontainers/distribution-spec/blob/main/spec.md"

// registryEntries are about what a registry answers.
var registryEntries = []Entry{
	{
		Code:    "image-not-found",
		Title:   "the image does not exist",
		Symptom: "ErrImagePull: … not found; manifest unknown; name unknown.",
		Cause:   "No image has that tag: a typing error, a tag that was never published, or another name. Some registries answer so for images that one may not see.",
		Remedy:  "gh sbw tags lists what is published; gh sbw publish makes one. If it is there, look at the visibility of the package and at the credential that asks.",
		Aliases: []string{"manifest unknown", "MANIFEST_UNKNOWN", "name unknown", "NAME_UNKNOWN", "failed to resolve reference", "repository does not exist", "code = NotFound desc = failed to pull and unpack image"},
		Docs:    []string{"https://kubernetes.io/docs/concepts/containers/images/"},
	},
	{
		Code:   "image-unreadable",
		Title:  "what the tag stands for is no image",
		Cause:  "The registry has something by that name whose manifest or config cannot be read as an image: an artifact of another kind, a schema of the past, or a damaged push.",
		Remedy: "Publish it again: gh sbw publish.",
	},
	{
		Code:    "registry-denied",
		Title:   "the registry refuses the credential",
		Symptom: "401 or 403 from the registry, often without a word.",
		Cause:   "The credential is of somebody who may not read, or not write, this package; or none was sent, and the package is private, as every package on GHCR is after its first push.",
		Remedy:  "The finding names the credential that was used. For publishing it has to be of someone with the Write role on the package; for reading, make the package public or grant Read.",
		Aliases: []string{"401 Unauthorized", "403 Forbidden", "unauthorized: authentication required", "denied: denied", "insufficient_scope"},
		Docs:    []string{packagesDoc},
	},
	{
		Code:   "registry-digest",
		Title:  "the registry has other bytes than were sent",
		Cause:  "A manifest came back under another digest: something between here and the registry rewrites manifests. Whoever pulls it would run something else than what was built.",
		Remedy: "Do not roll this tag out. Find the proxy, or push directly.",
	},
	{
		Code:    "registry-failed",
		Title:   "the registry fails",
		Symptom: "500, 502, 503 or 504, again and again.",
		Cause:   "The registry, or what stands before it, has a fault. Single ones pass and are tried again by themselves; this one stayed.",
		Remedy:  "Run it again later: blobs that are there are not sent again. TAG is untouched, or complete.",
		Aliases: []string{"502 Bad Gateway", "503 Service Unavailable", "500 Internal Server Error", "504 Gateway Timeout"},
		Docs:    []string{"https://www.githubstatus.com"},
	},
	{
		Code:    "registry-rate-limit",
		Title:   "the registry asks to slow down",
		Symptom: "429 Too Many Requests; 403 with \"secondary rate limit\".",
		Cause:   "Too many requests by this login or address. The delay that it asks for was waited for, and it was not enough.",
		Remedy:  "Wait some minutes and run it again; what is uploaded is not sent again.",
		Aliases: []string{"TOOMANYREQUESTS", "secondary rate limit", "too many requests", "429"},
	},
	{
		Code:   "registry-realm",
		Title:  "the credential was not sent to a strange host",
		Cause:  "The registry named a token service that is not its own or not encrypted. A credential goes to no host but the one it is for.",
		Remedy: "Check the registry's name. Its administrator can tell where its token endpoint is.",
	},
	{
		Code:    "registry-refused",
		Title:   "the registry refuses the request",
		Cause:   "An answer that means neither missing rights nor a passing fault. Its own words stand behind \"why\".",
		Remedy:  "Read them; the codes are those of the distribution specification.",
		Aliases: []string{"MANIFEST_INVALID", "UNSUPPORTED", "BLOB_UPLOAD_INVALID"},
		Docs:    []string{ociDist},
	},
	{
		Code:    "registry-tls",
		Title:   "the registry's certificate is not trusted",
		Cause:   "It is of an authority that this machine does not know (a company's proxy), for another name, or out of date.",
		Remedy:  "Add an own authority with SSL_CERT_FILE. Check the clock of the machine.",
		Aliases: []string{"x509: certificate signed by unknown authority", "x509: certificate has expired", "http: server gave HTTP response to HTTPS client"},
	},
	{
		Code:    "registry-unreachable",
		Title:   "the registry does not answer",
		Cause:   "Its name does not resolve, nothing listens there, or the connection breaks.",
		Remedy:  "Check the image's name, the network and HTTPS_PROXY, then run it again.",
		Aliases: []string{"no such host", "connection refused", "i/o timeout", "network is unreachable"},
	},
	{
		Code:    "tag-exists",
		Title:   "the tag is published with other content",
		Cause:   "A tag that moves makes clusters run different things under one name, and a rollback to it ambiguous.",
		Remedy:  "Choose another tag (the default, the commit, changes with the source), or move it with --overwrite. The same content under the same tag is no error.",
		Aliases: []string{"already published", "tag already exists"},
	},
	{
		Code:   "tag-not-moved",
		Title:  "the image is published, another tag was not moved to it",
		Cause:  "TAG is complete; setting latest failed after it.",
		Remedy: "Run it again with the same tag: nothing is sent twice.",
	},
	{
		Code:   "tag-unreadable",
		Title:  "the registry took the image and does not give it back yet",
		Cause:  "Registries that spread over regions may take some seconds. latest is moved only to what can be read.",
		Remedy: "Run it again in a minute.",
	},
}
