// Package editdistance finds the word that somebody most likely meant. Nearest
// answers "did you mean …?"; Distance is for callers with a limit of their own.
package editdistance

import "strings"

// Nearest is the candidate that a person most likely meant by word, or "" when
// none is within two edits or a third of its length. Case does not count.
func Nearest(word string, candidates []string) string {
	best, least := "", 0
	for _, c := range candidates {
		d := Distance(strings.ToLower(word), strings.ToLower(c))
		if limit := max(2, len(c)/3); d <= limit && d < len(c) && (best == "" || d < least) {
			best, least = c, d
		}
	}
	return best
}

// Distance is Levenshtein's: how many bytes to add, remove or replace.
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost = 1 + min(diagonal, row[j], row[j-1])
			}
			diagonal, row[j] = row[j], cost
		}
	}
	return row[len(b)]
}
