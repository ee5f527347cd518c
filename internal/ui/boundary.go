package ui

import "github.com/joelhooks/gh-sbw/internal/pipeline"

// sanitizeEvent is the boundary: it returns a copy of e in which no text can control
// a terminal. Findings stay as they are, because their evidence keeps its lines.
// Style.finding sanitises them.
func sanitizeEvent(e pipeline.Event) pipeline.Event {
	e.Stage = Sanitize(e.Stage)
	e.Text = Sanitize(e.Text)
	if e.Progress != nil {
		p := *e.Progress
		p.Item, p.State = Sanitize(p.Item), Sanitize(p.State)
		e.Progress = &p
	}
	if e.Table != nil {
		t := pipeline.Table{Title: Sanitize(e.Table.Title), Header: sanitizeAll(e.Table.Header)}
		for _, row := range e.Table.Rows {
			t.Rows = append(t.Rows, sanitizeAll(row))
		}
		e.Table = &t
	}
	return e
}

func sanitizeAll(cells []string) []string {
	out := make([]string, len(cells))
	for i, c := range cells {
		out[i] = Sanitize(c)
	}
	return out
}
