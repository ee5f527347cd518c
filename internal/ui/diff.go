package ui

import (
	"io"
	"strings"
)

// PrintDiff writes a unified diff, coloured as git does. The diff's text may
// come from a cluster and is sanitised.
func PrintDiff(w io.Writer, s Style, diff string) error {
	var b strings.Builder
	for line := range strings.Lines(diff) {
		text := strings.TrimRight(line, "\r\n")
		text = strings.ReplaceAll(text, "\t", "    ")
		text = Sanitize(text)
		switch {
		case strings.HasPrefix(text, "+++"), strings.HasPrefix(text, "---"), strings.HasPrefix(text, "diff "):
			text = s.paint(bold, text)
		case strings.HasPrefix(text, "@@"):
			text = s.paint(cyan, text)
		case strings.HasPrefix(text, "+"):
			text = s.paint(green, text)
		case strings.HasPrefix(text, "-"):
			text = s.paint(red, text)
		}
		b.WriteString(text + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
