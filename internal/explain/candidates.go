package explain

import (
	"slices"
	"strings"
)

// Candidates returns the pages for a code or for the text of an error. It returns one
// page if the text decides which one. Messages of the network layer ("TLS handshake
// timeout") are the same whether the cluster, the registry or Inngest was called: if
// the text does not say which, the pages of all of them are returned. It returns
// nothing for an unknown text.
func Candidates(query string) []Entry {
	q := fold(query)
	for _, e := range List() {
		if q != "" && (e.Code == q || strings.ReplaceAll(e.Code, "-", " ") == q) {
			return []Entry{e}
		}
	}
	best, rank := matches(q)
	if rank == 0 && len(best) == 1 {
		return best
	}
	codes := areas(q)
	if one := named(q, codes); one != "" {
		codes, best = []string{one}, nil
	}
	for _, e := range List() {
		if slices.Contains(codes, e.Code) && !slices.ContainsFunc(best, func(b Entry) bool { return b.Code == e.Code }) {
			best = append(best, e)
		}
	}
	return best
}

// matches returns the entries with the longest alias in q. rank is that of a generic
// alias, or 0 if the alias is a specific one.
func matches(q string) (best []Entry, rank int) {
	score := 0
	for _, e := range List() {
		for _, alias := range e.Aliases {
			folded := fold(alias)
			n := match(folded, q)
			r := generic[folded]
			if r == 0 && everywhere(folded) || n > 0 && everywhere(q) && strings.Contains(folded, q) {
				r = rankReason
			}
			if r > 0 && n > 0 && (folded != q || everywhere(q)) {
				n = r
			}
			if n == 0 || n < score {
				continue
			}
			if n > score {
				best, score, rank = nil, n, r
			}
			if !slices.ContainsFunc(best, func(b Entry) bool { return b.Code == e.Code }) {
				best = append(best, e)
			}
		}
	}
	return best, rank
}

// everywhere reports whether a text is a message of the network layer that does not
// name the connection.
func everywhere(text string) bool {
	codes := areas(text)
	return len(codes) > 0 && named(text, codes) == ""
}

// area is a kind of connection, with the codes of its failures.
type area struct {
	network, tls string
	// marks are parts of a message by which the connection can be recognised.
	marks []string
}

// connections are in the order in which their marks are looked for. A failed pull also
// names the registry, and so does a base image that cannot be fetched.
var connections = []area{
	{network: "image-network", marks: []string{"failed to pull", "failed to resolve reference", "errimagepull", "imagepullbackoff"}},
	{network: "cluster-unreachable", tls: "cluster-tls", marks: []string{":6443", "unable to connect to the server", "/apis/", "/api/v1"}},
	{network: "build-network", marks: []string{"failed to resolve source metadata"}},
	{network: "registry-unreachable", tls: "registry-tls", marks: []string{"ghcr.io", "/v2/", ":5000"}},
	{network: "inngest-unreachable", marks: []string{"inngest", ":8288", "/v0/gql", "/fn/register"}},
	{network: "github-unreachable", marks: []string{"api.github.com"}},
	{network: "build-network", marks: []string{"failed to solve", "dockerfile"}},
}

// networkTexts and tlsTexts are messages of the network layer.
var (
	networkTexts = []string{
		"tls handshake timeout", "i/o timeout", "context deadline exceeded", "no such host", "server misbehaving",
		"network is unreachable", "no route to host", "connection refused", "connection reset by peer", "unexpected eof",
		"temporary failure in name resolution",
		"client.timeout exceeded",
		"econnrefused", "econnreset", "etimedout", "enotfound", "eai_again", "err_connection_refused", // as Node.js and browsers write them
	}
	tlsTexts = []string{
		"certificate signed by unknown authority", "certificate has expired", "failed to verify certificate",
		"certificate is valid for", "certificate is not trusted",
	}
)

// areas returns the codes of all connections that can fail with the message.
func areas(q string) (codes []string) {
	has := func(texts []string) bool {
		return slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(q, t) || len(q) >= 6 && strings.Contains(t, q) })
	}
	network, tls := has(networkTexts), has(tlsTexts)
	for _, a := range connections {
		if tls && a.tls != "" {
			codes = append(codes, a.tls)
		}
		if network && !tls && !slices.Contains(codes, a.network) {
			codes = append(codes, a.network)
		}
	}
	return codes
}

// named returns the one of the codes whose connection the message names, or "".
func named(q string, codes []string) string {
	for _, a := range connections {
		if !slices.ContainsFunc(a.marks, func(m string) bool { return strings.Contains(q, m) }) {
			continue
		}
		for _, code := range []string{a.tls, a.network} {
			if code != "" && slices.Contains(codes, code) {
				return code
			}
		}
	}
	return ""
}
