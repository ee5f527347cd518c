package ui

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"

	"github.com/joelhooks/gh-sbw/internal/units"
)

// closingLines returns the record that stays: where the time went, what ended the run,
// and in one sentence how it ended and what to do next.
func (u *UI) closingLines(o pipeline.Outcome, w int) []string {
	var lines []string
	if u.opts.Mode == Quiet {
		if o.End == pipeline.Done {
			return nil
		}
	} else if len(o.Stages) > 1 {
		lines = u.opts.timeBars(o, w-1)
		for _, line := range o.Closing {
			lines = append(lines, "  "+u.opts.paint(dim, Sanitize(line)))
		}
	}
	for _, f := range endingFindings(o) {
		if !u.printed[f] {
			lines = append(lines, u.opts.finding(f)...)
		}
	}
	for _, f := range undoFindings(o) {
		lines = append(lines, u.opts.finding(f)...)
	}
	sentence := u.opts.sentence(o)
	if next := u.opts.Next[o.End]; next != "" {
		sentence = append(sentence, "  "+u.opts.paint(dim, "next:")+" "+Sanitize(next))
	}
	return append(lines, sentence...)
}

// endingFindings returns what ended a run. A mere interrupt or an ended context is
// reported only by the sentence.
func endingFindings(o pipeline.Outcome) []*pipeline.Finding {
	var out []*pipeline.Finding
	for _, f := range pipeline.AsFindings(failedStage(o), o.Err) {
		if o.Interrupted && f.Unexplained() && errors.Is(f.Err, pipeline.ErrInterrupted) {
			continue
		}
		out = append(out, f)
	}
	return out
}

// undoFindings returns what kept changes from being restored. What ended the run
// and forbids that as well is not repeated.
func undoFindings(o pipeline.Outcome) (out []*pipeline.Finding) {
	var seen pipeline.Reported
	for _, f := range endingFindings(o) {
		seen.First(f)
	}
	for _, err := range o.UndoErrs {
		for _, f := range pipeline.AsFindings("restoring what was changed", err) {
			if seen.First(f) {
				out = append(out, f)
			}
		}
	}
	return out
}

// failedStage returns the first stage that failed.
func failedStage(o pipeline.Outcome) string {
	for _, s := range o.Stages {
		if s.Error != "" {
			return s.Name
		}
	}
	return o.Name
}

// sentence describes how a run ended.
func (s Style) sentence(o pipeline.Outcome) []string {
	g := s.glyphs()
	name, took := Sanitize(o.Name), units.Elapsed(o.Duration)
	if o.End == pipeline.Done {
		return []string{s.paint(green, g.ok+" ") + s.paint(bold, fmt.Sprintf("%s: done in %s", name, took))}
	}
	verb := "failed"
	switch {
	case o.Interrupted:
		verb = "was interrupted"
	case o.Refused:
		verb = "was refused"
	}
	text := fmt.Sprintf("%s %s", name, verb)
	if stage := failedStage(o); stage != o.Name && stage != "" {
		text += " at " + Sanitize(stage)
	}
	text += " after " + took + ": "
	switch o.End {
	case pipeline.Restored:
		text += "what was changed has been restored"
	case pipeline.Left:
		if n := len(undoFindings(o)); n > 0 {
			text += "not everything that was changed could be restored (" + units.Count(n, "fault", "faults") + ")"
		} else {
			text += "what was changed is left as it is"
		}
	case pipeline.Usage:
		text += "the command line or the configuration is wrong; nothing was changed"
	default:
		text += "nothing was changed"
	}
	return []string{s.paint(red, g.fail+" ") + s.paint(bold, text)}
}

// timeBars returns the stages with their durations, drawn on one time axis.
func (s Style) timeBars(o pipeline.Outcome, w int) []string {
	g := s.glyphs()
	name := 0
	end := o.Started.Add(o.Duration)
	for _, st := range o.Stages {
		name = max(name, width(Sanitize(st.Name)))
		if t := st.Started.Add(st.Duration); t.After(end) {
			end = t
		}
	}
	name = min(name, nameRoom(w))
	total := end.Sub(o.Started)
	room := min(w-name-13, 48)
	var lines []string
	for _, st := range o.Stages {
		kind := done
		switch {
		case st.Error != "":
			kind = failed
		case st.Skipped != "":
			kind = skipped
		}
		line := "  " + s.icon(g, kind, o.Started) + " " + pad(cut(Sanitize(st.Name), name), name) + " " + padLeft(units.Elapsed(st.Duration), 6)
		switch {
		case kind == skipped:
			line = cut(line+"  "+s.paint(dim, Sanitize(st.Skipped)), w)
		case room > 4 && total > 0:
			line += "  " + s.paint(cyan, g.span(st.Started.Sub(o.Started), st.Duration, total, room))
		default:
			line = cut(line, w)
		}
		// room is what is left, so that nothing has to be cut: measuring a line
		// of blocks takes 10 ms the first time (go-runewidth's table).
		lines = append(lines, line)
	}
	return lines
}

// span draws a period on an axis of n cells. Even the shortest one is visible.
func (g glyphs) span(from, took, total time.Duration, n int) string {
	parts := len(g.eighths)
	scale := func(d time.Duration) int {
		return int(float64(d) / float64(total) * float64(n*parts))
	}
	start := min(scale(max(0, from))/parts, n-1)
	length := min(max(1, scale(took)), (n-start)*parts)
	bar := strings.Repeat(" ", start) + strings.Repeat(g.eighths[parts-1], length/parts)
	if rest := length % parts; rest > 0 {
		bar += g.eighths[rest-1]
	}
	return bar
}
