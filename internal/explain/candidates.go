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
	best, specific := matches(q)
	if specific && len(best) == 1 {
		return best
	}
	codes := areas(q)
	for _, e := range List() {
		if slices.Contains(codes, e.Code) && !slices.ContainsFunc(best, func(b Entry) bool { return b.Code == e.Code }) {
			best = append(best, e)
		}
	}
	if one := named(q, codes); one != "" {
		best = slices.DeleteFunc(best, func(e Entry) bool { return e.Code != one })
	}
	return best
}

// matches returns the entries with the longest alias in q, and whether that alias
// belongs to them alone.
func matches(q string) (best []Entry, specific bool) {
	score := 0
	for _, e := range List() {
		for _, alias := range e.Aliases {
			folded := fold(alias)
			n := match(folded, q)
			rank := generic[folded]
			if rank == 0 && everywhere(folded) || n > 0 && everywhere(q) && strings.Contains(folded, q) {
				rank = 1
			}
			if rank > 0 && n > 0 {
				n = rank
			}
			if n == 0 || n < score {
				continue
			}
			if n > score {
				best, score, specific = nil, n, rank != 1
			}
			if !slices.ContainsFunc(best, func(b Entry) bool { return b.Code == e.Code }) {
				best = append(best, e)
			}
		}
	}
	return best, specific
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

var connections = []area{
	{network: "cluster-unreachable", tls: "cluster-tls", marks: []string{":6443", "unable to connect to the server", "/apis/", "/api/v1"}},
	{network: "image-network", marks: []string{"failed to pull", "failed to resolve reference", "errimagepull", "imagepullbackoff"}},
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
		"client.timeout exceeded",
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
		if network && !tls {
			codes = append(codes, a.network)
		}
	}
	return codes
}

// named returns the one of the codes whose connection the message names, or "".
func named(q string, codes []string) string {
	for _, i := range []int{1, 0, 2, 3, 4, 5} { // a failed pull also names the registry
		a := connections[i]
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
