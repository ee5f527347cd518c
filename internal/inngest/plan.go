package inngest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Plan is what a refresh would do.
type Plan struct {
	Want model.Wanted `json:"want"`
	Own  *model.App   `json:"registered"` // nil when not registered yet
	// Served is nil where the worker did not show its functions.
	Served   *model.Served       `json:"-"`
	Expected []string            `json:"-"` // by the image's catalog
	Before   []model.Function    `json:"-"` // what Diff starts from
	Diff     judge.Diff          `json:"diff"`
	Findings []*pipeline.Finding `json:"findings"`
}

func (p *Plan) connected() bool { return p.Own != nil && p.Own.Method == model.MethodConnect }

func (p *Plan) functions() []model.Function {
	if p.Served == nil {
		return nil
	}
	return p.Served.Functions
}

// PlanRefresh looks at both ends and says what a registration would change.
// It changes nothing. An error says why a refresh must not go on.
func PlanRefresh(ctx context.Context, o RefreshOptions) (*Plan, error) {
	health, err := o.Client.Health(ctx)
	if err != nil {
		return nil, err
	}
	if health.Kind != "" {
		o.Worker.SetKind(health.Kind)
	}
	apps, err := o.Client.Apps(ctx)
	if err != nil {
		return nil, err
	}
	p := &Plan{Want: model.Wanted{App: o.App, URL: o.Worker.URL()}}
	if p.Own, err = judge.Choose(apps, p.Want); err != nil {
		return p, err
	}
	if err := p.inspect(ctx, o); err != nil {
		return p, err
	}
	if p.Own, err = judge.Choose(apps, p.Want); err != nil {
		return p, err
	}
	if p.connected() {
		p.Findings = append(p.Findings, judge.ConnectMode(*p.Own))
	}
	if p.Before = o.Before; p.Before == nil && p.Own != nil {
		p.Before = p.Own.Functions
	}
	if p.Served == nil {
		return p, nil
	}
	p.Diff = judge.Compare(p.Before, p.Served.Functions)
	inFlight := map[string]int{}
	if len(p.Diff.Removed) > 0 && p.Own != nil {
		if inFlight, err = InFlight(ctx, o.Client, *p.Own); err != nil {
			return p, err
		}
	}
	if f := judge.GuardLoss(p.Diff, inFlight, o.AllowRemoval); f != nil {
		if f.Severity == pipeline.Error {
			return p, f
		}
		p.Findings = append(p.Findings, f)
	}
	return p, nil
}

// blind are the codes with which a worker does not show its functions but may
// register nevertheless.
var blind = [...]pipeline.Code{"worker-no-in-band", "worker-key-needed"}

func isBlind(err error) bool {
	f, ok := errors.AsType[*pipeline.Finding](err)
	return ok && slices.Contains(blind[:], f.Code)
}

// inspect asks the worker what it would register, and as what.
func (p *Plan) inspect(ctx context.Context, o RefreshOptions) error {
	served, err := o.Worker.Functions(ctx)
	f, ok := errors.AsType[*pipeline.Finding](err)
	if ok && p.connected() {
		return nil // it need not serve the SDK over HTTP at all
	}
	if isBlind(err) {
		if err := p.nameBlind(ctx, o, err); err != nil {
			return err
		}
		seen := *f
		seen.Severity = pipeline.Warning
		seen.Why += "; so the loss of functions cannot be foreseen"
		p.Findings = append(p.Findings, &seen)
		return nil
	}
	if err != nil {
		return err
	}
	p.Served = served
	if err := p.name(served.App); err != nil {
		return err
	}
	if served.URL != "" && model.NormalizeURL(served.URL) != model.NormalizeURL(p.Want.URL) {
		return &pipeline.Finding{
			Code: "inngest-serve-url", Severity: pipeline.Error, What: fmt.Sprintf("the worker would register at %s, not at %s", served.URL, p.Want.URL),
			Why: "it takes the URL from its own settings",
			Fix: "set INNGEST_SERVE_HOST (SDK 3) or INNGEST_SERVE_ORIGIN (SDK 4) in the Deployment to the Service's URL, or inngest.host in .sbw.yaml to what is right",
		}
	}
	if len(served.Functions) == 0 {
		return &pipeline.Finding{
			Code: "inngest-no-functions", Severity: pipeline.Error, What: fmt.Sprintf("the worker %s serves no functions", served.App),
			Why: "its function index is empty", Fix: "export the functions from the worker's index and publish again",
		}
	}
	if o.Expect != nil {
		p.Expected = o.Expect(served.Functions)
	}
	return judge.CatalogMismatch(served.App, served.Functions, p.Expected)
}

// name takes over what the worker calls itself, or compares it.
func (p *Plan) name(app string) error {
	switch {
	case p.Want.App == "":
		p.Want.App = app
	case app != p.Want.App:
		return &pipeline.Finding{
			Code: "inngest-app-mismatch", Severity: pipeline.Error, What: fmt.Sprintf("the worker is the app %s, not %s", app, p.Want.App),
			Why: "it would register under its own name", Fix: "set inngest.app in .sbw.yaml, or INNGEST_APP_ID in the Deployment, so that both agree",
		}
	}
	return nil
}

// nameBlind finds the name of a worker that does not show its functions: its
// inspection has it, if there is a key to sign with.
func (p *Plan) nameBlind(ctx context.Context, o RefreshOptions, cause error) error {
	in, err := o.Worker.Inspect(ctx)
	if err == nil && in.AppID != "" {
		return p.name(in.AppID)
	}
	if p.Want.App == "" {
		return cause // then nothing says which app is meant
	}
	return nil
}
