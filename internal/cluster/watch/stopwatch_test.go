package watch

import (
	"testing"
	"time"
)

func TestStopwatch(t *testing.T) {
	t0 := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := stopwatch{left: 100 * time.Second, last: t0}
	for i, step := range []struct{ at, gap, left time.Duration }{
		{1 * time.Second, 0, 99 * time.Second},
		{6 * time.Second, 0, 94 * time.Second},                   // a slow judgement
		{116 * time.Second, 109 * time.Second, 93 * time.Second}, // suspended for 110 s
		{117 * time.Second, 0, 92 * time.Second},
		{110 * time.Second, 0, 92 * time.Second},                           // the clock was set back
		{24 * time.Hour, 24*time.Hour - 111*time.Second, 91 * time.Second}, // a night
	} {
		if gap := s.lap(t0.Add(step.at)); gap != step.gap || s.left != step.left {
			t.Errorf("step %d: gap %s, left %s; want %s, %s", i, gap, s.left, step.gap, step.left)
		}
	}
}
