package ui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"

	"github.com/joelhooks/gh-sbw/internal/units"
)

// Plain lines: "15:04:05 stage: text". Progress is printed every few seconds, and the
// rows of a table when they change. A stage that has been silent for a while prints a
// sign of life, because some CI systems end silent jobs.
const (
	progressEvery = 5 * time.Second
	lifeEvery     = 20 * time.Second
)

func stamp(t time.Time) string { return t.Format("15:04:05") }

// emitPlain writes an event as lines.
func (u *UI) emitPlain(e pipeline.Event) {
	var before []*pipeline.Table
	if e.Kind == pipeline.Tabled {
		if st := u.run.byName[e.Stage]; st != nil {
			before = slices.Clone(st.tables)
		}
	}
	var amount string
	if e.Kind == pipeline.StageFinished {
		if st := u.run.byName[e.Stage]; st != nil {
			amount = st.resultText()
		}
	}
	st := u.run.take(e)
	say := func(lines ...string) {
		st.said = e.Time
		u.plain(e.Time, e.Stage, lines...)
	}
	switch e.Kind {
	case pipeline.StageStarted:
		say("started")
	case pipeline.StageFinished:
		say(st.ending(units.Elapsed(e.Duration), amount))
	case pipeline.Noted:
		say(e.Text)
	case pipeline.Detailed:
		if u.opts.Verbose && !u.full() {
			say(e.Text)
		}
	case pipeline.Found:
		say(u.opts.finding(e.Finding)...)
	case pipeline.Tabled:
		if lines := changedRows(before, e.Table); len(lines) > 0 {
			say(lines...)
		}
	case pipeline.Progressed:
		if u.opts.Verbose && !u.full() {
			if i := st.byItem[e.Progress.Item]; i.finished() && i.State != "" {
				say(i.Item + ": " + i.State)
			}
		}
	}
}

// ending describes how a stage ended that took this long and did this much.
func (s *stage) ending(took, amount string) string {
	switch s.state {
	case failed:
		return "failed after " + took + ": " + s.reason
	case skipped:
		return "skipped: " + s.reason
	}
	if amount != "" {
		amount = " (" + amount + ")"
	}
	return "done in " + took + amount
}

// plain queues lines with their time and stage. Further lines are indented.
func (u *UI) plain(at time.Time, stage string, lines ...string) {
	for i, l := range lines {
		if i == 0 {
			u.say(stamp(at) + " " + u.opts.paint(dim, stage+":") + " " + l)
		} else {
			u.say("         " + l)
		}
	}
}

// signOfLife reports running transfers and stages that have been silent.
func (u *UI) signOfLife() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.log.idle()
	if u.opts.Mode != Plain {
		return
	}
	now := u.opts.Now()
	for _, st := range u.run.stages {
		if st.state != running {
			continue
		}
		b := st.sum(bytesUnit)
		moved := b.done != st.saidBytes && b.finished < b.items
		quiet := now.Sub(st.said)
		if quiet < progressEvery || !moved && quiet < lifeEvery {
			continue
		}
		text := ""
		if moved {
			text = strings.Join(append([]string{amount(b)}, st.speed(b, now)...), ", ")
		} else {
			text = "still going after " + units.Elapsed(st.elapsed(now))
			if what := u.opts.progressText(Style{ASCII: true}.glyphs(), st, now, 200); what != "" {
				text += ": " + what
			}
		}
		st.said, st.saidBytes = now, b.done
		u.plain(now, st.name, text)
	}
}

// passing are the columns that change only because time passes.
var passing = []string{"AGE", "ELAPSED", "SINCE", "TIME", "TOOK"}

// changedRows returns, as lines, the rows that are new or differ from the previous
// ones in more than the passing of time, and those that have disappeared.
func changedRows(before []*pipeline.Table, t *pipeline.Table) []string {
	key := func(header, row []string) string {
		var b strings.Builder
		for i, c := range row {
			if i < len(header) && slices.Contains(passing, strings.ToUpper(header[i])) {
				continue
			}
			b.WriteString(c + "\x00")
		}
		return b.String()
	}
	known, names := map[string]bool{}, map[string]bool{}
	for _, o := range before {
		if o.Title == t.Title {
			for _, row := range o.Rows {
				known[key(o.Header, row)] = true
				if len(row) > 0 {
					names[row[0]] = true
				}
			}
		}
	}
	var lines []string
	for _, row := range t.Rows {
		if len(row) > 0 {
			delete(names, row[0])
		}
		if known[key(t.Header, row)] {
			continue
		}
		lines = append(lines, rowText(t, row))
	}
	gone := make([]string, 0, len(names))
	for n := range names {
		gone = append(gone, n)
	}
	slices.Sort(gone)
	for _, n := range gone {
		lines = append(lines, fmt.Sprintf("%s%s: gone", title(t), n))
	}
	return lines
}

// rowText returns a row as a line that needs no header: "pod-1: set new, ready 0/1".
func rowText(t *pipeline.Table, row []string) string {
	if len(row) == 0 {
		return ""
	}
	var parts []string
	for i, c := range row[1:] {
		if c == "" || c == "-" {
			continue
		}
		if i+1 < len(t.Header) && t.Header[i+1] != "" {
			c = strings.ToLower(t.Header[i+1]) + " " + c
		}
		parts = append(parts, c)
	}
	return title(t) + row[0] + ": " + strings.Join(parts, ", ")
}

func title(t *pipeline.Table) string {
	if t.Title == "" {
		return ""
	}
	return t.Title + " "
}
