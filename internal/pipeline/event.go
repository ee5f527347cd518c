package pipeline

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Kind is the kind of an Event.
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

// Progress says how far one item of a stage is. Done may decrease when a transfer
// starts again. Total is 0 while it is unknown.
type Progress struct {
	Item  string `json:"item"`
	Done  int64  `json:"done"`
	Total int64  `json:"total"`
	Unit  Unit   `json:"unit,omitempty"`
	// State is the item's state in one word: "mounted", "exists", "retry".
	State string `json:"state,omitempty"`
}

// Table has rows that change during a run: pods, steps.
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

// Sink receives events. Emit is called from several goroutines concurrently and must
// not block for long.
type Sink interface{ Emit(Event) }

// SinkFunc lets a function be a Sink; it must be safe for concurrent use.
type SinkFunc func(Event)

// Emit calls f.
func (f SinkFunc) Emit(e Event) { f(e) }

// Discard is a Sink that ignores all events.
var Discard Sink = SinkFunc(func(Event) {})

// Reporter reports what one stage does. A nil Reporter is valid and reports nothing.
type Reporter struct {
	stage    string
	sink     Sink
	changed  atomic.Int32 // Changed without Refused
	skipped  string
	onChange func()
	// first decides whether a finding is reported. nil reports all.
	first func(*Finding) bool
}

// NewReporter returns a Reporter for a stage outside a pipeline.
func NewReporter(stage string, sink Sink) *Reporter { return &Reporter{stage: stage, sink: sink} }

func (r *Reporter) emit(e Event) {
	if r == nil || r.sink == nil {
		return
	}
	e.Time, e.Stage = now(), r.stage
	r.sink.Emit(e)
}

// Notef reports something that is worth keeping in the record of the run.
func (r *Reporter) Notef(format string, args ...any) {
	r.emit(Event{Kind: Noted, Text: fmt.Sprintf(format, args...)})
}

// Detailf reports what is happening right now.
func (r *Reporter) Detailf(format string, args ...any) {
	r.emit(Event{Kind: Detailed, Text: fmt.Sprintf(format, args...)})
}

// Progress reports how far an item is.
func (r *Reporter) Progress(p Progress) { r.emit(Event{Kind: Progressed, Progress: &p}) }

// Finding reports a finding, unless the run has reported it already.
func (r *Reporter) Finding(f *Finding) {
	if r == nil || r.first != nil && !r.first(f) {
		return
	}
	r.emit(Event{Kind: Found, Finding: f})
}

// Table reports rows, which replace earlier ones with the same title.
func (r *Reporter) Table(t Table) { r.emit(Event{Kind: Tabled, Table: &t}) }

// Changed records that from now on this stage changes, or may change, something
// outside this process. Call it right before the first change.
func (r *Reporter) Changed() {
	if r == nil || r.changed.Add(1) > 1 {
		return
	}
	if r.onChange != nil {
		r.onChange()
	}
}

// Refused cancels one Changed: that change was refused as a whole, and is known not
// to have happened.
func (r *Reporter) Refused() {
	if r != nil {
		r.changed.Add(-1)
	}
}

// HasChanged reports whether anything may have changed.
func (r *Reporter) HasChanged() bool { return r != nil && r.changed.Load() > 0 }

// Skipped records that the stage had nothing to do, and why.
func (r *Reporter) Skipped(format string, args ...any) {
	if r != nil {
		r.skipped = fmt.Sprintf(format, args...)
	}
}
