package ui

import (
	"fmt"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"

	"github.com/joelhooks/gh-sbw/internal/units"
)

const (
	bytesUnit = pipeline.Bytes
	itemsUnit = pipeline.Items
)

// progressText returns what matters now in a running stage, in at most room cells: how
// much is done and how fast, and the remaining time; or else how many of how many; or
// else the last detail.
func (s Style) progressText(g glyphs, st *stage, now time.Time, room int) string {
	if b := st.sum(bytesUnit); b.items > 0 && (b.finished < b.items || len(st.inFlight(itemsUnit)) == 0) {
		parts := append([]string{amount(b)}, st.speed(b, now)...)
		text := strings.Join(parts, "  ")
		if rest := room - width(text) - 2; rest >= 10 && b.total > 0 && !b.open {
			// The bar is between amount and speed.
			parts = append([]string{parts[0], s.bar(g, b.done, b.total, min(rest, 24))}, parts[1:]...)
			text = strings.Join(parts, "  ")
		}
		return text
	}
	if n := st.sum(itemsUnit); n.items > 0 && n.total > 0 {
		text := fmt.Sprintf("%d of %d", n.done, n.total)
		if doing := doing(st); doing != "" {
			text += "  " + doing
		}
		return text
	}
	return st.now
}

// doing names what is in progress: an item's own word for it, or else the last
// detail, or else the items.
func doing(st *stage) string {
	flying := st.inFlight(itemsUnit)
	if len(flying) == 1 && flying[0].State != "" {
		return flying[0].State
	}
	if st.now != "" {
		return st.now
	}
	var names []string
	for _, i := range flying {
		names = append(names, i.Item)
	}
	return strings.Join(names, ", ")
}

func amount(b sum) string {
	if b.open || b.total == 0 {
		return units.Bytes(b.done)
	}
	return units.Bytes(b.done) + " of " + units.Bytes(b.total)
}

// speed returns the rate and the remaining time, if they are known.
func (s *stage) speed(b sum, now time.Time) []string {
	rate := s.rate.perSecond(now)
	if rate < 1 || b.done >= b.total {
		return nil
	}
	parts := []string{units.Bytes(int64(rate)) + "/s"}
	if left := b.total - b.done; !b.open {
		d := time.Duration(float64(left) / rate * float64(time.Second)).Round(time.Second)
		if d < 24*time.Hour {
			parts = append(parts, remaining(d)+" left")
		}
	}
	return parts
}

// remaining formats a duration without tenths, which would only flicker.
func remaining(d time.Duration) string {
	if d < 100*time.Second {
		return fmt.Sprintf("%ds", max(1, int(d.Seconds())))
	}
	return units.Elapsed(d)
}

// bar returns a progress bar of n cells.
func (s Style) bar(g glyphs, done, total int64, n int) string {
	if total <= 0 || n <= 0 {
		return ""
	}
	full := int(min(done, total) * int64(n) / total)
	return s.paint(cyan, strings.Repeat(g.full, full)) + s.paint(dim, strings.Repeat(g.rest, n-full))
}

// below returns the lines under a running stage: its tables, then its parts.
func (s Style) below(g glyphs, st *stage, now time.Time, w int) []string {
	var lines []string
	for _, t := range st.tables {
		lines = append(lines, s.tableLines(t, w)...)
	}
	return append(lines, s.itemLines(g, st, now, w)...)
}

const indent = "    "

func (s Style) tableLines(t *pipeline.Table, w int) []string {
	const gap = 2
	if len(t.Rows) == 0 {
		return nil
	}
	all := t.Rows
	if len(t.Header) > 0 {
		all = append([][]string{t.Header}, all...)
	}
	widths := columns(all, gap, w-len(indent))
	var lines []string
	if t.Title != "" {
		lines = append(lines, cut(indent+s.paint(dim, t.Title), w))
	}
	for i, row := range all {
		line := layRow(row, widths, gap)
		if i == 0 && len(t.Header) > 0 {
			line = s.paint(dim, line)
		}
		lines = append(lines, cut(indent+line, w))
	}
	return lines
}

// slowItem is how long a piece of work must take to get its own line. Shorter ones
// would only flicker.
const slowItem = 300 * time.Millisecond

// itemLines returns the parts of a stage: transfers with a bar each, running ones
// first, and running pieces of work if there are several.
func (s Style) itemLines(g glyphs, st *stage, now time.Time, w int) []string {
	var moving, rest, pieces []*item
	names := 0
	for _, i := range st.items {
		switch {
		case i.Unit == bytesUnit && !i.finished() && i.State == "":
			moving = append(moving, i)
		case i.Unit == bytesUnit:
			rest = append(rest, i)
		case !i.finished() && now.Sub(i.began) >= slowItem:
			pieces = append(pieces, i)
		default:
			continue
		}
		names = max(names, width(i.Item))
	}
	if len(pieces) == 1 && len(moving)+len(rest) == 0 {
		pieces = nil // the stage's own line says it
	}
	names = min(names, max(12, (w-len(indent))/2))
	var lines []string
	for _, i := range pieces {
		text := indent + s.paint(cyan, g.spinner(now)) + " " + pad(cut(i.Item, names), names) + " " + padLeft(units.Elapsed(now.Sub(i.began)), 6)
		if i.Total > 1 {
			text += fmt.Sprintf("  %d of %d", i.Done, i.Total)
		}
		if i.State != "" {
			text += "  " + s.paint(dim, i.State)
		}
		lines = append(lines, cut(text, w))
	}
	for _, i := range append(moving, rest...) {
		lines = append(lines, s.transferLine(g, i, names, w))
	}
	return lines
}

func (s Style) transferLine(g glyphs, i *item, names, w int) string {
	icon, size := s.paint(dim, g.wait), units.Bytes(i.Total)
	text := ""
	switch {
	case i.finished():
		icon = s.paint(green, g.ok)
		text = padLeft(size, 8)
	case i.Total <= 0:
		text = padLeft(units.Bytes(i.Done), 8)
	default:
		text = s.bar(g, i.Done, i.Total, 12) + " " + padLeft(units.Bytes(i.Done), 8) + " of " + size
		if w < 60 {
			text = padLeft(units.Bytes(i.Done), 8) + " of " + size
		}
	}
	if i.State != "" {
		text += "  " + s.paint(dim, i.State)
	}
	return cut(indent+icon+" "+pad(cut(i.Item, names), names)+" "+text, w)
}
