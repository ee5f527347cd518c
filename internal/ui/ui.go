package ui

import (
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Mode is the form in which a run is shown.
type Mode int

// The modes.
const (
	Plain  Mode = iota // timestamped lines
	Live               // a view on a terminal that is redrawn
	Events             // JSON lines
	Quiet              // only warnings, errors, and how the run ended if it failed
)

// Options configure a UI. FromEnv returns them.
type Options struct {
	Mode Mode
	// Err receives the output; stdout is never written to.
	Err io.Writer
	// Verbose shows details too.
	Verbose bool
	Style
	// Size returns the window's size in cells before every drawing; nil, or a
	// result of 0, means 80 by 24.
	Size func() (width, height int)
	// Next says what to do after a run that ended this way: "run `kubectl sbw
	// status`".
	Next map[pipeline.End]string
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Ticks drives redrawing, and the signs of life of Plain; nil means a
	// ticker of its own.
	Ticks <-chan time.Time
}

const (
	redrawEvery = time.Second / 12
	plainEvery  = time.Second
)

// UI shows one run. It is a pipeline.Sink; its methods may be called
// concurrently.
type UI struct {
	opts Options

	mu      sync.Mutex
	run     *run
	printed map[*pipeline.Finding]bool
	out     []string // finished lines that wait to be written
	outSize int
	dropped int
	log     logWriter
	started bool
	closing bool
	ended   bool // the closing lines are part of out: the frame is finished
	fault   error

	wake chan struct{}
	quit chan struct{}
	gone chan struct{}
}

var _ pipeline.Sink = (*UI)(nil)

// New creates a UI. Close, Fail or Stop ends it.
func New(o Options) *UI {
	if o.Now == nil {
		o.Now = time.Now
	}
	u := &UI{
		opts: o, run: newRun(), printed: map[*pipeline.Finding]bool{},
		wake: make(chan struct{}, 1), quit: make(chan struct{}), gone: make(chan struct{}),
	}
	u.log.ui = u
	return u
}

// Plan announces the stages, so that the live view can list them.
func (u *UI) Plan(p pipeline.Pipeline) {
	var names []string
	if len(p.Checks) > 0 {
		names = append(names, "preflight")
	}
	for _, s := range p.Stages {
		names = append(names, Sanitize(s.Name))
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.run.plan(names)
}

// Emit accepts an event. It stores what has to be shown and returns; a single
// goroutine writes, so that a slow terminal does not slow down the work. After
// the end of the UI it does nothing.
func (u *UI) Emit(e pipeline.Event) {
	switch {
	case e.Kind == pipeline.Progressed && e.Progress == nil,
		e.Kind == pipeline.Found && e.Finding == nil,
		e.Kind == pipeline.Tabled && e.Table == nil:
		return // Quiet shows nothing
	}
	if e.Time.IsZero() {
		e.Time = u.opts.Now()
	}
	if u.opts.Mode != Events {
		e = sanitizeEvent(e)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closing {
		return
	}
	if e.Finding != nil {
		u.printed[e.Finding] = true
	}
	switch u.opts.Mode {
	case Events:
		u.emitJSON(e)
	case Quiet:
		if e.Kind == pipeline.Found && e.Finding.Severity >= pipeline.Warning {
			u.say(u.opts.finding(e.Finding)...)
		}
	case Live:
		u.run.take(e)
		u.say(u.above(e)...)
	default:
		u.emitPlain(e)
	}
	u.start()
}

// above returns what an event leaves above the live view.
func (u *UI) above(e pipeline.Event) []string {
	switch {
	case e.Kind == pipeline.Found:
		return u.opts.finding(e.Finding)
	case e.Kind == pipeline.Noted, e.Kind == pipeline.Detailed && u.opts.Verbose:
		return []string{u.opts.paint(dim, e.Stage+":") + " " + shortDigests(e.Text)}
	}
	return nil
}

var digests = lazyregexp.New(`\bsha256:[0-9a-f]{64}\b`)

// shortDigests shortens digests to what distinguishes them, like docker and
// kubectl: two full ones fill three lines of a window. The result on stdout and
// the receipt contain them in full.
func shortDigests(text string) string {
	return digests.ReplaceAllStringFunc(text, func(d string) string { return d[:len("sha256:")+12] })
}

// backlog limits the lines that wait for a slow writer.
const backlog = 4 << 20

// say queues finished lines. Lines of passing interest are dropped while the
// backlog is full, which is reported once it has drained.
func (u *UI) say(lines ...string) {
	for _, l := range lines {
		u.out = append(u.out, l)
		u.outSize += len(l)
	}
	if len(lines) > 0 {
		select {
		case u.wake <- struct{}{}:
		default:
		}
	}
}

// full reports whether passing lines have to be dropped, and counts them.
func (u *UI) full() bool {
	if u.outSize < backlog {
		return false
	}
	u.dropped++
	return true
}

// start starts the writing goroutine at the first output, so that a command
// without output costs nothing.
func (u *UI) start() {
	if u.started || u.closing {
		return
	}
	u.started = true
	go u.loop()
}

// loop is the only goroutine that writes.
func (u *UI) loop() {
	defer close(u.gone)
	ticks := u.opts.Ticks
	if ticks == nil {
		every := plainEvery
		if u.opts.Mode == Live {
			every = redrawEvery
		}
		t := time.NewTicker(every)
		defer t.Stop()
		ticks = t.C
	}
	scr := &screen{w: u.opts.Err}
	if u.opts.Mode != Live {
		for {
			select {
			case <-u.quit:
				u.flush()
				return
			case <-u.wake:
			case <-ticks:
				u.signOfLife()
			}
			u.flush()
		}
	}
	sig := watchSuspend()
	defer sig.stop()
	var w, h int
	for {
		select {
		case <-u.quit:
			u.finish(scr)
			return
		case <-sig.suspended:
			u.note(scr.draw(nil, nil))
			sig.suspend()
			continue
		case <-sig.resumed:
			scr.stale = true
		case <-ticks:
		}
		w2, h2 := u.size()
		scr.stale = scr.stale || w2 != w || h2 != h
		w, h = w2, h2
		above, frame := u.picture(w, h)
		u.note(scr.draw(above, frame))
	}
}

// picture takes what is new since the last time, and the frame.
func (u *UI) picture(w, h int) (above, frame []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ended {
		return u.take(), nil
	}
	u.log.idle()
	// A cell on the right and a line at the top stay free, because terminals
	// differ in when they wrap and scroll at the edge.
	return u.take(), u.opts.frame(u.run, u.opts.Now(), w-1, h-1)
}

// finish writes the last lines, which replace the frame if the run was closed.
func (u *UI) finish(scr *screen) {
	u.mu.Lock()
	lines, ended := u.take(), u.ended
	u.mu.Unlock()
	if ended {
		u.note(scr.draw(lines, nil))
		return
	}
	if len(lines) > 0 {
		u.note(scr.draw(lines, scr.lines))
	}
	u.note(scr.leave())
}

func (u *UI) take() []string {
	lines := u.out
	u.out, u.outSize = nil, 0
	return lines
}

// flush writes what is queued.
func (u *UI) flush() {
	u.mu.Lock()
	lines := u.take()
	u.mu.Unlock()
	if len(lines) == 0 {
		return
	}
	_, err := io.WriteString(u.opts.Err, strings.Join(lines, "\n")+"\n")
	u.note(err)
}

// note stores the first write error; a run does not end because nobody reads
// its output.
func (u *UI) note(err error) {
	if err == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.fault == nil {
		u.fault = err
	}
}

func (u *UI) size() (w, h int) {
	if u.opts.Size != nil {
		w, h = u.opts.Size()
	}
	if w <= 0 {
		w = 80
	}
	if h <= 0 {
		h = 24
	}
	return w, h
}

// Close prints the result of the run, restores the terminal and waits until
// everything is written. It returns the first write error.
func (u *UI) Close(o pipeline.Outcome) error {
	w, _ := u.size()
	return u.end(func() bool {
		if u.opts.Mode == Events {
			u.outcomeJSON(o)
		} else {
			u.say(u.closingLines(o, w)...)
		}
		return true
	})
}

// Fail prints what ended a command that has no pipeline, in the UI's mode.
func (u *UI) Fail(found []*pipeline.Finding) error {
	return u.end(func() bool {
		if u.opts.Mode == Events {
			u.failJSON(found)
			return true
		}
		for _, f := range found {
			u.say(u.opts.finding(f)...)
		}
		return true
	})
}

// Stop restores the terminal and prints nothing more. After Close it does
// nothing, so it can be deferred in case of a panic.
func (u *UI) Stop() error { return u.end(func() bool { return false }) }

// end prints the last lines and waits for the writer to finish; last reports
// whether it printed any, so that they replace the frame.
func (u *UI) end(last func() bool) error {
	u.mu.Lock()
	if !u.closing {
		u.log.flush()
		u.ended = last()
		u.start()
		u.closing = true
		close(u.quit)
	}
	u.mu.Unlock()
	<-u.gone
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.fault
}

// ErrClosed is what the writer of Log returns once the UI has ended.
var ErrClosed = errors.New("the terminal's view is closed")
