// Package ui tells people and machines what a run does: as a live view on a
// terminal, as plain lines, or as JSON lines.
package ui
