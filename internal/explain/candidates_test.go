package explain

import (
	"slices"
	"testing"
)

func TestCandidates(t *testing.T) {
	everywhere := []string{"cluster-unreachable", "image-network", "registry-unreachable", "inngest-unreachable"}
	certificates := []string{"cluster-tls", "registry-tls"}
	for query, want := range map[string][]string{
		"TLS handshake timeout":                                                 everywhere,
		"net/http: TLS handshake timeout":                                       everywhere,
		"connection refused":                                                    everywhere,
		"dial tcp 10.0.0.9:443: i/o timeout":                                    everywhere,
		"read: connection reset by peer":                                        everywhere,
		"lookup example.com: no such host":                                      everywhere,
		"context deadline exceeded":                                             everywhere,
		"unexpected EOF":                                                        everywhere,
		"x509: certificate signed by unknown authority":                         certificates,
		"x509: certificate has expired or is not yet valid":                     certificates,
		"tls: failed to verify certificate: x509: certificate has expired":      certificates,
		`Get "https://10.0.0.9:6443/api": net/http: TLS handshake timeout`:      {"cluster-unreachable"},
		"Unable to connect to the server: net/http: TLS handshake timeout":      {"cluster-unreachable"},
		`Get "https://ghcr.io/v2/": net/http: TLS handshake timeout`:            {"registry-unreachable"},
		`Post "http://inngest-svc:8288/v0/gql": connection reset by peer`:       {"inngest-unreachable"},
		`failed to pull image "ghcr.io/a/b:c": net/http: TLS handshake timeout`: {"image-network"},
		`Get "https://ghcr.io/v2/": x509: certificate has expired`:              {"registry-tls"},
		`Get "https://api.github.com/user": dial tcp: i/o timeout`:              {"github-unreachable"},
		"exec /usr/local/bin/bun: exec format error":                            {"exec-format"},
		"exec-format": {"exec-format"},
		"Liveness probe failed: Get x: context deadline exceeded": {"liveness"},
		"zzz": nil,
		"":    nil,
	} {
		var got []string
		for _, e := range Candidates(query) {
			got = append(got, e.Code)
		}
		if len(want) < 2 && !slices.Equal(got, want) {
			t.Errorf("%q leads to %q, want %q", query, got, want)
		}
		for _, code := range want {
			if !slices.Contains(got, code) {
				t.Errorf("%q leads to %q, want %q among them", query, got, code)
			}
		}
	}
}

// TestAreasExist: every code about a connection has a page.
func TestAreasExist(t *testing.T) {
	for _, a := range connections {
		for _, code := range []string{a.network, a.tls} {
			if e, ok := lookUp(code); code != "" && (!ok || e.Code != code) {
				t.Errorf("no page explains %q", code)
			}
		}
	}
}
