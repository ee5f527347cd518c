package ui

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// BenchmarkEmit is what an event costs the goroutine that does the work: a
// push of 1 GB in chunks of 32 kB emits 32 768 events.
func BenchmarkEmit(b *testing.B) {
	for name, mode := range map[string]Mode{"live": Live, "plain": Plain, "events": Events} {
		b.Run(name, func(b *testing.B) {
			u := New(Options{Mode: mode, Err: io.Discard})
			var n int64
			r := pipeline.NewReporter("push", u)
			for b.Loop() {
				n += 32 << 10
				r.Progress(pipeline.Progress{Item: "sha256:aaaa", Done: n, Total: 1 << 50, Unit: pipeline.Bytes})
			}
			if err := u.Stop(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkFrame is one redrawing of a busy run.
func BenchmarkFrame(b *testing.B) {
	r := newRun()
	for i := range 8 {
		r.take(started(float64(i), fmt.Sprintf("stage %d", i)))
		if i < 7 {
			r.take(finished(float64(i+1), fmt.Sprintf("stage %d", i), 1, nil))
		}
	}
	for i := range 40 {
		r.take(moved(8, "stage 7", fmt.Sprintf("sha256:%064d", i), int64(i), 100, ""))
	}
	s := Style{Color: true}
	for b.Loop() {
		s.frame(r, at(9), 120, 40)
	}
	b.ReportMetric(float64(redrawEvery/time.Microsecond), "µs-between-frames")
}
