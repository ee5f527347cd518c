package manifest

import (
	"bytes"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// scalar returns the position of a scalar's text, without its quotes. ok is false
// for forms that cannot be replaced by one word: a plain scalar that spans
// several lines, or a block scalar with several lines.
func (s *stream) scalar(n *yaml.Node) (at span, ok bool) {
	if s.json != nil {
		at, ok = s.json[n]
		return at, ok
	}
	i, ok := offset(s.src, n.Line, n.Column)
	if !ok {
		return span{}, false
	}
	i = afterProperties(s.src, i)
	if i >= len(s.src) {
		return span{}, false
	}
	switch rest := s.src[i:]; {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		return quoted(s.src, i, '"')
	case n.Style&yaml.SingleQuotedStyle != 0:
		return quoted(s.src, i, '\'')
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return block(s.src, i, n.Value)
	default:
		// The text of a plain scalar on one line equals its value.
		return span{i, i + len(n.Value)}, n.Value != "" && bytes.HasPrefix(rest, []byte(n.Value))
	}
}

// offset converts a position of the YAML parser into a byte offset. The parser's
// columns count characters, its lines also end at NEL, LS and PS (YAML 1.1, 5.4),
// and it does not count a byte order mark at the start.
func offset(src []byte, line, column int) (int, bool) {
	i := len(src) - len(bytes.TrimPrefix(src, bom))
	for ; line > 1; line-- {
		for {
			if i >= len(src) {
				return 0, false
			}
			if w := lineBreak(src[i:]); w > 0 {
				i += w
				break
			}
			i++
		}
	}
	for ; column > 1; column-- {
		if i >= len(src) {
			return 0, false
		}
		_, w := utf8.DecodeRune(src[i:])
		i += w
	}
	return i, true
}

// lineBreak returns the length of the line break at the start of b, or 0.
func lineBreak(b []byte) int {
	for _, s := range []string{"\r\n", "\n", "\r", "\u0085", "\u2028", "\u2029"} {
		if bytes.HasPrefix(b, []byte(s)) {
			return len(s)
		}
	}
	return 0
}

// afterProperties skips the anchor and the tag before a scalar, and the spaces,
// comments and line breaks after them. A scalar cannot begin with any of these.
func afterProperties(src []byte, i int) int {
	for i < len(src) {
		switch c := src[i]; {
		case c == ' ' || c == '\t':
			i++
		case lineBreak(src[i:]) > 0:
			i += lineBreak(src[i:])
		case c == '#':
			for i < len(src) && lineBreak(src[i:]) == 0 {
				i++
			}
		case c == '&' || c == '!':
			for i < len(src) && src[i] != ' ' && src[i] != '\t' && lineBreak(src[i:]) == 0 {
				i++
			}
		default:
			return i
		}
	}
	return i
}

func quoted(src []byte, i int, quote byte) (span, bool) {
	if src[i] != quote {
		return span{}, false
	}
	start := i + 1
	for i = start; i < len(src); i++ {
		switch {
		case src[i] == '\\' && quote == '"':
			i++
		case src[i] == quote && quote == '\'' && i+1 < len(src) && src[i+1] == quote:
			i++
		case src[i] == quote:
			return span{start, i}, true
		}
	}
	return span{}, false
}

// block returns the position of the only line with text in a block scalar.
func block(src []byte, i int, value string) (span, bool) {
	for i < len(src) && lineBreak(src[i:]) == 0 { // the header: | or >, indicators, comment
		i++
	}
	for i < len(src) {
		c := src[i]
		if w := lineBreak(src[i:]); w > 0 {
			i += w
		} else if c == ' ' {
			i++
		} else {
			break
		}
	}
	at := span{i, i + len(value)}
	// Kubernetes does not accept an image with a line break in its value (clipped,
	// kept, several lines), and stamping it would change more than the image.
	return at, value != "" && !bytes.ContainsAny([]byte(value), "\r\n") && bytes.HasPrefix(src[i:], []byte(value))
}
