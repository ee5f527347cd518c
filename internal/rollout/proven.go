package rollout

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/probe"
	"github.com/joelhooks/gh-sbw/internal/waiting"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// proveFunctions asks each new pod for its functions, and compares them with the
// image's catalog and with the registered functions. It changes nothing.
func (r *Run) proveFunctions(ctx context.Context, rep *pipeline.Reporter, pods []*corev1.Pod) error {
	if r.Inngest.Off {
		return nil
	}
	c, err := r.facts.conn.Get(ctx)
	if err != nil {
		return err
	}
	var before []model.Function
	if then, ok := r.facts.registered.Peek(); ok {
		before = then.functions()
	}
	var g errgroup.Group
	g.SetLimit(8)
	for _, pod := range pods {
		w, err := c.WorkerAt(ctx, pod.Name)
		if err != nil {
			return errors.Join(err, g.Wait())
		}
		g.Go(func() error {
			plan, err := inngest.PlanRefresh(ctx, inngest.RefreshOptions{
				Client: c.Client, Worker: w, App: c.App, AllowRemoval: r.Inngest.AllowRemoval, Before: before,
				Expect: func(served []model.Function) []string { return r.facts.expected(ctx, c.App, served) },
			})
			if err != nil {
				return c.Explain("ask pod "+pod.Name+" for its functions", err)
			}
			if plan.Served != nil {
				rep.Notef("pod %s serves %s", pod.Name, count(len(plan.Served.Functions), "function"))
			}
			return nil
		})
	}
	return g.Wait()
}

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
		answers, err := r.probe(ctx, rep, r.found.watched)
		atOnce := !slices.ContainsFunc(answers, func(a probe.Answer) bool { return a.Attempts > 1 })
		if err != nil || atOnce || try == contested {
			return err
		}
		since = time.Now()
	}
}
