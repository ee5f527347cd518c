package ui

import (
	"io"
	"strings"
)

// Rows is a table for a command's stdout.
type Rows struct {
	style  Style
	header []string
	rows   [][]string
}

// NewRows returns a table with a header (in capitals, like kubectl's). Without a
// header only rows are written, as for --no-headers.
func NewRows(s Style, header ...string) *Rows {
	return &Rows{style: s, header: sanitizeAll(header)}
}

// Add adds a row.
func (r *Rows) Add(cells ...string) { r.rows = append(r.rows, sanitizeAll(cells)) }

// Print always writes aligned columns, as kubectl does. Where the
// Style has a Width, the widest columns are cut so that no row is wrapped.
func (r *Rows) Print(w io.Writer) error {
	const gap = 3
	all := r.rows
	if len(r.header) > 0 {
		all = append([][]string{r.header}, all...)
	}
	widths := columns(all, gap, r.style.Width)
	var b strings.Builder
	for i, row := range all {
		line := layRow(row, widths, gap)
		if r.style.Width > 0 {
			line = cut(line, r.style.Width)
		}
		if i == 0 && len(r.header) > 0 {
			line = r.style.paint(dim, line)
		}
		b.WriteString(line + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// PrintTabs writes the rows with tabs between the cells and without a header:
// what gh writes if stdout is not a terminal.
func (r *Rows) PrintTabs(w io.Writer) error {
	var b strings.Builder
	for _, row := range r.rows {
		b.WriteString(strings.Join(row, "\t") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
