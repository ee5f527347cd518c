package source

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Unquote returns the value of a string literal with its quotes.
func Unquote(b []byte) (string, bool) {
	if len(b) < 2 {
		return "", false
	}
	return Unescape(b[1 : len(b)-1])
}

// escapes maps the escapes with one letter.
var escapes = map[byte]string{
	'n': "\n", 't': "\t", 'r': "\r", 'b': "\b", 'f': "\f", 'v': "\v", '0': "\x00", '\n': "",
}

// Unescape resolves the escapes in strings and templates.
func Unescape(b []byte) (string, bool) {
	var out strings.Builder
	for i := 0; i < len(b); {
		c := b[i]
		i++
		if c != '\\' {
			// In a template, every line break is
			// , whatever the file contains.
			if c == '\r' {
				c = '\n'
				if i < len(b) && b[i] == '\n' {
					i++
				}
			}
			out.WriteByte(c)
			continue
		}
		text, n, ok := escape(b[i:])
		if !ok {
			return "", false
		}
		out.WriteString(text)
		i += n
	}
	return out.String(), true
}

// escape reads what follows a backslash, and returns its length in bytes.
func escape(b []byte) (text string, n int, ok bool) {
	if len(b) == 0 {
		return "", 0, false
	}
	if text, ok := escapes[b[0]]; ok {
		return text, 1, true
	}
	switch b[0] {
	case '\r': // together with the line feed that follows
		if len(b) > 1 && b[1] == '\n' {
			return "", 2, true
		}
		return "", 1, true
	case 'x':
		if len(b) < 3 {
			return "", 0, false
		}
		code, err := strconv.ParseUint(string(b[1:3]), 16, 8)
		return string(rune(code)), 3, err == nil
	case 'u':
		r, n, ok := unicodeEscape(b[1:])
		n++
		if ok && utf16.IsSurrogate(r) && n+1 < len(b) && b[n] == '\\' && b[n+1] == 'u' {
			if low, m, ok := unicodeEscape(b[n+2:]); ok {
				r = utf16.DecodeRune(r, low)
				n += 2 + m
			}
		}
		return string(r), n, ok
	}
	return string(b[:1]), 1, true
}

// unicodeEscape reads what follows `\u`.
func unicodeEscape(b []byte) (r rune, n int, ok bool) {
	var digits []byte
	n = 4
	if len(b) > 0 && b[0] == '{' {
		end := strings.IndexByte(string(b), '}')
		if end < 0 {
			return 0, 0, false
		}
		digits, n = b[1:end], end+1
	} else if len(b) < 4 {
		return 0, 0, false
	} else {
		digits = b[:4]
	}
	v, err := strconv.ParseUint(string(digits), 16, 32)
	if err != nil || v > utf8.MaxRune {
		return 0, 0, false
	}
	return rune(v), n, true
}

// LiteralNumber reads a numeric literal. It does not accept a BigInt.
func LiteralNumber(b []byte) (float64, bool) {
	s := strings.ReplaceAll(string(b), "_", "")
	if strings.HasSuffix(s, "n") {
		return 0, false
	}
	f := Number(s)
	return f, !math.IsNaN(f)
}

// Number returns the result of the language's Number(text).
func Number(s string) float64 {
	s = strings.TrimSpace(s)
	if s == "" {
		return 0
	}
	if len(s) > 2 && s[0] == '0' {
		base := map[byte]int{'x': 16, 'X': 16, 'o': 8, 'O': 8, 'b': 2, 'B': 2}[s[1]]
		if base != 0 {
			n, err := strconv.ParseUint(s[2:], base, 64)
			if err != nil {
				return math.NaN()
			}
			return float64(n)
		}
	}
	switch s {
	case "Infinity", "+Infinity":
		return math.Inf(1)
	case "-Infinity":
		return math.Inf(-1)
	}
	// ParseFloat also accepts what JavaScript does not: "inf", "nan", hex,
	// "_".
	if strings.ContainsAny(s, "xXpP_nNiI") {
		return math.NaN()
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(f, 0) {
		return math.NaN()
	}
	return f
}
