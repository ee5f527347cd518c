package verdict

import (
	"strings"

	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// A failed pull has only one reason (ErrImagePull); only the runtime's text says more.
// The order matters: the message about a missing platform also contains "not found",
// and a proxy's 503 may contain any word.
var (
	pullNetwork = lazyregexp.New(
		`(?i)connection refused|connection reset|i/o timeout|no such host|network is unreachable|no route to host|` +
			`TLS handshake timeout|deadline exceeded|server misbehaving|temporary failure in name resolution|unexpected EOF|: EOF|` +
			`50[0234] |toomanyrequests|429 Too Many|QPS exceeded|registry is unavailable`,
	)
	pullPlatform = lazyregexp.New(
		`(?i)no match for platform|no matching manifest for|does not match the specified platform|choosing an image from manifest list`,
	)
	pullDenied = lazyregexp.New(
		`(?i)401 Unauthorized|403 Forbidden|unauthorized|denied|insufficient_scope|no basic auth credentials|` +
			`authentication required|failed to authorize`,
	)
	pullMissing = lazyregexp.New(`(?i)not found|manifest unknown|name unknown|repository does not exist|404`)
	pullTrust   = lazyregexp.New(`(?i)x509:|certificate`)
)

// pull describes a failed pull.
func pull(image, message string) *Cause {
	why := reason(termtext.Line(message))
	switch {
	case pullPlatform.MatchString(message):
		return terminal(
			CodeImagePlatform,
			"image "+image+" has no variant for the node's platform",
			why,
			"build it for that platform: `gh sbw publish --platform linux/ARCH`",
		)
	case pullNetwork.MatchString(message):
		return transient(
			CodeImageNetwork,
			"the registry of "+image+" does not answer the node",
			why,
			"check that the registry is up and that the node can reach it",
		)
	case pullDenied.MatchString(message):
		return terminal(
			CodeImageDenied,
			"the node is not allowed to pull "+image,
			why,
			"give the pod an imagePullSecret with read:packages for that registry, or make the package public "+
				"(some registries answer a wrong name like this, too); since Kubernetes 1.35 an image that another pod has pulled onto "+
				"the node does not replace the secret",
		)
	case pullTrust.MatchString(message):
		return transient(
			CodeImagePull,
			"the node does not trust the registry of "+image,
			why,
			"install the registry's certificate authority on the node",
		)
	case pullMissing.MatchString(message):
		return terminal(
			CodeImageNotFound,
			"image "+image+" does not exist",
			why,
			"check the tag: `gh sbw tags` lists the published ones, `gh sbw publish` publishes one",
		)
	}
	return transient(CodeImagePull, "image "+image+" cannot be pulled", why, "follow the message")
}

// reason removes the prefixes that repeat the image's name.
func reason(s string) string {
	for _, mark := range []string{"failed to resolve reference ", "failed to pull and unpack image ", "Failed to pull image "} {
		i := strings.LastIndex(s, mark)
		if i < 0 {
			continue
		}
		rest := s[i+len(mark):]
		if _, tail, ok := strings.Cut(rest, ": "); ok && tail != "" {
			return tail
		}
	}
	return s
}
