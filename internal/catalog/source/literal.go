package source

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Unquote returns the value of a string literal, quotes included.
func Unquote(b []byte) (string, bool) {
	if len(b) < 2 {
		return "", false
	}
	return Unescape(b[1 : len(b)-1])
}

// Unescape resolves the escapes of strings and templates.
func Unescape(b []byte) (string, bool) {
	var out strings.Builder
	for i := 0; i < len(b); {
		c := b[i]
		if c != '\\' {
			// A template's line ends are \n whatever the file has.
			if c == '\r' {
				c = '\n'
				if i+1 < len(b) && b[i+1] == '\n' {
					i++
				}
			}
			out.WriteByte(c)
			i++
			continue
		}
		if i+1 >= len(b) {
			return "", false
		}
		c = b[i+1]
		i += 2
		switch c {
		case 'n':
			out.WriteByte('\n')
		case 't':
			out.WriteByte('\t')
		case 'r':
			out.WriteByte('\r')
		case 'b':
			out.WriteByte('\b')
		case 'f':
			out.WriteByte('\f')
		case 'v':
			out.WriteByte('\v')
		case '0':
			out.WriteByte(0)
		case '\n':
		case '\r':
			if i < len(b) && b[i] == '\n' {
				i++
			}
		case 'x':
			if i+2 > len(b) {
				return "", false
			}
			n, err := strconv.ParseUint(string(b[i:i+2]), 16, 8)
			if err != nil {
				return "", false
			}
			out.WriteRune(rune(n))
			i += 2
		case 'u':
			r, n, ok := unicodeEscape(b[i:])
			if !ok {
				return "", false
			}
			i += n
			if utf16.IsSurrogate(r) && i+1 < len(b) && b[i] == '\\' && b[i+1] == 'u' {
				if low, n, ok := unicodeEscape(b[i+2:]); ok {
					r = utf16.DecodeRune(r, low)
					i += 2 + n
				}
			}
			out.WriteRune(r)
		default:
			out.WriteByte(c)
		}
	}
	return out.String(), true
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

// LiteralNumber reads a numeric literal; it does not take a BigInt.
func LiteralNumber(b []byte) (float64, bool) {
	s := strings.ReplaceAll(string(b), "_", "")
	if strings.HasSuffix(s, "n") {
		return 0, false
	}
	f := Number(s)
	return f, !math.IsNaN(f)
}

// Number returns what the language's Number(text) does.
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
	// ParseFloat also takes what JavaScript does not: "inf", "nan", hex, "_".
	if strings.ContainsAny(s, "xXpP_nNiI") {
		return math.NaN()
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(f, 0) {
		return math.NaN()
	}
	return f
}
