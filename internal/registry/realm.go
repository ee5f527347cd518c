package registry

import (
	"net"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// IsGitHub reports whether a registry is GitHub's: ghcr.io, or containers.HOST of
// an enterprise server.
func IsGitHub(registry string) bool {
	host := hostname(registry)
	return host == "ghcr.io" || strings.HasPrefix(host, "containers.")
}

// knownRealm returns the token endpoint of GitHub's registries. Knowing it saves
// the first request, which would be refused. If the guess is wrong, the endpoint
// answers 404, and the client follows the registry's challenge instead.
func knownRealm(reg name.Registry) *transport.Challenge {
	if !IsGitHub(reg.RegistryStr()) {
		return nil
	}
	return &transport.Challenge{
		Scheme: "bearer",
		Parameters: map[string]string{
			"realm":   reg.Scheme() + "://" + reg.RegistryStr() + "/token",
			"service": reg.RegistryStr(),
		},
		Insecure: reg.Scheme() == "http",
	}
}

// checkRealm refuses to send a credential to a host that does not belong to the
// registry. A registry may name any token endpoint, so a token could leak here.
// GitHub's registries have their endpoint on their own host and port, others
// (Docker Hub, GitLab) on a sibling host under the same registrable domain, and
// local ones on another port.
func checkRealm(reg name.Registry, ch *transport.Challenge, cfg *authn.AuthConfig) error {
	if *cfg == (authn.AuthConfig{}) {
		return nil
	}
	own := reg.RegistryStr()
	realm, err := url.Parse(ch.Parameters["realm"])
	if err != nil || realm.Host == "" {
		return realmFinding(own, "it does not give a URL for its token endpoint")
	}
	switch {
	case realm.Scheme != "https" && realm.Scheme != reg.Scheme():
		return realmFinding(own, "its token endpoint "+realm.Host+" is not HTTPS")
	case strings.EqualFold(realm.Host, own):
		return nil
	case IsGitHub(own):
		return realmFinding(own, "it names a token endpoint on another host, "+realm.Host)
	case strings.EqualFold(realm.Hostname(), hostname(own)) && loopback(hostname(own)):
		return nil
	}
	if a := domain(realm.Hostname()); a == "" || a != domain(hostname(own)) {
		return realmFinding(own, "it names a token endpoint on another host, "+realm.Host)
	}
	return nil
}

// domain returns the registrable part of a host name: its last two labels, or
// three below a country's second level (co.uk, com.au). The list of all public
// suffixes is not used, because it would add 90 KB to the program and would
// matter only for registries other than GitHub's.
func domain(host string) string {
	if net.ParseIP(host) != nil {
		return ""
	}
	labels := strings.Split(strings.ToLower(strings.TrimSuffix(host, ".")), ".")
	n := len(labels)
	most := 2
	if n >= 2 && len(labels[n-1]) == 2 && len(labels[n-2]) <= 3 {
		most = 3
	}
	if n < most {
		return ""
	}
	return strings.Join(labels[n-most:], ".")
}

func realmFinding(registry, why string) error {
	return &pipeline.Finding{
		Code: CodeRegistryRealm, Severity: pipeline.Error,
		What: "the credential for " + registry + " was not sent",
		Why:  why,
		Fix:  "check the registry's name; its administrator knows where its token endpoint is",
	}
}

func hostname(registry string) string {
	if host, _, err := net.SplitHostPort(registry); err == nil {
		registry = host
	}
	return strings.ToLower(strings.Trim(registry, "[]"))
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}
