package wire

import (
	"net/http"
	"sync"
	"time"
)

// clockDoubt is how far a clock may seem to be off without being so: the Date of an
// answer has whole seconds, and the answer itself takes time.
const clockDoubt = 2 * time.Second

// Ahead returns how far the clock of whoever answered is ahead of this machine's, from
// an answer's header and the times when the request was sent and answered. It is zero
// if the difference is too small to be seen in whole seconds; known is false without a
// Date.
func Ahead(h http.Header, sent, answered time.Time) (ahead time.Duration, known bool) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0, false
	}
	took := answered.Sub(sent)
	ahead = date.Add(time.Second / 2).Sub(sent.Add(took / 2)).Round(time.Second)
	if ahead.Abs() <= clockDoubt+took/2 {
		ahead = 0
	}
	return ahead, true
}

// Clock remembers how far another machine's clock is ahead of this one's. It is safe
// for concurrent use.
type Clock struct {
	mu     sync.Mutex
	known  bool
	ahead  time.Duration
	within time.Duration // how long the request took that ahead comes from
}

// Read learns from an answer. The fastest one counts, since it is the most exact,
// unless the difference has changed: a laptop has slept, or its clock was set.
func (c *Clock) Read(h http.Header, sent, answered time.Time) {
	ahead, ok := Ahead(h, sent, answered)
	if !ok {
		return
	}
	took := answered.Sub(sent)
	c.mu.Lock()
	defer c.mu.Unlock()
	moved := (ahead - c.ahead).Abs() > 2*clockDoubt+took
	if !c.known || took <= c.within || moved {
		c.known, c.ahead, c.within = true, ahead, took
	}
}

// Ahead returns how far the other clock is ahead; known is false before an answer with
// a Date.
func (c *Clock) Ahead() (ahead time.Duration, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ahead, c.known
}
