package inngestd

import (
	"math/rand/v2"
	"time"
)

// table is the server's (pkg/backoff): the wait after the attempt with that
// number. The last entry applies to all further attempts.
var table = [...]time.Duration{
	15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute,
	10 * time.Minute, 20 * time.Minute, 40 * time.Minute, time.Hour, 2 * time.Hour,
}

// Table is the server's own backoff: its table plus up to 30 s of jitter.
func Table(attempt int) time.Duration {
	return table[min(attempt, len(table)-1)] + rand.N(30*time.Second)
}

// Scaled returns the table without jitter, divided by a factor: with 100, the
// waits are 150 ms, 300 ms, 600 ms and so on.
func Scaled(divisor int) func(attempt int) time.Duration {
	return func(attempt int) time.Duration {
		return table[min(attempt, len(table)-1)] / time.Duration(divisor)
	}
}
