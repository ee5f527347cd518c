package ui

import (
	"io"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Style says how text is formatted. The zero Style is plain text.
type Style struct {
	// Program is the plugin's display name, "gh sbw" or "kubectl sbw", for the
	// commands that are named in hints.
	Program string
	Color   bool
	// Width is the width of the window in cells, or 0 for no limit.
	Width int
	// ASCII restricts output to characters that every terminal and log viewer has.
	ASCII bool
}

// PrintFindings writes findings in the form that both plugins share: what happened,
// why, what to do, where, the evidence, and the code to look up.
func PrintFindings(w io.Writer, s Style, findings []*pipeline.Finding) error {
	var b strings.Builder
	for _, f := range findings {
		for _, line := range s.finding(f) {
			b.WriteString(line + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// PrintError writes any error as findings. during says what was being done, for an
// error that is not a finding.
func PrintError(w io.Writer, s Style, during string, err error) error {
	return PrintFindings(w, s, pipeline.AsFindings(during, err))
}

// finding returns f as lines. The terminal wraps long lines, so that commands in them
// can be copied.
func (s Style) finding(f *pipeline.Finding) []string {
	label := s.paint(severityColor[f.Severity], f.Severity.String()+":")
	lines := []string{label + " " + s.paint(bold, Sanitize(f.What))}
	field := func(name, text string) {
		for i, l := range SanitizeLines(text) {
			if i > 0 {
				name = ""
			} else {
				name += ":"
			}
			lines = append(lines, "  "+s.paint(dim, pad(name, 6))+" "+l)
		}
	}
	field("why", f.Why)
	field("fix", f.Fix)
	field("where", f.Where)
	bar := "│"
	if s.ASCII {
		bar = "|"
	}
	for _, e := range f.Evidence {
		for _, l := range SanitizeLines(e) {
			lines = append(lines, "  "+s.paint(dim, bar)+" "+l)
		}
	}
	if f.Code != "" {
		hint := string(f.Code)
		if s.Program != "" {
			hint = s.Program + " explain " + hint
		}
		lines = append(lines, "  "+s.paint(dim, pad("more:", 6)+" "+Sanitize(hint)))
	}
	return lines
}
