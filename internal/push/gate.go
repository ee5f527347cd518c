package push

import (
	"context"
	"sync"
	"time"
)

// gate limits parallel uploads. They share the uplink, and GHCR aborts an upload
// that takes longer than ten minutes: four of 400 MB at 2.5 MB/s would all fail,
// but would succeed one after the other. So another upload is admitted only if
// everything in progress is expected to finish in half that time, at the rate
// measured so far. A single upload is always admitted. A connection fault halves
// the number of parallel uploads; each success adds one.
type gate struct {
	most int
	now  func() time.Time

	mu      sync.Mutex
	limit   int
	uploads int
	left    int64 // bytes of admitted uploads that are still to be sent
	rate    float64
	from    time.Time // start of the current measuring window
	bytes   int64     // sent in it
	changed chan struct{}
}

const (
	uploadBudget = 5 * time.Minute
	// assumedRate is the rate in bytes per second that is used until one has been
	// measured: an uplink of 8 Mbit/s.
	assumedRate = 1e6
	rateWindow  = 500 * time.Millisecond
	rateWeight  = 0.3 // of a new window
)

func newGate(most int, now func() time.Time) *gate {
	return &gate{most: most, now: now, limit: most, rate: assumedRate, changed: make(chan struct{})}
}

// enter waits until an upload of size bytes may start.
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

// moved counts n bytes as sent.
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

// leave ends an upload of which unsent bytes were not sent. bad means that the
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
