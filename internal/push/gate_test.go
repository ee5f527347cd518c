package push

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// uplink sends blobs through a gate over a link of a given rate. It returns the
// largest number of parallel uploads and the duration of the longest one. It runs
// on the bubble's clock.
func uplink(t *testing.T, rate float64, sizes ...int64) (most int, longest time.Duration) {
	t.Helper()
	g := newGate(4, time.Now)
	free := time.Now()
	turn := make(chan struct{}, 1)
	turn <- struct{}{}
	running := 0
	ended := make(chan time.Duration, len(sizes))
	for _, size := range sizes {
		go func() {
			if err := g.enter(t.Context(), size); err != nil {
				t.Error(err)
			}
			start := time.Now()
			<-turn
			running++
			most = max(most, running)
			turn <- struct{}{}
			for left := size; left > 0; {
				n := min(left, 1<<20)
				<-turn
				if now := time.Now(); free.Before(now) {
					free = now
				}
				free = free.Add(time.Duration(float64(n) / rate * float64(time.Second)))
				until := free
				turn <- struct{}{}
				time.Sleep(time.Until(until)) // of the bubble's clock
				g.moved(n)
				left -= n
			}
			<-turn
			running--
			turn <- struct{}{}
			g.leave(0, false)
			ended <- time.Since(start)
		}()
		synctest.Wait()
	}
	for range sizes {
		longest = max(longest, <-ended)
	}
	return most, longest
}

// TestGateAdapts checks that uploads stay within GHCR's ten minutes on a slow
// uplink and run in parallel on a fast one.
func TestGateAdapts(t *testing.T) {
	const mb = 1 << 20
	for name, c := range map[string]struct {
		rate      float64
		sizes     []int64
		min, most int
	}{
		"4 of 400 MB at 2.5 MB/s": {2.5e6, []int64{400 * mb, 400 * mb, 400 * mb, 400 * mb}, 1, 3},
		"small ones at 2.5 MB/s":  {2.5e6, []int64{10 * mb, 10 * mb, 10 * mb, 10 * mb, 10 * mb}, 4, 4},
		"4 of 400 MB at 100 MB/s": {100e6, []int64{400 * mb, 400 * mb, 400 * mb, 400 * mb}, 3, 4},
		"one of 1 GB at 2 MB/s":   {2e6, []int64{1000 * mb}, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				most, longest := uplink(t, c.rate, c.sizes...)
				if most < c.min || most > c.most {
					t.Errorf("%d at once, want %d to %d", most, c.min, c.most)
				}
				if longest > 10*time.Minute {
					t.Errorf("one took %s", longest)
				}
			})
		})
	}
}

// TestGateTakesBack checks that the number of parallel uploads is halved when the
// connection fails and restored one by one.
func TestGateTakesBack(t *testing.T) {
	g := newGate(4, time.Now)
	for _, step := range []struct {
		bad  bool
		want int
	}{{true, 2}, {true, 1}, {true, 1}, {false, 2}, {false, 3}, {false, 4}, {false, 4}} {
		if err := g.enter(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		g.leave(1, step.bad)
		if g.limit != step.want {
			t.Errorf("limit %d, want %d", g.limit, step.want)
		}
	}
}

func TestGateEndsWithTheContext(t *testing.T) {
	g := newGate(1, time.Now)
	if err := g.enter(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(pipeline.ErrInterrupted)
	if err := g.enter(ctx, 1); !errors.Is(err, pipeline.ErrInterrupted) {
		t.Errorf("got %v", err)
	}
}
