// Package termtext makes text that others wrote (a pod's log, a termination
// message, an answer over HTTP) safe to show: nothing in it acts on a terminal.
package termtext

import (
	"strings"
	"unicode"
)

// Text takes out what a terminal would act on: escape sequences as a whole,
// control characters, and the invisible ones that turn text around. Line ends
// and tabs stay; a lone carriage return becomes a line end, as progress bars
// use it.
func Text(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\r\n", "\n")
	var out strings.Builder
	out.Grow(len(s))
	runes := []rune(s)
	for i := 0; i < len(runes); i++ {
		switch r := runes[i]; {
		case r == '\n' || r == '\t':
			out.WriteRune(r)
		case r == '\r':
			out.WriteByte('\n')
		case r == 0x1b:
			i = escape(runes, i)
		case r == 0x9b: // CSI as one character
			i = sequence(runes, i+1)
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == 0x2028, r == 0x2029, r == 0xfeff:
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}

// Line is Text on one line, its spaces squeezed.
func Line(s string) string { return strings.Join(strings.Fields(Text(s)), " ") }

// escape returns the index of the last rune of the escape sequence at i
// (ECMA-48: CSI, the string sequences, and the two-character ones).
func escape(r []rune, i int) int {
	if i+1 >= len(r) {
		return i
	}
	switch r[i+1] {
	case '[':
		return sequence(r, i+2)
	case ']', 'P', 'X', '^', '_':
		for k := i + 2; k < len(r); k++ {
			switch {
			case r[k] == 0x07 || r[k] == 0x9c:
				return k
			case r[k] == 0x1b && k+1 < len(r) && r[k+1] == '\\':
				return k + 1
			case r[k] == '\n':
				// Never closed: the rest of the log is not to be lost for it.
				return k - 1
			}
		}
		return len(r) - 1
	}
	if r[i+1] == '\n' || r[i+1] == 0x1b {
		return i
	}
	return i + 1
}

// sequence returns the index of the final character of a CSI sequence whose
// parameters begin at i.
func sequence(r []rune, i int) int {
	for ; i < len(r); i++ {
		if r[i] >= 0x40 && r[i] <= 0x7e {
			return i
		}
		if r[i] < 0x20 || r[i] > 0x7e {
			return i - 1
		}
	}
	return len(r) - 1
}
