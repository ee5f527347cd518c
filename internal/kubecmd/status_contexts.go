package kubecmd

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/rollout"
	"github.com/joelhooks/gh-sbw/internal/ui"
)

// contextStatus is the status in one of several contexts.
type contextStatus struct {
	Context string `json:"context"`
	*rollout.Status
	Findings []*pipeline.Finding `json:"findings"`
	Failed   []*pipeline.Finding `json:"failed,omitempty"` // why there is no status
}

// everywhere reads the status in all contexts concurrently.
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
			if all[i].Status, all[i].Failed = s, pipeline.AsFindings("cannot read the status", err); s != nil {
				all[i].Findings = s.Findings
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return o.print(k.env, newStatusesDocument(all), func() error { return printStatuses(k.env, all) })
}

// newStatusesDocument combines the statuses of several contexts.
func newStatusesDocument(all []contextStatus) *statusDocument {
	d := &statusDocument{Well: true, Contexts: all}
	var names []string
	var found [][]*pipeline.Finding
	for _, c := range all {
		d.Well = d.Well && c.Status != nil && c.Well
		names, found = append(names, c.Context), append(found, slices.Concat(c.Failed, c.Findings))
	}
	d.reported = rollout.Together(names, found)
	return d
}

// printStatuses writes one line for each context.
func printStatuses(env *cli.Env, all []contextStatus) error {
	rows := ui.NewRows(env.Style(env.Out), "CONTEXT", "IMAGE", "READY", "VERDICT", "WHY")
	for _, c := range all {
		if c.Status == nil {
			rows.Add(c.Context, "-", "-", "unknown", worst(c.Failed))
			continue
		}
		verdict, why := "well", "-"
		if !c.Well {
			verdict, why = "not well", worst(c.Findings)
			if why == "-" {
				why = string(c.Verdict.State)
			}
		}
		rows.Add(c.Context, shortImage(c.Image), fmt.Sprintf("%d/%d", c.Verdict.Ready, c.Verdict.Wanted), verdict, why)
	}
	return rows.Print(env.Out)
}

// worst returns the code of the first error, or "-".
func worst(found []*pipeline.Finding) string {
	for _, f := range found {
		if f.Severity == pipeline.Error {
			return string(f.Code)
		}
	}
	return "-"
}
