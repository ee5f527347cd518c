package watch

import "time"

// tick is how often the follower looks at the clock when nothing else happens,
// and maxLap is the longest time between two looks that does not count as a
// gap: reading a log and judging a thousand pods together take some seconds.
const (
	tick   = time.Second
	maxLap = 8 * time.Second
)

// stopwatch counts down the time that a process was awake. A process that is
// suspended (SIGSTOP, Ctrl-Z) or asleep with its laptop cannot watch, so this
// time is not part of its timeout.
type stopwatch struct {
	left time.Duration
	last time.Time
}

// lap subtracts the time since the last lap and returns how much of it was a
// gap, zero if none.
func (s *stopwatch) lap(now time.Time) (gap time.Duration) {
	// The wall clock, because the monotonic one stands still while a laptop
	// sleeps.
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
