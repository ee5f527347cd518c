// Package termtext makes untrusted text (a pod's log, a termination message, an HTTP
// response) safe to print, so that it cannot control the terminal. Text keeps lines, Line
// makes a message one line, and Visible is for text that is quoted verbatim: everything
// that it replaces leaves a trace.
//
// Escape sequences are defined by ECMA-48. An unterminated one may have been cut off, or
// may be a trick to hide what follows. Text drops it up to the end of the line, because
// logs are cut anywhere; Visible hides nothing.
package termtext

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text removes what a terminal would act on: complete escape sequences, control
// characters, and invisible characters that change the direction of text. Line ends and
// tabs stay. A lone carriage return, as in progress bars, becomes a line end.
func Text(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\r\n", "\n")
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		if n, _ := escape(s[i:]); n > 0 {
			i += n
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '\r':
			b.WriteByte('\n')
		case r == '\n', r == '\t', !Hidden(r):
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

// Line is Text on one line, with sequences of spaces reduced to one.
func Line(s string) string { return strings.Join(strings.Fields(Text(s)), " ") }

// Cut shortens s to n characters, with an ellipsis where something is missing.
// Use it last: a secret that was cut in two can no longer be recognised.
func Cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n]) + "…"
}

// Visible makes s one line: complete escape sequences are removed, every other control,
// bidirectional or invisible character gets a visible replacement, and line ends and tabs
// become spaces. Printable text is not changed.
func Visible(s string) string {
	if clean(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		if n, whole := escape(s[i:]); whole {
			i += n
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n <= 1:
			b.WriteRune(utf8.RuneError)
		case r == '\r' && i+1 < len(s) && s[i+1] == '\n':
			// CR and LF together are one line end.
		case r == '\n', r == '\r', r == '\t', r == '\v', r == '\f', r == '\u2028', r == '\u2029', r == '\u0085':
			b.WriteByte(' ')
		case r < 0x20:
			b.WriteRune('\u2400' + r) // the control pictures: ␛ for ESC
		case r == 0x7f:
			b.WriteRune('\u2421')
		case Hidden(r):
			b.WriteRune(utf8.RuneError)
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

func clean(s string) bool {
	for _, r := range s {
		if r == utf8.RuneError || Hidden(r) {
			return false
		}
	}
	return true
}

// Hidden reports whether a character would control a terminal, reorder the text, or be
// invisible. The joiner is part of ordinary emoji and is not hidden.
func Hidden(r rune) bool {
	if r >= 0x20 && r < 0x7f || r == '\u200d' {
		return false
	}
	return unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029'
}

// escape returns the length of the escape sequence at the beginning of s (CSI, OSC and the
// other strings, and short ones), or 0. whole is false if the sequence is unterminated; n
// is then its length on this line.
func escape(s string) (n int, whole bool) {
	var kind byte
	switch {
	case len(s) >= 2 && s[0] == 0x1b:
		kind = s[1]
	case len(s) >= 2 && s[0] == 0xc2 && s[1] >= 0x80 && s[1] < 0xa0: // C1 in UTF-8
		kind = s[1] - 0x40
	default:
		return 0, false
	}
	switch kind {
	case '[':
		return controlSequence(s)
	case ']', 'P', 'X', '^', '_':
		return controlString(s)
	case '(', ')', '*', '+', '#', '%', ' ':
		if len(s) > 2 && s[2] >= 0x30 && s[2] <= 0x7e {
			return 3, true
		}
		return 0, false
	}
	if s[0] == 0x1b && kind >= 0x30 && kind <= 0x7e {
		return 2, true
	}
	return 0, false
}

// controlSequence is escape for a CSI sequence.
func controlSequence(s string) (n int, whole bool) {
	for i := 2; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 0x40 && c <= 0x7e:
			return i + 1, true
		case c < 0x20 || c > 0x3f:
			return i, false
		}
	}
	return len(s), false
}

// controlString is escape for an OSC, DCS, SOS, PM or APC string.
func controlString(s string) (n int, whole bool) {
	// No sequence of a terminal is longer than this. A longer one is a trick.
	const limit = 4096
	for i := 2; i < len(s); i++ {
		switch rest := s[i:]; {
		case i > limit:
			return 2, false
		case rest[0] == 0x07:
			return i + 1, true
		case strings.HasPrefix(rest, "\x1b\\"), strings.HasPrefix(rest, "\xc2\x9c"):
			return i + 2, true
		case rest[0] == '\n':
			return i, false
		}
	}
	return len(s), false
}
