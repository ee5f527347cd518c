// Package explain is the book of what can go wrong: for each code of a finding
// its cause and its remedy, found by the code or by what people see.
//
// A finding tells what happened here and now, in one line each; an entry tells
// what lies behind it and may take its time. `explain CODE` of both plugins
// prints one.
//
// # To add a code
//
// Write its Entry into the file of its area, in the order of the alphabet, with
// the words by which people will look for it as Aliases: an error's text as the
// registry, the kubelet or the Inngest server has it. A test reads the module's
// source and fails for a code without an entry and for an entry without a code.
package explain

import (
	"slices"
	"sort"
	"strings"
	"unicode"
)

// Entry explains one code.
type Entry struct {
	Code string `json:"code"`
	// Title is the code in a few words.
	Title string `json:"title"`
	// Symptom is what one sees, Cause what lies behind it, Remedy what to do.
	Symptom string `json:"symptom,omitempty"`
	Cause   string `json:"cause"`
	Remedy  string `json:"remedy"`
	// Aliases are texts by which people look for it: "exec format error". "…"
	// stands for anything between two parts.
	Aliases []string `json:"aliases,omitempty"`
	// Docs are addresses to read on.
	Docs []string `json:"docs,omitempty"`
}

// List returns all entries, by code.
func List() []Entry {
	all := slices.Concat(
		generalEntries, configEntries, identityEntries, registryEntries,
		buildEntries, contextEntries, imageEntries, layoutEntries, catalogEntries,
		clusterEntries, preflightEntries, manifestEntries, applyEntries,
		rolloutEntries, podEntries, probeEntries,
		inngestServerEntries, inngestAppEntries, inngestRunEntries,
	)
	sort.Slice(all, func(i, j int) bool { return all[i].Code < all[j].Code })
	return all
}

// Lookup finds the entry of a code, of one of its aliases, or of a text that
// holds an alias: a line copied from a log. Of several the longest alias
// decides, since it says most; where two say the same, neither is taken.
func Lookup(query string) (Entry, bool) {
	q := fold(query)
	if q == "" {
		return Entry{}, false
	}
	var best Entry
	score, tie := 0, false
	for _, e := range List() {
		if e.Code == q || strings.ReplaceAll(e.Code, "-", " ") == q {
			return e, true
		}
		for _, alias := range e.Aliases {
			n := match(fold(alias), q)
			switch {
			case n > score:
				best, score, tie = e, n, false
			case n == score && n > 0 && e.Code != best.Code:
				tie = true
			}
		}
	}
	return best, score > 0 && !tie
}

// match is how many letters an alias and a query have in common, 0 where
// neither holds the other. "…" in an alias stands for anything.
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

// maxSuggestions is how many codes a person reads before listing them all.
const maxSuggestions = 4

// Suggest returns the codes that a query without an entry may have meant, best
// first: those spelt nearly so, then those whose text has its words.
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
		if d := distance(q, e.Code); d <= max(2, len(q)/4) {
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

// fold makes texts comparable: lower case, without quotes around or between,
// one space for each stretch of blanks.
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

// distance is Levenshtein's: how many letters to add, remove or change.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := range x {
		last := row[0]
		row[0] = i + 1
		for j := range y {
			d := last
			if x[i] != y[j] {
				d++
			}
			last = row[j+1]
			row[j+1] = min(d, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(y)]
}
