package kubecmd

import (
	"cmp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/rollout"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// addProbe adds the flags that say how the pods are probed.
func addProbe(c *cobra.Command, p *rollout.ProbeOptions) {
	f := c.Flags()
	f.StringVar(&p.Type, "probe", "", "how to probe the pods: "+strings.Join(worker.ProbeTypes, ", ")+" (default: probe.type, http)")
	f.StringVar(&p.Path, "probe-path", "", "the path to request (default: probe.path, /)")
	f.StringVar(&p.Expect, "probe-expect", "", "text that the response must contain (default: probe.expect)")
	f.IntVar(&p.Port, "probe-port", 0, "the port to probe (default: probe.port, 3111)")
	cli.Complete(c, "probe", worker.ProbeTypes...)
}

// completeProbe fills in from the configuration what the flags leave open, and refuses
// contradictions.
func completeProbe(p *rollout.ProbeOptions, from worker.Probe) error {
	p.Type, p.Port = cmp.Or(p.Type, from.Type), cmp.Or(p.Port, from.Port)
	switch {
	case !slices.Contains(worker.ProbeTypes, p.Type):
		return pipeline.UsageErrorf(pipeline.CodeUsage, "use "+strings.Join(worker.ProbeTypes, ", "), "--probe %q is not known", p.Type)
	case p.Port < 1 || p.Port > 65535:
		return pipeline.UsageErrorf(pipeline.CodeUsage, "use a port from 1 to 65535", "--probe-port %d is not a valid port", p.Port)
	case p.Asks():
		p.Path, p.Expect = cmp.Or(p.Path, from.Path, "/"), cmp.Or(p.Expect, from.Expect)
	case p.Path != "" || p.Expect != "":
		return pipeline.UsageErrorf(
			pipeline.CodeUsage,
			"leave one of them out",
			"a probe of type %s does not request a page, so --probe-path and --probe-expect do not apply",
			p.Type,
		)
	}
	if p.Asks() && !strings.HasPrefix(p.Path, "/") {
		return pipeline.UsageErrorf(pipeline.CodeUsage, "start it with a slash", "--probe-path %q is not a path", p.Path)
	}
	return nil
}

// addNoInngest adds the flag that skips everything about Inngest.
func addNoInngest(c *cobra.Command, off *bool) {
	c.Flags().
		BoolVar(off, "no-inngest", false, "the worker registers nothing: leave Inngest out (default: set if .sbw.yaml has "+worker.NoInngest+")")
}

// leaveOut sets whether Inngest is left out, and which setting says so.
func leaveOut(o *rollout.InngestOptions, flag bool, w worker.Inngest) {
	switch o.Off = flag || w.Off; {
	case flag:
		o.OffBy = "--no-inngest"
	case w.Off:
		o.OffBy = worker.NoInngest
	}
}
