package ui

import (
	"strings"

	"github.com/charmbracelet/x/ansi"

	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// Sanitize makes text from elsewhere (a pod's log, a registry's answer, a
// branch name) safe for one line of a terminal. Everything that this package
// prints passes through it in one place: where events, findings and cells become
// lines.
func Sanitize(s string) string { return termtext.Visible(s) }

// SanitizeLines is Sanitize for text of several lines; empty lines at the end
// are left out.
func SanitizeLines(s string) []string {
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s)
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	if len(lines) == 1 && lines[0] == "" {
		return nil
	}
	for i, l := range lines {
		lines[i] = strings.TrimRight(Sanitize(l), " ")
	}
	return lines
}

// width returns the largest number of cells that s may occupy, without escape
// sequences. Terminals differ in how they count joined emoji and variation
// selectors: some by grapheme, some by rune. A line that fits either way never
// wraps.
func width(s string) int { return max(ansi.StringWidth(s), ansi.StringWidthWc(s)) }

// cut shortens s to n cells, with an ellipsis where something is missing.
func cut(s string, n int) string {
	if n <= 0 {
		return ""
	}
	if width(s) <= n {
		return s
	}
	for limit := n; limit > 0; limit-- {
		if t := ansi.Truncate(s, limit, "…"); width(t) <= n {
			return t
		}
	}
	return ""
}

// pad fills s up to n cells.
func pad(s string, n int) string {
	if w := width(s); w < n {
		return s + strings.Repeat(" ", n-w)
	}
	return s
}

// padLeft fills s up to n cells from the left, for numbers.
func padLeft(s string, n int) string {
	if w := width(s); w < n {
		return strings.Repeat(" ", n-w) + s
	}
	return s
}
