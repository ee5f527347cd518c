package kubecmd

import (
	"context"
	"fmt"
	"sync"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/rollout"
	"github.com/joelhooks/gh-sbw/internal/ui"
)

// statusReports is the state of several clusters, for `-o json` and yaml.
type statusReports struct {
	Contexts []contextStatus `json:"contexts"`
	Well     bool            `json:"well"` // all of them
}

// contextStatus is one of them; of a cluster that cannot be asked it has the
// findings alone.
type contextStatus struct {
	Context string `json:"context"`
	*rollout.Status
	Failed []*pipeline.Finding `json:"failed,omitempty"` // why there is no report
}

// everywhere looks at all contexts at once and says a line of each.
func (o *statusOptions) everywhere(ctx context.Context, k *factory) error {
	kubes, err := k.each(o.contexts)
	if err != nil {
		return err
	}
	all := make([]contextStatus, len(kubes))
	var wg sync.WaitGroup
	for i, one := range kubes {
		all[i].Context = *one.flags.Context
		wg.Go(func() {
			s, err := o.status(ctx, one)
			all[i].Status, all[i].Failed = s, pipeline.AsFindings("look at the cluster", err)
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	res := statusReports{Contexts: all, Well: true}
	for _, c := range all {
		res.Well = res.Well && c.Status != nil && c.Well
	}
	return o.print(k.env, res, res.Well, func() error { return printStatuses(k.env, all) })
}

func printStatuses(env *cli.Env, all []contextStatus) error {
	rows := ui.NewRows(env.Style(env.Out), "CONTEXT", "IMAGE", "READY", "VERDICT", "WHY")
	found := make([][]*pipeline.Finding, len(all))
	names := make([]string, len(all))
	for i, c := range all {
		names[i], found[i] = c.Context, c.Failed
		if c.Status == nil {
			rows.Add(c.Context, "-", "-", "unknown", worst(c.Failed))
			continue
		}
		found[i] = c.Findings
		verdict, why := "well", "-"
		if !c.Well {
			verdict, why = "not well", worst(c.Findings)
			if why == "-" {
				why = string(c.Verdict.State)
			}
		}
		rows.Add(c.Context, shortImage(c.Image), fmt.Sprintf("%d/%d", c.Verdict.Ready, c.Verdict.Wanted), verdict, why)
	}
	if err := rows.Print(env.Out); err != nil {
		return err
	}
	return env.Report(rollout.Together(names, found))
}

// worst is the code of the first error.
func worst(found []*pipeline.Finding) string {
	for _, f := range found {
		if f.Severity == pipeline.Error {
			return string(f.Code)
		}
	}
	return "-"
}
