package ui

import (
	"io"
	"sync"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Mode is how a run is told.
type Mode int

// The modes.
const (
	Plain  Mode = iota // timestamped lines
	Live               // a view on a terminal that is redrawn
	Events             // JSON lines
	Quiet              // warnings, errors and how it ended
)

// Options says how a UI tells of a run.
type Options struct {
	Mode Mode
	// Err takes the story; stdout is never written.
	Err io.Writer
	// Verbose tells details too.
	Verbose bool
	Style
	// Size is the window's size in cells, asked again when it may have
	// changed; nil: 80 by 24.
	Size func() (width, height int)
	// Next says what to do after a run that ended so: "kubectl sbw status".
	Next map[pipeline.End]string
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Ticks drives redrawing and the signs of life of Plain; nil: a ticker.
	Ticks <-chan time.Time
}

// UI tells of one run. It is a pipeline.Sink; its methods may be called from
// several goroutines.
type UI struct {
	opts Options
	mu   sync.Mutex
}

var _ pipeline.Sink = (*UI)(nil)

// New makes a UI. Close ends it.
func New(o Options) *UI {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &UI{opts: o}
}

// Plan says which stages are to come, so that a live view can list them.
func (u *UI) Plan(p pipeline.Pipeline) {}

// Emit takes an event. It keeps what is to be said and returns; writing is
// done elsewhere, so that a slow terminal does not hold up the work.
func (u *UI) Emit(e pipeline.Event) {}

// Log returns a writer for lines that come from elsewhere (a library's
// warnings, a hook's standard error): they appear above the live view, or as
// lines among the others.
func (u *UI) Log() io.Writer { return io.Discard }

// Close prints what the run came to, restores the terminal and waits until
// all is written. It returns the first fault of writing.
func (u *UI) Close(o pipeline.Outcome) error { return nil }

// Fail prints an error that ended a command outside of a pipeline, in the
// UI's mode, then does what Stop does.
func (u *UI) Fail(during string, err error) error { return nil }

// Stop restores the terminal and prints nothing further. After Close it does
// nothing, so it can be deferred against panics.
func (u *UI) Stop() error { return nil }
