package rollout

import (
	"context"
	"slices"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/probe"
	"github.com/joelhooks/gh-sbw/internal/waiting"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// steady is how long the new pods must have accepted connections before they serve. A
// worker that crashes because of a wrong database address or Secret often does so within
// its first second, when a readiness probe may already have passed. A longer wait would
// delay every rollout for the few workers that crash later; --bake watches for those.
const steady = time.Second

// proveSteady waits until the new pods have accepted connections for a while, and then
// probes them once more, since the kubelet may take a second to notice that a container
// has exited. A pod that answers only at a further attempt may just have restarted, and
// has to prove itself for as long again.
func (r *Run) proveSteady(ctx context.Context, rep *pipeline.Reporter, since time.Time) error {
	for try := 1; ; try++ {
		if err := waiting.For(ctx, time.Until(since.Add(steady))); err != nil {
			return err
		}
		if r.Probe.Type == worker.ProbeNone {
			return nil
		}
		answers, err := r.prober().run(ctx, rep, r.found.watched)
		atOnce := !slices.ContainsFunc(answers, func(a probe.Answer) bool { return a.Attempts > 1 })
		if err != nil || atOnce || try == contested {
			return err
		}
		since = time.Now()
	}
}
