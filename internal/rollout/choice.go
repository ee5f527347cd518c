package rollout

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// findChoice chooses between a switch and a rolling update. It judges the objects
// that the API server's dry run returns, because only these have all defaults set.
func (f *facts) findChoice(ctx context.Context) (handover.Choice, error) {
	if f.wish.Strategy == handover.StrategyRolling || f.wish.Strategy == "" {
		return handover.Choice{Strategy: handover.StrategyRolling, Reason: "a rolling update was requested"}, nil
	}
	live, err := f.live.Get(ctx)
	if err != nil && !isMissing(err) {
		return handover.Choice{}, err
	}
	if held, err := f.held.Get(ctx); err == nil {
		switch p := handover.Decide(held); {
		case p.Stage == handover.NotHeld:
		case f.goesOnWith(ctx, held, p):
			return handover.Choice{Strategy: handover.StrategySwitch, Reason: "it continues a switch that had begun: " + p.What,
				Old: held.Mark.Old, Services: held.Mark.Services}, nil
		default: // the present state of the cluster does not show what it will be then
			return handover.Choice{Strategy: handover.StrategyAuto, Reason: "it is decided once the unfinished switch has been ended"}, nil
		}
	}
	kube, err := f.Conn.Kube()
	if err != nil {
		return handover.Choice{}, err
	}
	var next *workload.Workload
	var altered []string
	if live != nil {
		results, err := f.write(ctx, apply.Options{Force: f.force, DryRun: true, Target: f.Ref, Container: f.container()}, nothing)
		if err != nil {
			if ctx.Err() != nil {
				return handover.Choice{}, context.Cause(ctx)
			}
			if !isForbidden(err) {
				return handover.Choice{}, err // the check of the dry run reports it
			}
			return handover.Choice{
				Strategy: handover.StrategyRolling,
				Reason:   "a dry run is not permitted, so it cannot be determined whether a switch is possible: " + firstLine(err),
			}, nil
		}
		if _, next, err = apply.Find(results, f.Ref); err != nil {
			return handover.Choice{}, err
		}
		altered = alteredServices(results, f.Ref.Namespace)
	}
	s, err := handover.Look(ctx, kube, live, next)
	if err != nil {
		return handover.Choice{}, err
	}
	s.Altered, s.Route = altered, f.route(ctx)
	return handover.Choose(s), nil
}

// firstLine returns the text of an error's first finding.
func firstLine(err error) string {
	if f, ok := errors.AsType[*pipeline.Finding](err); ok {
		return f.What
	}
	return err.Error()
}

// alteredServices returns the names of the Services whose spec the manifest changes.
func alteredServices(results []apply.Result, namespace string) (names []string) {
	for _, r := range results {
		if r.Before == nil || r.After.GetKind() != "Service" || r.After.GroupVersionKind().Group != corev1.GroupName || r.Namespace != namespace {
			continue
		}
		was, _, err1 := unstructured.NestedMap(r.Before.Object, "spec")
		is, _, err2 := unstructured.NestedMap(r.After.Object, "spec")
		if err1 != nil || err2 != nil || !equality.Semantic.DeepEqual(was, is) {
			names = append(names, r.Name)
		}
	}
	return names
}

// route returns the Service of the worker's namespace that the Inngest server calls,
// or "" if it is not known.
func (f *facts) route(ctx context.Context) string {
	if f.inngest.Off {
		return ""
	}
	c, err := f.conn.Get(ctx)
	if err != nil {
		return "" // the check of Inngest reports it
	}
	if t := c.WorkerTarget(); t.Namespace == f.Ref.Namespace {
		return t.Service
	}
	return ""
}

// sparesSteps reports whether no running step will be interrupted, because either
// the new version is proven before it serves or no serving pod is replaced. If that
// cannot be determined, the answer is false.
func (f *facts) sparesSteps(ctx context.Context) bool {
	c, err := f.choice.Get(ctx)
	return err == nil && (c.Strategy != handover.StrategyRolling || c.Moot)
}

// checkStrategy notes how the new version will replace the old one, and refuses the
// rollout if that differs from the requested strategy.
func (f *facts) checkStrategy(ctx context.Context, rep *pipeline.Reporter) ([]*pipeline.Finding, error) {
	if f.wish.Strategy == handover.StrategyRolling || f.wish.Strategy == "" {
		_, err := f.choice.Get(ctx) // for the result
		return nil, err
	}
	if _, err := f.resolved.Get(ctx); err != nil {
		return nil, nil // the image's own check reports it
	}
	c, err := f.choice.Get(ctx)
	if err != nil {
		return nil, nil // whatever cannot be read here is reported by another check
	}
	switch c.Strategy {
	case handover.StrategyAuto:
		rep.Notef("%s", c.Reason)
		return nil, nil
	case handover.StrategyRolling:
		if f := f.impossible(c); f != nil {
			return []*pipeline.Finding{f}, nil
		}
		rep.Notef("rolling update: %s", c.Reason)
		return nil, nil
	}
	rep.Notef("prove, then switch: %s", c.Reason)
	rep.Notef("held until then: the selector of %s, and minReadySeconds, progressDeadlineSeconds and strategy of %s", list(c.Services), f.Ref)
	for _, note := range c.Notes {
		rep.Notef("%s", note)
	}
	return nil, nil
}

// impossible returns a refusal if a switch was requested but is not possible, else nil.
func (f *facts) impossible(c handover.Choice) *pipeline.Finding {
	if c.Strategy != handover.StrategyRolling || c.Moot || f.wish.Strategy != handover.StrategySwitch {
		return nil
	}
	return &pipeline.Finding{Code: CodeSwitchImpossible, Severity: pipeline.Error, Where: f.where(),
		What: "the new version cannot be proved before it serves", Why: c.Reason,
		Fix: "remove the obstacle, or use --strategy auto, which does a rolling update here"}
}

func list(names []string) string {
	switch len(names) {
	case 0:
		return "no Service"
	case 1:
		return "Service " + names[0]
	}
	return fmt.Sprintf("Services %v", names)
}
