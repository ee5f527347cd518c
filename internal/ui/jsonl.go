package ui

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/joelhooks/gh-sbw/internal/pipeline"

	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// SchemaVersion is the "v" of every line of --events. Within a version, fields and
// kinds are only added, so a reader should ignore those it does not know.
const SchemaVersion = 1

// record is one line of --events, on stderr. Every line has v, time and kind. The
// other fields depend on the kind:
//
//	stage-started   stage
//	stage-finished  stage seconds [error] [skipped]
//	progress        stage progress{item done total [unit] [state]}
//	note, detail    stage text
//	log             text: a line that a library or a hook wrote
//	finding         stage finding{code severity what [why fix where evidence]}
//	table           stage table{title header rows}, replacing the one of that title
//	dropped         count: details left out because the reader was too slow
//	outcome         how the run ended: outcome{name end exitCode seconds stages findings [undoErrors next]}
//
// Text is passed on unchanged, except that control and bidirectional characters are
// escaped, so that the raw lines are safe to look at. Times are RFC 3339 with
// nanoseconds, and seconds are decimal. The progress of an item is written at most
// ten times a second, and its end always.
type record struct {
	V        int                `json:"v"`
	Time     time.Time          `json:"time"`
	Kind     pipeline.Kind      `json:"kind"`
	Stage    string             `json:"stage,omitempty"`
	Text     string             `json:"text,omitempty"`
	Seconds  *float64           `json:"seconds,omitempty"`
	Error    string             `json:"error,omitempty"`
	Skipped  string             `json:"skipped,omitempty"`
	Count    int                `json:"count,omitempty"`
	Progress *pipeline.Progress `json:"progress,omitempty"`
	Finding  *pipeline.Finding  `json:"finding,omitempty"`
	Table    *pipeline.Table    `json:"table,omitempty"`
	Outcome  *outcome           `json:"outcome,omitempty"`
}

// outcome is how it ended.
type outcome struct {
	Name       string              `json:"name,omitempty"`
	End        string              `json:"end"`
	ExitCode   int                 `json:"exitCode"`
	Seconds    float64             `json:"seconds"`
	Stages     []stageTime         `json:"stages,omitempty"`
	Findings   []*pipeline.Finding `json:"findings,omitempty"` // that ended it
	UndoErrors []string            `json:"undoErrors,omitempty"`
	Next       string              `json:"next,omitempty"`
}

type stageTime struct {
	Name    string    `json:"name"`
	Started time.Time `json:"started"`
	Seconds float64   `json:"seconds"`
	Skipped string    `json:"skipped,omitempty"`
	Error   string    `json:"error,omitempty"`
}

const (
	kindDropped pipeline.Kind = "dropped"
	kindOutcome pipeline.Kind = "outcome"

	// jsonProgressEvery is the shortest time between two progress lines of an item.
	jsonProgressEvery = 100 * time.Millisecond
)

// emitJSON writes an event as a line.
func (u *UI) emitJSON(e pipeline.Event) {
	r := record{Time: e.Time, Kind: e.Kind, Stage: e.Stage, Text: e.Text, Finding: e.Finding, Table: e.Table}
	switch e.Kind {
	case pipeline.StageFinished:
		seconds := e.Duration.Seconds()
		r.Seconds, r.Skipped, r.Text = &seconds, e.Text, ""
		if e.Err != nil {
			r.Error = e.Err.Error()
		}
	case pipeline.Progressed:
		r.Progress = e.Progress
		if !u.isDue(e) {
			return
		}
	}
	passing := e.Kind == pipeline.Detailed || e.Kind == pipeline.Progressed
	if passing && u.full() {
		return
	}
	if u.dropped > 0 && u.outSize < backlog {
		u.writeJSON(record{Time: e.Time, Kind: kindDropped, Count: u.dropped})
		u.dropped = 0
	}
	u.writeJSON(r)
}

// isDue thins out the progress of an item.
func (u *UI) isDue(e pipeline.Event) bool {
	st := u.run.stage(e.Stage, e.Time)
	old := st.byItem[e.Progress.Item]
	changed := old == nil || old.State != e.Progress.State || old.finished() != (e.Progress.Total > 0 && e.Progress.Done >= e.Progress.Total)
	st = u.run.take(e)
	i := st.byItem[e.Progress.Item]
	if !changed && e.Time.Sub(i.written) < jsonProgressEvery {
		return false
	}
	i.written = e.Time
	return true
}

func (u *UI) outcomeJSON(o pipeline.Outcome) {
	out := &outcome{
		Name: o.Name, End: endWord(o), ExitCode: o.ExitCode(), Seconds: o.Duration.Seconds(),
		Findings: pipeline.AsFindings(o.Name, o.Err), Next: u.opts.Next[o.End],
	}
	for _, s := range o.Stages {
		out.Stages = append(out.Stages, stageTime{s.Name, s.Started, s.Duration.Seconds(), s.Skipped, s.Error})
	}
	for _, err := range o.UndoErrs {
		out.UndoErrors = append(out.UndoErrors, err.Error())
	}
	u.writeJSON(record{Time: u.opts.Now(), Kind: kindOutcome, Outcome: out})
}

func (u *UI) failJSON(found []*pipeline.Finding) {
	end := endOf(found)
	u.writeJSON(record{Time: u.opts.Now(), Kind: kindOutcome, Outcome: &outcome{
		End: end.Word(), ExitCode: int(end), Findings: found, Next: u.opts.Next[end],
	}})
}

// EndWord returns the value of outcome.end for an end: one word that does not change.
func EndWord(e pipeline.End) string { return e.Word() }

// endWord says what became of the changes. The exit code says whether the run was
// interrupted.
func endWord(o pipeline.Outcome) string { return o.End.Word() }

// endOf returns the end that findings outside a pipeline mean.
func endOf(found []*pipeline.Finding) pipeline.End {
	for _, f := range found {
		if f.End != pipeline.Done {
			return f.End
		}
	}
	return pipeline.Unchanged
}

func (u *UI) writeJSON(r record) {
	r.V = SchemaVersion
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		// Only a time beyond the years of RFC 3339 can cause this.
		b.Reset()
		fmt.Fprintf(&b, `{"v":%d,"kind":%q,"text":%q}`, SchemaVersion, r.Kind, "cannot be written: "+err.Error())
	}
	u.say(escapeHidden(strings.TrimSuffix(b.String(), "\n")))
}

// escapeHidden writes characters that a terminal might act on as JSON escapes. The
// ones that encoding/json escapes by itself (below U+0020) are not enough.
func escapeHidden(line string) string {
	if !strings.ContainsFunc(line, termtext.Hidden) {
		return line
	}
	var b strings.Builder
	for _, r := range line {
		switch {
		case !termtext.Hidden(r):
			b.WriteRune(r)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, hi, lo)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
