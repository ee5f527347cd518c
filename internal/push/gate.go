package push

import (
	"context"
	"sync"
	"time"
)

// gate admits uploads. Parallel uploads share the uplink, and GHCR ends one that
// takes longer than ten minutes: four of 400 MB at 2.5 MB/s would all fail where
// one after the other would succeed. So a further upload is admitted only while
// all that is under way is expected to be through in half that time, at the rate
// that was measured so far; one alone is always admitted. A fault of the
// connection halves the number, each success gives one back.
type gate struct {
	most int
	now  func() time.Time

	mu      sync.Mutex
	limit   int
	uploads int
	left    int64 // bytes that are still to be sent of what is under way
	rate    float64
	from    time.Time // of the window that is measured
	bytes   int64     // sent in it
	changed chan struct{}
}

const (
	uploadBudget = 5 * time.Minute
	// assumedRate is in bytes per second, an uplink of 8 Mbit/s, until measured.
	assumedRate = 1e6
	rateWindow  = 500 * time.Millisecond
	rateWeight  = 0.3 // of a new window
)

func newGate(most int, now func() time.Time) *gate {
	return &gate{most: most, now: now, limit: most, rate: assumedRate, changed: make(chan struct{})}
}

// enter waits until an upload of that size may start.
func (g *gate) enter(ctx context.Context, size int64) error {
	for {
		g.mu.Lock()
		if g.admits(size) {
			if g.uploads == 0 {
				g.from, g.bytes = g.now(), 0
			}
			g.uploads++
			g.left += size
			g.mu.Unlock()
			return nil
		}
		changed := g.changed
		g.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (g *gate) admits(size int64) bool {
	if g.uploads == 0 {
		return true
	}
	return g.uploads < g.limit && float64(g.left+size)/g.rate <= uploadBudget.Seconds()
}

// moved counts bytes that were sent.
func (g *gate) moved(n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left -= n
	g.bytes = max(0, g.bytes+n) // negative when a try starts over
	took := g.now().Sub(g.from)
	if took < rateWindow {
		return
	}
	measured := float64(g.bytes) / took.Seconds()
	if measured == 0 {
		return
	}
	if g.rate == assumedRate {
		g.rate = measured
	} else {
		g.rate += rateWeight * (measured - g.rate)
	}
	g.from, g.bytes = g.now(), 0
	g.wake()
}

// leave ends an upload of which unsent bytes were not sent; bad says that the
// connection failed.
func (g *gate) leave(unsent int64, bad bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.uploads--
	g.left -= unsent
	if bad {
		g.limit = max(1, g.limit/2)
	} else {
		g.limit = min(g.most, g.limit+1)
	}
	g.wake()
}

func (g *gate) wake() {
	close(g.changed)
	g.changed = make(chan struct{})
}
