package pipeline

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Kind says what an Event tells.
type Kind string

// The kinds of events.
const (
	StageStarted  Kind = "stage-started"
	StageFinished Kind = "stage-finished" // Duration, Err; Text when skipped
	Progressed    Kind = "progress"       // Progress
	Noted         Kind = "note"           // Text: worth keeping in the record
	Detailed      Kind = "detail"         // Text: for --verbose, or the line of what happens now
	Found         Kind = "finding"        // Finding
	Tabled        Kind = "table"          // Table replaces the one of the same Title
)

// Unit is what a Progress counts.
type Unit string

// Units.
const (
	Bytes Unit = "bytes"
	Items Unit = "" // pieces: checks, build steps, pods
)

// Progress is how far one item of a stage is. Done may fall back when a
// transfer starts again. Total is 0 while it is unknown.
type Progress struct {
	Item  string `json:"item"`
	Done  int64  `json:"done"`
	Total int64  `json:"total"`
	Unit  Unit   `json:"unit,omitempty"`
	// State says in a word what is with the item: "mounted", "exists", "retry".
	State string `json:"state,omitempty"`
}

// Table is something with rows that changes while one watches: pods, steps.
type Table struct {
	Title  string     `json:"title"`
	Header []string   `json:"header"`
	Rows   [][]string `json:"rows"`
}

// Event is one thing that happened in a run.
type Event struct {
	Time     time.Time
	Kind     Kind
	Stage    string
	Text     string
	Progress *Progress
	Finding  *Finding
	Table    *Table
	Duration time.Duration
	Err      error
}

// Sink takes events. Emit is called from several goroutines at once and must
// not block for long.
type Sink interface{ Emit(Event) }

// SinkFunc lets a function be a Sink; it must be safe for concurrent use.
type SinkFunc func(Event)

// Emit calls f.
func (f SinkFunc) Emit(e Event) { f(e) }

// Discard takes events and forgets them.
var Discard Sink = SinkFunc(func(Event) {})

// Reporter tells of one stage. A nil Reporter may be used and tells nobody.
type Reporter struct {
	stage    string
	sink     Sink
	changed  atomic.Bool
	skipped  string
	onChange func()
	// first says whether a finding is to be reported; nil reports all.
	first func(*Finding) bool
}

// NewReporter makes a Reporter for a stage outside of a pipeline.
func NewReporter(stage string, sink Sink) *Reporter { return &Reporter{stage: stage, sink: sink} }

func (r *Reporter) emit(e Event) {
	if r == nil || r.sink == nil {
		return
	}
	e.Time, e.Stage = now(), r.stage
	r.sink.Emit(e)
}

// Notef tells something worth keeping in the record of the run.
func (r *Reporter) Notef(format string, args ...any) {
	r.emit(Event{Kind: Noted, Text: fmt.Sprintf(format, args...)})
}

// Detailf tells what is happening right now.
func (r *Reporter) Detailf(format string, args ...any) {
	r.emit(Event{Kind: Detailed, Text: fmt.Sprintf(format, args...)})
}

// Progress tells how far an item is.
func (r *Reporter) Progress(p Progress) { r.emit(Event{Kind: Progressed, Progress: &p}) }

// Finding reports a finding, unless the run has reported it already.
func (r *Reporter) Finding(f *Finding) {
	if r == nil || r.first != nil && !r.first(f) {
		return
	}
	r.emit(Event{Kind: Found, Finding: f})
}

// Table tells rows, replacing those told before under the same title.
func (r *Reporter) Table(t Table) { r.emit(Event{Kind: Tabled, Table: &t}) }

// Changed says that from here on something outside of this process is, or may
// be, changed by this stage. Call it right before the first alteration.
func (r *Reporter) Changed() {
	if r == nil || r.changed.Swap(true) {
		return
	}
	if r.onChange != nil {
		r.onChange()
	}
}

// HasChanged reports whether Changed was called.
func (r *Reporter) HasChanged() bool { return r != nil && r.changed.Load() }

// Skipped says that the stage had nothing to do, and why.
func (r *Reporter) Skipped(format string, args ...any) {
	if r != nil {
		r.skipped = fmt.Sprintf(format, args...)
	}
}
