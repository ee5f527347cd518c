package pipeline

import (
	"errors"
	"time"
)

// End is how a run ended, and the exit code of both plugins.
type End int

// The ends. Their numbers are the exit codes that the README documents.
const (
	Done               End = 0
	Unchanged          End = 1 // failed; nothing was changed
	Usage              End = 2 // wrong usage or configuration
	RefusedByPreflight End = 3
	Restored           End = 4 // failed; what was changed was restored
	Left               End = 5 // failed; what was changed was left
	Interrupted        End = 130
)

func (e End) String() string {
	switch e {
	case Done:
		return "done"
	case Unchanged:
		return "failed, nothing changed"
	case Usage:
		return "wrong usage"
	case RefusedByPreflight:
		return "refused, nothing changed"
	case Restored:
		return "failed, changed and restored"
	case Left:
		return "failed, changed and left"
	case Interrupted:
		return "interrupted"
	}
	return "unknown"
}

// Word returns the end as one stable word, for results and events.
func (e End) Word() string {
	switch e {
	case Done:
		return "done"
	case Unchanged:
		return "unchanged"
	case Usage:
		return "usage"
	case RefusedByPreflight:
		return "refused"
	case Restored:
		return "restored"
	case Left:
		return "left"
	case Interrupted:
		return "interrupted"
	}
	return ""
}

// ErrInterrupted is the cause of a context that a signal ended.
var ErrInterrupted = errors.New("interrupted")

// StageRecord records one stage and its duration.
type StageRecord struct {
	Name     string        `json:"name"`
	Started  time.Time     `json:"started,omitzero"`
	Duration time.Duration `json:"duration"` // nanoseconds
	Skipped  string        `json:"skipped,omitempty"`
	Error    string        `json:"error,omitempty"`
}

// Outcome is the result of a run.
type Outcome struct {
	Name        string
	End         End
	Err         error // nil exactly when End is Done
	Refused     bool  // a preflight's finding was the reason
	Interrupted bool
	UndoErrs    []error    // what went wrong while restoring
	Findings    []*Finding // that were reported; see All
	Stages      []StageRecord
	Closing     []string // what else the summary says, one line each: where the time went
	Started     time.Time
	Duration    time.Duration
}

// ExitCode returns the exit code of the process: 130 after an interrupt, and otherwise
// the End.
func (o Outcome) ExitCode() int {
	if o.Interrupted {
		return int(Interrupted)
	}
	return int(o.End)
}

// All returns all findings of a run, each once: the reported ones, what ended the run, and
// what went wrong while restoring.
func (o Outcome) All() []*Finding {
	all := []*Finding{}
	var seen Reported
	add := func(f *Finding) {
		if seen.First(f) {
			all = append(all, f)
		}
	}
	for _, f := range o.Findings {
		add(f)
	}
	for _, err := range append([]error{o.Err}, o.UndoErrs...) {
		for _, f := range AsFindings(o.Name, err) {
			// The exit code says that it was interrupted.
			if !f.Unexplained() || !errors.Is(f.Err, ErrInterrupted) {
				add(f)
			}
		}
	}
	return all
}
