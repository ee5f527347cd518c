package ui

import (
	"fmt"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/units"
)

// glyphs are the symbols of the live view and of the summary.
type glyphs struct {
	ok, fail, skip, wait, then string
	spin                       []string
	full, rest                 string
	eighths                    []string // of a cell, for the bars of the summary
}

func (s Style) glyphs() glyphs {
	if s.ASCII {
		return glyphs{
			ok: "+", fail: "x", skip: "-", wait: ".", then: ">",
			spin: []string{"|", "/", "-", `\`},
			full: "=", rest: ".",
			eighths: []string{"#"},
		}
	}
	return glyphs{
		ok: "✓", fail: "✗", skip: "–", wait: "·", then: "…",
		spin: []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"},
		full: "━", rest: "─",
		eighths: []string{"▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"},
	}
}

func (g glyphs) spinner(now time.Time) string {
	return g.spin[int(now.UnixMilli()/100%int64(len(g.spin)))]
}

// icon returns the symbol for the state of a stage.
func (s Style) icon(g glyphs, st state, now time.Time) string {
	switch st {
	case running:
		return s.paint(cyan, g.spinner(now))
	case done:
		return s.paint(green, g.ok)
	case failed:
		return s.paint(red, g.fail)
	case skipped:
		return s.paint(dim, g.skip)
	}
	return s.paint(dim, g.wait)
}

// frame returns the live view: every line fits into w cells, and there are at most h
// lines. If there is not enough room, the running stage comes first (its line, its
// tables, its items), then finished stages, then stages that are still to come.
func (s Style) frame(r *run, now time.Time, w, h int) []string {
	if w < 1 || h < 1 {
		return nil
	}
	g := s.glyphs()
	name := 0
	for _, st := range r.stages {
		name = max(name, width(st.name))
	}
	name = min(name, nameRoom(w))

	var over, active, ahead []*stage
	for _, st := range r.stages {
		switch st.state {
		case pending:
			ahead = append(ahead, st)
		case running:
			active = append(active, st)
		default:
			over = append(over, st)
		}
	}
	room := h - len(active)
	overLines := s.heads(g, over, now, name, w)
	aheadLines := s.heads(g, ahead, now, name, w)
	var below [][]string
	need := 0
	for _, st := range active {
		lines := s.below(g, st, now, w)
		below = append(below, lines)
		need += len(lines)
	}
	// Stages that are still to come are left out first, then finished ones. Each group
	// leaves one line behind if there is room for it.
	if need+len(overLines)+len(aheadLines) > room && len(aheadLines) > 1 {
		aheadLines = []string{cut(s.paint(dim, "  "+g.then+" "+units.Count(len(ahead), "stage", "stages")+" to come"), w)}
	}
	if need+len(overLines)+len(aheadLines) > room && len(overLines) > 1 {
		overLines = []string{s.folded(g, over, now, w)}
	}
	if room < len(overLines)+len(aheadLines)+min(need, 1) {
		aheadLines = nil
	}
	if room < len(overLines)+min(need, 1) {
		overLines = nil
	}
	room -= len(overLines) + len(aheadLines)

	out := overLines
	for i, st := range active {
		out = append(out, s.head(g, st, now, name, w))
		lines := below[i]
		if len(lines) > room {
			hidden := len(lines) - max(0, room-1)
			lines = lines[:max(0, room-1)]
			if room > 0 {
				lines = append(lines, cut(s.paint(dim, fmt.Sprintf("    %s %d more", g.then, hidden)), w))
			}
		}
		room -= len(lines)
		out = append(out, lines...)
	}
	out = append(out, aheadLines...)
	if len(out) > h {
		out = out[len(out)-h:]
	}
	return out
}

// nameRoom returns how long a stage's name may be in a window of w cells.
func nameRoom(w int) int { return max(12, w/3) }

func (s Style) heads(g glyphs, stages []*stage, now time.Time, name, w int) []string {
	var lines []string
	for _, st := range stages {
		lines = append(lines, s.head(g, st, now, name, w))
	}
	return lines
}

// folded returns one line for all finished stages.
func (s Style) folded(g glyphs, over []*stage, now time.Time, w int) string {
	bad, took := 0, time.Duration(0)
	for _, st := range over {
		took += st.took
		if st.state == failed {
			bad++
		}
	}
	icon, text := s.icon(g, done, now), units.Count(len(over), "stage", "stages")+" in "+units.Elapsed(took)
	if bad > 0 {
		icon, text = s.icon(g, failed, now), text+fmt.Sprintf(", %d failed", bad)
	}
	return cut("  "+icon+" "+text, w)
}

// head returns a stage's own line: symbol, name, time, and what matters now.
func (s Style) head(g glyphs, st *stage, now time.Time, name, w int) string {
	label := pad(cut(st.name, name), name)
	line := "  " + s.icon(g, st.state, now) + " "
	if st.state == pending {
		return cut(line+s.paint(dim, strings.TrimRight(label, " ")), w)
	}
	if st.state == running {
		label = s.paint(bold, label)
	}
	line += label + " " + padLeft(units.Elapsed(st.elapsed(now)), 6)
	room := w - width(line) - 2
	text := ""
	switch st.state {
	case running:
		text = s.progressText(g, st, now, room)
	case skipped:
		text = s.paint(dim, cut(st.reason, room))
	case failed:
		text = s.paint(red, cut(st.reason, room))
	case done:
		text = s.paint(dim, cut(st.resultText(), room))
	}
	if text != "" && room > 0 {
		line += "  " + cut(text, room)
	}
	return cut(line, w)
}

// resultText returns the result of a stage, for its line when it is done.
func (s *stage) resultText() string {
	var parts []string
	if b := s.sum(bytesUnit); b.items > 0 {
		text := units.Bytes(b.done)
		if b.items > 1 {
			text += fmt.Sprintf(" in %d parts", b.items)
		}
		parts = append(parts, text)
	}
	if n := s.sum(itemsUnit); n.items > 0 && n.total > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d", n.done, n.total))
	}
	return strings.Join(parts, ", ")
}
