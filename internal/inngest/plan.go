package inngest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/client"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/inngest/sdk"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Plan is what a refresh would do.
type Plan struct {
	Want model.Wanted `json:"want"`
	Own  *model.App   `json:"registered"` // nil when not registered yet
	// Served is nil where the worker did not show its functions.
	Served   *model.Served    `json:"-"`
	Expected []string         `json:"-"` // by the image's catalog
	Before   []model.Function `json:"-"` // what Diff starts from
	Diff     judge.Diff       `json:"diff"`
	// leavesConnect: the app is registered in connect mode, and its worker serves
	// over HTTP now.
	leavesConnect bool
	// Stale are the registrations that match a rule; with Prune, those that are
	// prunable would be deleted.
	Stale    []judge.Stale       `json:"stale"`
	Findings []*pipeline.Finding `json:"findings"`
}

// connected reports whether the worker registers by itself when it dials the
// server.
func (p *Plan) connected() bool {
	return p.Own != nil && p.Own.Method == model.MethodConnect && !(p.leavesConnect && p.Served != nil)
}

// dialFor is how long a worker that has just started may take to dial the server.
const dialFor = 10 * time.Second

// judgeConnect finds out whether a worker that shows its functions over HTTP has
// left connect mode: nothing has dialled the server for a while, or the user says
// so with Resync.
func (p *Plan) judgeConnect(ctx context.Context, o RefreshOptions) error {
	if !p.connected() {
		return nil
	}
	if !o.Resync && p.Served != nil {
		connected, known, err := awaitDial(ctx, o, p.Own.ID, min(dialFor, orDefault(o.Timeout, dialFor)))
		if err != nil {
			return err
		}
		p.leavesConnect = known && !connected
	}
	if p.connected() {
		p.Findings = append(p.Findings, judge.ConnectMode(*p.Own))
	} else if !o.Resync {
		p.Findings = append(p.Findings, judge.LeftConnect(*p.Own))
	}
	return nil
}

// awaitDial waits until a worker is connected to an app.
func awaitDial(ctx context.Context, o RefreshOptions, appID string, wait time.Duration) (connected, known bool, err error) {
	within, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	err = poll(within, orDefault(o.Poll, 500*time.Millisecond), func() (bool, error) {
		var err error
		connected, known, err = o.Client.Connected(ctx, appID)
		return connected || !known, err
	})
	if err != nil && ctx.Err() == nil && within.Err() != nil {
		return connected, known, nil
	}
	return connected, known, err
}

func (p *Plan) functions() []model.Function {
	if p.Served == nil {
		return nil
	}
	return p.Served.Functions
}

// PlanRefresh reports what a refresh would change and, with Prune, delete. It
// changes nothing. An error says why the refresh would fail.
func PlanRefresh(ctx context.Context, o RefreshOptions) (*Plan, error) {
	p, err := plan(ctx, o)
	if err != nil {
		return p, err
	}
	apps, err := o.Client.Apps(ctx)
	if err != nil {
		return p, err
	}
	for i := range apps {
		if p.Own != nil && apps[i].ID == p.Own.ID {
			apps[i].URL, apps[i].Name = p.Want.URL, p.Want.App // as the refresh will leave it
		}
	}
	p.Stale, _, err = judgeApps(ctx, o.Client, apps, p.Want, o.Liveness)
	return p, err
}

// plan looks at the server and the worker, and guards against loss.
func plan(ctx context.Context, o RefreshOptions) (*Plan, error) {
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
	p := &Plan{Want: model.Wanted{App: o.App, URL: o.Worker.URL()}, leavesConnect: o.Resync}
	if p.Own, err = judge.Choose(apps, p.Want); err != nil {
		return p, err
	}
	if o.Resync && p.Own != nil && !health.GraphQL {
		return p, client.NeedsGraphQL(client.ErrNoGraphQL, "register "+p.Own.Name+" as if for the first time, because it cannot delete apps")
	}
	if err := p.inspect(ctx, o); err != nil {
		return p, err
	}
	if p.Own, err = judge.Choose(apps, p.Want); err != nil {
		return p, err
	}
	if err := p.judgeConnect(ctx, o); err != nil {
		return p, err
	}
	if p.Before = o.Before; p.Before == nil && p.Own != nil {
		p.Before = p.Own.Functions
	}
	if p.Served == nil {
		return p, nil
	}
	p.Diff = judge.Compare(p.Before, p.Served.Functions)
	var inFlight map[string]judge.InFlight
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

// isBlind reports whether a worker does not show its functions, although it may
// register nevertheless.
func isBlind(err error) bool {
	return errors.Is(err, sdk.ErrKeyNeeded) || errors.Is(err, sdk.ErrNotShown)
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
		p.Findings = append(p.Findings, f.With(func(f *pipeline.Finding) {
			f.Severity = pipeline.Warning
			f.Why += "; so the loss of functions cannot be foreseen"
		}))
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
			Code:     model.CodeServeURL,
			Severity: pipeline.Error,
			What:     fmt.Sprintf("the worker would register at %s, not at %s", served.URL, p.Want.URL),
			Why:      "it takes the URL from its own settings",
			Fix: "set INNGEST_SERVE_HOST (SDK 3) or INNGEST_SERVE_ORIGIN (SDK 4) in the Deployment to the Service's URL, " +
				"or inngest.host in .sbw.yaml to what is right",
		}
	}
	if len(served.Functions) == 0 {
		return &pipeline.Finding{
			Code: model.CodeNoFunctions, Severity: pipeline.Error, What: fmt.Sprintf("the worker %s serves no functions", served.App),
			Why: "its function index is empty", Fix: "export the functions from the worker's index and publish again",
		}
	}
	if o.Expect != nil {
		p.Expected = o.Expect(served.Functions)
	}
	return judge.CatalogMismatch(served.App, served.Functions, p.Expected)
}

// name takes over the app name that the worker reports, or compares it with the
// expected one.
func (p *Plan) name(app string) error {
	switch {
	case p.Want.App == "":
		p.Want.App = app
	case app != p.Want.App:
		return &pipeline.Finding{
			Code:     model.CodeAppMismatch,
			Severity: pipeline.Error,
			What:     fmt.Sprintf("the worker is the app %s, not %s", app, p.Want.App),
			Why:      "it would register under its own name",
			Fix:      "set inngest.app in .sbw.yaml, or INNGEST_APP_ID in the Deployment, so that both agree",
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
