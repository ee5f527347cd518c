package rollout

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/cluster/watch"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/probe"
	"github.com/joelhooks/gh-sbw/internal/receipt"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// probeNew probes the pods that were followed last.
func (r *Run) probeNew(ctx context.Context, rep *pipeline.Reporter) (err error) {
	r.found.probes, err = r.probe(ctx, rep, r.found.watched)
	return err
}

// probe probes the new pods as the probe's type requires.
func (r *Run) probe(ctx context.Context, rep *pipeline.Reporter, watched watch.Result) ([]probe.Answer, error) {
	img, _ := r.facts.resolved.Peek() // an undo has none, since the cluster has pulled that image before
	if r.Probe.Type == worker.ProbeNone {
		rep.Notef("no pod is probed (probe: none); their readiness is the only proof")
	}
	return probe.Run(ctx, r.Conn, r.probeOptions(rep, watched, img.digests()))
}

// probeRestored probes the restored pods. A pod that does not answer is only a warning,
// since this version was running before. The expected page content is not checked,
// because it belongs to the new version.
func (r *Run) probeRestored(ctx context.Context, rep *pipeline.Reporter, watched watch.Result) {
	o := r.probeOptions(rep, watched, nil)
	if len(o.Pods) == 0 {
		return
	}
	o.Expect = ""
	_, err := probe.Run(ctx, r.Conn, o)
	for _, f := range pipeline.AsFindings("cannot probe the restored pods", err) {
		rep.Finding(f.WithSeverity(pipeline.Warning))
	}
}

func (r *Run) probeOptions(rep *pipeline.Reporter, watched watch.Result, digests []string) probe.Options {
	return probe.Options{
		Namespace: r.Ref.Namespace, Pods: watched.NewPods(), Container: r.container(), Digests: digests,
		Type: r.Probe.Type, Port: r.Probe.Port, Path: r.Probe.Path, Expect: r.Probe.Expect, Reporter: rep,
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

// hook runs the user's own command once the new version is proven. It runs before the
// old pods are terminated, so that its failure can still fail the rollout.
func (r *Run) hook(ctx context.Context, rep *pipeline.Reporter) error {
	rep.Changed() // its effects outside this process are not known
	r.found.hooked = true
	err := r.runHook(ctx, r.receipt(r.soFar()))
	f := Warning(err)
	switch {
	case err == nil:
		rep.Notef("hooks.proven: %s succeeded", r.Worker.Hooks.Proven[0])
		return nil
	case f == nil:
		return err
	case r.Worker.Hooks.ProvenRequired:
		return f.WithSeverity(pipeline.Error)
	}
	rep.Finding(f)
	return nil
}

// rehook runs the command again for the restored version, if it ran for the version
// that was taken back: whatever the command registered should name the serving version.
func (r *Run) rehook(ctx context.Context, rep *pipeline.Reporter) {
	if !r.found.hooked {
		return
	}
	rec := r.receipt(r.soFar())
	rec.Command, rec.Image, rec.Previous = "restore", receipt.ParseImage(r.facts.previous()), r.making()
	rec.Commit, rec.Source, rec.Dirty, rec.By.GitHub = "", "", false, "" // they describe the image that was taken back
	for _, f := range pipeline.AsFindings("cannot run hooks.proven again", r.runHook(ctx, rec)) {
		rep.Finding(f.WithSeverity(pipeline.Warning))
	}
}

// soFar returns the outcome of a run that is still in progress, for its receipt.
func (r *Run) soFar() pipeline.Outcome {
	return pipeline.Outcome{Name: r.command, End: pipeline.Done, Started: r.found.switched, Duration: time.Since(r.found.switched)}
}

// runHook runs hooks.proven with a receipt of the version that is serving now. If the
// command fails, the error is a warning with code hook-failed.
func (r *Run) runHook(ctx context.Context, rec *receipt.Receipt) error {
	err := receipt.Hook{Argv: r.Worker.Hooks.Proven, Dir: r.Root, Env: os.Environ(), Timeout: r.Timeout}.Run(ctx, rec)
	f := Warning(err)
	if f == nil || ctx.Err() != nil {
		return err
	}
	return f.With(func(f *pipeline.Finding) {
		f.Code, f.Where, f.What = CodeHookFailed, "hooks.proven", "the command of hooks.proven failed"
		f.Fix = "correct it, and run it for the version that is serving now"
	})
}

// checkHooks finds a command that does not exist before anything is changed.
func (r *Run) checkHooks(context.Context, *pipeline.Reporter) ([]*pipeline.Finding, error) {
	argv := r.Worker.Hooks.Proven
	if len(argv) == 0 {
		return nil, nil
	}
	program := argv[0]
	if strings.ContainsRune(program, filepath.Separator) && !filepath.IsAbs(program) {
		program = filepath.Join(r.Root, program)
	}
	if _, err := exec.LookPath(program); err != nil && !errors.Is(err, exec.ErrDot) {
		severity := pipeline.Warning
		if r.Worker.Hooks.ProvenRequired {
			severity = pipeline.Error
		}
		return []*pipeline.Finding{
			{
				Code:     CodeHookFailed,
				Severity: severity,
				Where:    worker.ConfigName,
				Err:      err,
				What:     "the command of hooks.proven cannot be run",
				Why:      err.Error(),
				Fix:      "correct hooks.proven; paths are relative to the repository's root",
			},
		}, nil
	}
	return nil, nil
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
		{Name: "hooks", Run: r.checkHooks},
	})
}
