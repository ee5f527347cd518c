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
	Quiet              // warnings, errors, and how it ended if it failed
)

// Options configure a UI. FromEnv returns them.
type Options struct {
	Mode Mode
	// Err takes the story; stdout is never written.
	Err io.Writer
	// Verbose shows details too.
	Verbose bool
	Style
	// Size is the window's size in cells, asked before every drawing; nil, or
	// an answer of 0: 80 by 24.
	Size func() (width, height int)
	// Next says what to do after a run that ended so: "run `kubectl sbw status`".
	Next map[pipeline.End]string
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Ticks drives redrawing and the signs of life of Plain; nil: a ticker of
	// the UI's own.
	Ticks <-chan time.Time
}

const (
	redrawEvery = time.Second / 12
	plainEvery  = time.Second
)

// UI shows one run. It is a pipeline.Sink; its methods may be called from
// several goroutines at once.
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
	ended   bool // the closing lines are among out: the frame has had its day
	fault   error

	wake chan struct{}
	quit chan struct{}
	gone chan struct{}
}

var _ pipeline.Sink = (*UI)(nil)

// New makes a UI. Close, Fail or Stop ends it.
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

// Plan says which stages are to come, so that the live view can list them.
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

// Emit takes an event. It keeps what is to be said and returns; one goroutine
// writes, so that a slow terminal does not hold up the work. After the end of
// the UI it does nothing.
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

// above is what an event leaves above the live view.
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

// shortDigests keeps of each digest what distinguishes it from others, as docker and
// kubectl do: two of them fill three lines of a window. The result on stdout
// and the receipt have them whole.
func shortDigests(text string) string {
	return digests.ReplaceAllStringFunc(text, func(d string) string { return d[:len("sha256:")+12] })
}

// backlog bounds what waits for a writer that does not get on.
const backlog = 4 << 20

// say queues finished lines. What matters only for the moment is left out
// where the backlog is full, which is said once it has drained.
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

// full reports whether passing things are to be left out, and counts them.
func (u *UI) full() bool {
	if u.outSize < backlog {
		return false
	}
	u.dropped++
	return true
}

// start starts the writing goroutine at the first thing to say, so that a
// command which says nothing pays nothing.
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

// picture takes what has been said since the last time, and the frame.
func (u *UI) picture(w, h int) (above, frame []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ended {
		return u.take(), nil
	}
	u.log.idle()
	// A cell at the right and a line at the top stay free: at the very edge
	// terminals differ in when they wrap and scroll.
	return u.take(), u.opts.frame(u.run, u.opts.Now(), w-1, h-1)
}

// finish writes the last lines, in place of the frame if the run was closed.
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

// flush writes what waits.
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

// note keeps the first fault of writing; a run does not end because nobody
// listens.
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

// Close prints what the run came to, restores the terminal and waits until
// all is written. It returns the first fault of writing.
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

// Fail prints what ended a command outside of a pipeline, in the UI's mode.
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

// Stop restores the terminal and says nothing further. After Close it does
// nothing, so that it can be deferred against a panic.
func (u *UI) Stop() error { return u.end(func() bool { return false }) }

// end says the last things and waits for the writer to finish; last reports
// whether it said them, so that they take the frame's place.
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

// ErrClosed is what the writer of Log returns after the UI's end.
var ErrClosed = errors.New("the terminal's view has ended")
