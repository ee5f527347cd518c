package watch

import "time"

// tick is how often the follower looks at the clock when nothing else happens,
// and maxLap is the longest time between two looks that is not a gap: reading a
// log and judging a thousand pods take some seconds together.
const (
	tick   = time.Second
	maxLap = 8 * time.Second
)

// stopwatch counts down the time that a process was awake. A process that is
// suspended (SIGSTOP, Ctrl-Z) or sleeps with its laptop cannot watch, so that
// this time is not part of its timeout.
type stopwatch struct {
	left time.Duration
	last time.Time
}

// lap takes the time since the last lap off and returns how much of it was a
// gap, zero for none.
func (s *stopwatch) lap(now time.Time) (gap time.Duration) {
	// The wall clock, as the monotonic one stands still while a laptop sleeps.
	now = now.Round(0)
	took := max(0, now.Sub(s.last))
	s.last = now
	if took > maxLap {
		gap = took - tick
		took = tick
	}
	s.left -= took
	return gap
}
