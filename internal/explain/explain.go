// Package explain holds a page of documentation for every finding code: what
// it means, what usually causes it, what to do about it, and an example. The
// command `explain` of both plugins looks a page up by its code, or by the text
// of an error that somebody pastes, and prints it.
//
// A finding says in a few lines what happened in this run. A page explains the
// background and may be longer.
//
// To add a code, write its Entry into the file of its area, in alphabetical
// order. List the texts under which people will look for it as Aliases: the
// error as the registry, the kubelet or the Inngest server prints it. A test
// asks the type checker for all codes, and fails for a code without a page and
// for a page without a code.
package explain

import (
	"slices"
	"sort"
	"strings"
	"unicode"

	"github.com/joelhooks/gh-sbw/internal/editdistance"
)

// Entry is the page of one code.
type Entry struct {
	Code string `json:"code"`
	// Title says in a few words what the code means.
	Title string `json:"title"`
	// Symptom is what people see, Cause is the usual reason, and Remedy is what
	// to do about it.
	Symptom string `json:"symptom,omitempty"`
	Cause   string `json:"cause"`
	Remedy  string `json:"remedy"`
	// Example shows what to type or to write; it is printed as it is.
	Example string `json:"example,omitempty"`
	// Aliases are texts under which people look for the page, such as "exec
	// format error". "…" matches anything between two parts.
	Aliases []string `json:"aliases,omitempty"`
	// Docs are links to further documentation.
	Docs []string `json:"docs,omitempty"`
}

// List returns all entries, sorted by code.
func List() []Entry {
	all := slices.Concat(
		generalEntries, configEntries, identityEntries, registryEntries,
		buildEntries, contextEntries, imageEntries, layoutEntries, catalogEntries,
		clusterEntries, preflightEntries, manifestEntries, applyEntries,
		rolloutEntries, blockedEntries, judgedEntries, podEntries, probeEntries,
		inngestServerEntries, inngestAppEntries, inngestRunEntries,
	)
	sort.Slice(all, func(i, j int) bool { return all[i].Code < all[j].Code })
	return all
}

// generic lists aliases that occur in many different messages, because a program or
// the network layer puts them around the actual reason. They decide only if nothing
// else in the message is known ("Liveness probe failed: … context deadline exceeded"
// is about the probe), and among themselves by these ranks.
var generic = map[string]int{
	"failed to solve": rankWrapper, "failed to solve with frontend dockerfile.v0": rankWrapper,
	"error from server (notfound)": rankWrapper, "error from server (forbidden)": rankWrapper,
	"failed to resolve source metadata": rankReason,
	"context deadline exceeded":         rankReason, "i/o timeout": rankReason, "no such host": rankReason,
	"network is unreachable": rankReason, "tls handshake timeout": rankReason, "server misbehaving": rankReason,
	"403 forbidden": rankReason, "401 unauthorized": rankReason,
	"unable to connect to the server": rankConnection,
}

// The ranks of generic aliases: a program's words around any reason, a reason that
// says nothing about the connection, and words that name the connection.
const (
	rankWrapper = 1 + iota
	rankReason
	rankConnection
)

// match returns how many letters of the query an alias accounts for, and 0 if
// neither contains the other. "…" in an alias matches anything.
func match(alias, q string) int {
	if alias == q {
		return 1 << 20
	}
	if len(q) >= 6 && strings.Contains(alias, q) {
		return len(q)
	}
	n, rest := 0, q
	for part := range strings.SplitSeq(alias, "…") {
		_, after, ok := strings.Cut(rest, strings.TrimSpace(part))
		if !ok {
			return 0
		}
		n, rest = n+len(part), after
	}
	return n
}

// maxSuggestions is how many codes a person reads before asking for all of them.
const maxSuggestions = 5

// Suggest returns the codes that a query without an entry may refer to, the best
// first: codes with a similar spelling, then codes whose text contains the words
// of the query.
func Suggest(query string) []string {
	q := fold(query)
	if q == "" {
		return nil
	}
	type near struct {
		code  string
		score float64
	}
	var all []near
	words := strings.Fields(strings.ReplaceAll(q, "-", " "))
	for _, e := range List() {
		score := 0.0
		if d := editdistance.Distance(q, e.Code); d <= max(2, len(q)/4) {
			score = 2 - float64(d)/float64(len(q)+1)
		} else {
			text := fold(strings.Join(append([]string{strings.ReplaceAll(e.Code, "-", " "), e.Title, e.Symptom}, e.Aliases...), " "))
			hits := 0
			for _, w := range words {
				if len(w) > 2 && strings.Contains(text, w) {
					hits++
				}
			}
			if 2*hits > len(words) {
				score = float64(hits) / float64(len(words))
				if strings.Contains(e.Code, words[0]) {
					score += 0.1
				}
			}
		}
		if score > 0 {
			all = append(all, near{e.Code, score})
		}
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].score > all[j].score })
	var codes []string
	for _, n := range all[:min(len(all), maxSuggestions)] {
		codes = append(codes, n.code)
	}
	return codes
}

// fold makes texts comparable: lower case, without quotes, and with one space
// for each sequence of white space.
func fold(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case strings.ContainsRune("\"'`“”‘’", r):
			return -1
		case unicode.IsSpace(r):
			return ' '
		}
		return unicode.ToLower(r)
	}, s)
	return strings.Trim(strings.Join(strings.Fields(s), " "), ".:;, ")
}
