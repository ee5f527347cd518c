package ui

import "github.com/joelhooks/gh-sbw/internal/pipeline"

// sgr is a "select graphic rendition" parameter. Only the sixteen colours that
// every terminal maps to its own theme are used, so text stays readable on dark
// and on light backgrounds.
type sgr string

const (
	bold   sgr = "1"
	dim    sgr = "2"
	red    sgr = "31"
	green  sgr = "32"
	yellow sgr = "33"
	cyan   sgr = "36"
)

var severityColor = map[pipeline.Severity]sgr{
	pipeline.Note:    cyan,
	pipeline.Warning: yellow,
	pipeline.Error:   red,
}

func (s Style) paint(c sgr, text string) string {
	if !s.Color || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// Bold returns the text in bold if the style has colours.
func (s Style) Bold(text string) string { return s.paint(bold, text) }
