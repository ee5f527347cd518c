package ui

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// Sanitize makes text from elsewhere (a pod's log, a registry's answer, a
// branch name) safe for one line of a terminal: escape sequences are removed,
// every other control, bidirectional or invisible character gets a visible
// replacement, and line ends become spaces. Printable text stays unchanged.
//
// Everything that this package prints passes through it in one place: where
// events, findings and cells become lines.
func Sanitize(s string) string {
	if clean(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		if n := escape(s[i:]); n > 0 {
			i += n
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n <= 1:
			b.WriteRune(utf8.RuneError)
		case r == '\r' && i+1 < len(s) && s[i+1] == '\n':
			// The pair counts as one line end.
		case r == '\n', r == '\r', r == '\t', r == '\v', r == '\f', r == '\u2028', r == '\u2029', r == '\u0085':
			b.WriteByte(' ')
		case r < 0x20:
			b.WriteRune('\u2400' + r) // the control pictures: ␛ for ESC
		case r == 0x7f:
			b.WriteRune('\u2421')
		case hidden(r):
			b.WriteRune(utf8.RuneError)
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

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

func clean(s string) bool {
	for _, r := range s {
		if r < 0x20 || r == 0x7f || r == utf8.RuneError || r >= 0x80 && hidden(r) {
			return false
		}
	}
	return true
}

// hidden reports whether a rune would control a terminal, reorder the text or
// be invisible. The joiner and the variation selectors are part of ordinary
// emoji and stay.
func hidden(r rune) bool {
	if r == '\u200d' {
		return false
	}
	return unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029'
}

// escape returns the length of the complete escape sequence at the beginning of s
// (ECMA-48: CSI, OSC and the other strings, two-character escapes), or 0. An
// unfinished one does not count: what follows it must stay readable.
func escape(s string) int {
	start := 0
	var kind byte
	switch {
	case len(s) >= 2 && s[0] == 0x1b:
		start, kind = 2, s[1]
	case len(s) >= 2 && s[0] == 0xc2 && s[1] >= 0x80 && s[1] < 0xa0: // C1 in UTF-8
		start, kind = 2, s[1]-0x40
	default:
		return 0
	}
	switch kind {
	case '[':
		return controlSequence(s, start)
	case ']', 'P', 'X', '^', '_':
		return controlString(s, start)
	case '(', ')', '*', '+', '#', '%', ' ':
		if len(s) > 2 && s[2] >= 0x30 && s[2] <= 0x7e {
			return 3
		}
		return 0
	}
	if s[0] == 0x1b && kind >= 0x30 && kind <= 0x7e {
		return 2
	}
	return 0
}

// controlSequence returns where a CSI sequence ends whose parameters begin at start.
func controlSequence(s string, start int) int {
	for i := start; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 0x40 && c <= 0x7e:
			return i + 1
		case c < 0x20 || c > 0x3f:
			return 0
		}
	}
	return 0
}

// controlString returns where an OSC, DCS, SOS, PM or APC string ends whose content
// begins at start.
func controlString(s string, start int) int {
	// No sequence of a terminal is longer than this. A longer one is a trick.
	const limit = 4096
	for i := start; i < len(s) && i < limit; i++ {
		switch rest := s[i:]; {
		case rest[0] == 0x07:
			return i + 1
		case strings.HasPrefix(rest, "\x1b\\"), strings.HasPrefix(rest, "\xc2\x9c"):
			return i + 2
		case rest[0] == '\n':
			return 0
		}
	}
	return 0
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

// FormatBytes writes a size in powers of 1000, as registries and uplinks are
// measured: "28.2 MB".
func FormatBytes(n int64) string {
	if n < 0 {
		return "-" + FormatBytes(-n)
	}
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n)/1000, 0
	for v >= 999.95 && unit < 4 {
		v, unit = v/1000, unit+1
	}
	return fmt.Sprintf("%.1f %cB", v, "kMGTP"[unit])
}

// FormatDuration writes a duration the way people read it: "0.4s", "12.3s",
// "3m05s", "2h07m".
func FormatDuration(d time.Duration) string {
	switch {
	case d < 0:
		return "0.0s"
	case d < 99950*time.Millisecond:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Hour:
		d = d.Round(time.Second)
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	d = d.Round(time.Minute)
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

// plural writes a number with its noun.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
