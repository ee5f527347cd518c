package rollout

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/cluster/watch"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/probe"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// probeNew probes the pods that were followed last.
func (r *Run) probeNew(ctx context.Context, rep *pipeline.Reporter) (err error) {
	r.found.probes, err = r.prober().run(ctx, rep, r.found.watched)
	return err
}

// prober probes pods that were followed.
type prober struct {
	*facts
	ProbeOptions
}

func (r *Run) prober() prober { return prober{r.facts, r.Probe} }

// run probes the new pods as the probe's type requires.
func (p prober) run(ctx context.Context, rep *pipeline.Reporter, watched watch.Result) ([]probe.Answer, error) {
	img, _ := p.resolved.Peek() // an undo has none, since the cluster has pulled that image before
	if p.Type == worker.ProbeNone {
		rep.Notef("no pod is probed (probe: none); their readiness is the only proof")
	}
	return probe.Run(ctx, p.Conn, p.options(rep, watched, img.digests()))
}

// restored probes the restored pods. A pod that does not answer is only a warning,
// since this version was running before. The expected page content is not checked,
// because it belongs to the new version.
func (p prober) restored(ctx context.Context, rep *pipeline.Reporter, watched watch.Result) {
	o := p.options(rep, watched, nil)
	if len(o.Pods) == 0 {
		return
	}
	o.Expect = ""
	_, err := probe.Run(ctx, p.Conn, o)
	for _, f := range pipeline.AsFindings("cannot probe the restored pods", err) {
		rep.Finding(f.WithSeverity(pipeline.Warning))
	}
}

func (p prober) options(rep *pipeline.Reporter, watched watch.Result, digests []string) probe.Options {
	return probe.Options{
		Namespace: p.Ref.Namespace, Pods: watched.NewPods(), Container: p.container(), Digests: digests,
		Type: p.Type, Port: p.Port, Path: p.Path, Expect: p.Expect, Reporter: rep,
	}
}

// checkProbe compares the port that will be probed with the ports that the container
// declares. Declaring ports is optional, so a difference is only a warning.
func (f *facts) checkProbe(ctx context.Context, p worker.Probe) ([]*pipeline.Finding, error) {
	if p.Type == worker.ProbeNone {
		return nil, nil
	}
	next, err := f.next.Get(ctx)
	if err != nil {
		return nil, nil // its own check reports it
	}
	c, err := next.Container(f.container())
	if err != nil {
		return nil, nil // likewise
	}
	var ports []string
	for _, port := range c.Ports {
		if int(port.ContainerPort) == p.Port {
			return nil, nil
		}
		ports = append(ports, fmt.Sprint(port.ContainerPort))
	}
	if len(ports) == 0 {
		return nil, nil
	}
	return []*pipeline.Finding{{Code: CodeProbePort, Severity: pipeline.Warning, Where: f.where(),
		What: fmt.Sprintf("the new pods will be probed on port %d, which container %s does not declare", p.Port, c.Name),
		Why:  "it declares " + strings.Join(ports, ", "),
		Fix:  fmt.Sprintf("write probe: {port: %s} in %s, or use --probe-port", ports[0], worker.ConfigName)}}, nil
}

// leftOut is the check that replaces those of Inngest if Inngest is not used.
func (r *Run) leftOut() pipeline.Check {
	return pipeline.Check{Name: "Inngest", Run: func(_ context.Context, rep *pipeline.Reporter) ([]*pipeline.Finding, error) {
		rep.Notef("Inngest is not used (%s): nothing is registered, and running steps are not checked", r.Inngest.OffBy)
		return nil, nil
	}}
}

// more adds the checks that a rollout and an undo have in common.
func (r *Run) more(checks []pipeline.Check) []pipeline.Check {
	return slices.Concat(checks, []pipeline.Check{
		{Name: "probe", Run: func(ctx context.Context, _ *pipeline.Reporter) ([]*pipeline.Finding, error) {
			return r.facts.checkProbe(ctx, r.Probe)
		}},
		{Name: "hooks", Run: r.provenHook().check},
	})
}
