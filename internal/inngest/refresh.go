package inngest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// RefreshOptions say whose registration is made right, and what may be lost.
type RefreshOptions struct {
	Client *Client
	Worker *Worker
	// App is the worker's INNGEST_APP_ID; empty: what the worker says.
	App string
	// Expected are the functions of the image's catalog, by id with or
	// without the app's name; nil leaves that check out.
	Expected []string
	// AllowRemoval goes on although registered functions would vanish.
	AllowRemoval bool
	// Prune deletes what a rule calls stale, once the registration is right.
	Prune bool
	// Gone is evidence for the rule worker-gone; see Evidence.
	Gone map[string]string
	// Resync archives the app right before the registration, so that the
	// server takes it for new and reads its schedules again.
	Resync bool

	Timeout time.Duration // for the server's list to become right; 30 s when zero
	Poll    time.Duration // 500 ms when zero
}

// Refreshed is what a refresh did.
type Refreshed struct {
	App      App     `json:"app"`
	Served   *Served `json:"-"`
	Diff     Diff    `json:"diff"`
	Modified bool    `json:"modified"` // as the server said
	Stale    []Stale `json:"stale"`
	Pruned   []Stale `json:"pruned"`
	Foreign  []App   `json:"foreign"`
	// Findings are notes and warnings; an error ends the refresh.
	Findings []*pipeline.Finding `json:"findings"`
}

// Refresh makes the registration equal to what the worker serves: inspect,
// guard against loss, register, wait for the server's own list, and only then
// delete what is stale, if asked. Nothing is changed when it fails before
// r.Changed.
func Refresh(ctx context.Context, o RefreshOptions, r *pipeline.Reporter) (*Refreshed, error) {
	plan, err := PlanRefresh(ctx, o)
	if err != nil {
		return nil, err
	}
	done := &Refreshed{Served: plan.Served, Diff: plan.Diff, Findings: plan.Findings}
	r.Changed()
	if o.Resync && plan.Own != nil {
		r.Detailf("archiving %s, so that its registration is a full one", plan.Own.Name)
		if err := o.Client.DeleteApp(ctx, plan.Own.ID); err != nil {
			return done, err
		}
	}
	reg, err := o.Worker.Register(ctx)
	if err != nil {
		return done, archivedMeanwhile(o, plan, err)
	}
	done.Modified = reg.Modified
	verified, err := Verify(ctx, VerifyOptions{
		Client: o.Client, Worker: o.Worker, Want: plan.Want, Served: plan.functions(), Expected: o.Expected,
		Timeout: o.Timeout, Poll: o.Poll, Registration: reg, Repair: true,
	}, r)
	if err != nil {
		return done, err
	}
	done.App = verified.App
	done.Diff = Compare(plan.registered(), verified.App.Functions)
	return done, finish(ctx, o, plan.Want, done, r)
}

// archivedMeanwhile adds what a failed registration left behind.
func archivedMeanwhile(o RefreshOptions, plan *Plan, err error) error {
	f, ok := errors.AsType[*pipeline.Finding](err)
	if !ok || !o.Resync || plan.Own == nil {
		return err
	}
	left := *f
	left.Evidence = append(slices.Clone(f.Evidence), fmt.Sprintf("the app %s was archived for a full registration: no event starts its functions until `kubectl sbw refresh` succeeds", plan.Own.Name))
	return &left
}

// finish judges the other registrations and deletes what may go.
func finish(ctx context.Context, o RefreshOptions, want Wanted, done *Refreshed, r *pipeline.Reporter) error {
	apps, err := o.Client.Apps(ctx)
	if err != nil {
		return err
	}
	inFlight, err := runsPerApp(ctx, o.Client)
	if err != nil {
		return err
	}
	done.Stale, done.Foreign = Judge(apps, want, Evidence{Gone: o.Gone, InFlight: inFlight})
	if !o.Prune {
		if f := staleFinding(done.Stale); f != nil {
			done.Findings = append(done.Findings, f)
		}
		return nil
	}
	for _, s := range done.Stale {
		if !s.Prunable() {
			done.Findings = append(done.Findings, &pipeline.Finding{
				Code: "inngest-stale-in-use", Severity: pipeline.Warning,
				What: fmt.Sprintf("the stale app %s at %s is kept", s.App.Name, s.App.URL), Why: fmt.Sprintf("it has %s in flight", count(s.InFlight, "run")),
				Fix: "let them end, then `kubectl sbw refresh --prune-stale` again",
			})
			continue
		}
		r.Notef("deleting the stale app %q at %s (%s)", s.App.Name, s.App.URL, s.Reason)
		if err := o.Client.DeleteApp(ctx, s.App.ID); err != nil {
			return err
		}
		done.Pruned = append(done.Pruned, s)
	}
	return gone(ctx, o.Client, done.Pruned)
}

// gone looks whether what was deleted is: the server says so for any id.
func gone(ctx context.Context, c *Client, pruned []Stale) error {
	if len(pruned) == 0 {
		return nil
	}
	apps, err := c.Apps(ctx)
	if err != nil {
		return err
	}
	for _, s := range pruned {
		if slices.ContainsFunc(apps, func(a App) bool { return a.ID == s.App.ID }) {
			return &pipeline.Finding{
				Code: "inngest-prune-failed", Severity: pipeline.Error, What: fmt.Sprintf("the app %s at %s is still registered", s.App.Name, s.App.URL),
				Why: "the server took the deletion but lists it again", Fix: "its worker may still run and register itself: stop it, then prune again",
			}
		}
	}
	return nil
}

func staleFinding(stale []Stale) *pipeline.Finding {
	if len(stale) == 0 {
		return nil
	}
	f := &pipeline.Finding{
		Code: "inngest-stale-apps", Severity: pipeline.Warning, What: fmt.Sprintf("%s stale", isAre(len(stale), "registration")),
		Why: stale[0].Reason, Fix: "`kubectl sbw refresh --prune-stale`",
	}
	for _, s := range stale {
		f.Evidence = append(f.Evidence, fmt.Sprintf("%q at %s: %s (%s)", s.App.Name, s.App.URL, s.Reason, s.Rule))
	}
	return f
}

func runsPerApp(ctx context.Context, c *Client) (map[string]int, error) {
	runs, err := c.Runs(ctx, RunFilter{Status: []RunStatus{Running, Queued}})
	if err != nil {
		return nil, err
	}
	n := map[string]int{}
	for _, r := range runs {
		n[r.AppID]++
	}
	return n, nil
}

// Plan is what a refresh would do.
type Plan struct {
	Want Wanted
	Own  *App // nil when not registered yet
	// Served is nil where the worker did not show its functions.
	Served   *Served
	Diff     Diff
	Findings []*pipeline.Finding
}

func (p *Plan) registered() []Function {
	if p.Own == nil {
		return nil
	}
	return p.Own.Functions
}

func (p *Plan) functions() []Function {
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
		o.Worker.setKind(health.Kind)
	}
	apps, err := o.Client.Apps(ctx)
	if err != nil {
		return nil, err
	}
	p := &Plan{Want: Wanted{App: o.App, URL: o.Worker.URL()}}
	if err := p.inspect(ctx, o); err != nil {
		return p, err
	}
	if p.Own, err = Choose(apps, p.Want); err != nil {
		return p, err
	}
	if p.Served == nil {
		return p, nil
	}
	p.Diff = Compare(p.registered(), p.Served.Functions)
	inFlight := map[string]int{}
	if len(p.Diff.Removed) > 0 && p.Own != nil {
		if inFlight, err = InFlight(ctx, o.Client, *p.Own); err != nil {
			return p, err
		}
	}
	if f := GuardLoss(p.Diff, inFlight, o.AllowRemoval); f != nil {
		if f.Severity == pipeline.Error {
			return p, f
		}
		p.Findings = append(p.Findings, f)
	}
	return p, nil
}

// blind are the codes with which a worker does not show its functions but may
// register nevertheless.
var blind = [...]string{"worker-no-in-band", "worker-key-needed"}

func isBlind(err error) bool {
	f, ok := errors.AsType[*pipeline.Finding](err)
	return ok && slices.Contains(blind[:], f.Code)
}

// inspect asks the worker what it would register, and as what.
func (p *Plan) inspect(ctx context.Context, o RefreshOptions) error {
	served, err := o.Worker.Functions(ctx)
	if isBlind(err) {
		if p.Want.App == "" {
			return err // then nothing says which app is meant
		}
		f, _ := errors.AsType[*pipeline.Finding](err) // isBlind saw it
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
	switch {
	case p.Want.App == "":
		p.Want.App = served.App
	case served.App != p.Want.App:
		return &pipeline.Finding{
			Code: "inngest-app-mismatch", Severity: pipeline.Error, What: fmt.Sprintf("the worker is the app %s, not %s", served.App, p.Want.App),
			Why: "it would register under its own name", Fix: "set inngest.app in .sbw.yaml, or INNGEST_APP_ID in the Deployment, so that both agree",
		}
	}
	if served.URL != "" && NormalizeURL(served.URL) != NormalizeURL(p.Want.URL) {
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
	return catalogMismatch(served.App, served.Functions, o.Expected)
}

// catalogMismatch compares what is served or registered with what the image
// was said to bring.
func catalogMismatch(app string, have []Function, expected []string) error {
	if expected == nil {
		return nil
	}
	var missing, extra []string
	want := map[string]bool{}
	for _, id := range expected {
		want[strings.TrimPrefix(id, app+"-")] = true
	}
	for _, f := range have {
		if id := f.LocalID(); !want[id] {
			if !f.IsFailureHandler() || !want[strings.TrimSuffix(id, failureSuffix)] {
				extra = append(extra, id)
			}
		}
		delete(want, f.LocalID())
	}
	missing = sortedKeys(want)
	if len(missing)+len(extra) == 0 {
		return nil
	}
	f := &pipeline.Finding{
		Code: "inngest-catalog-mismatch", Severity: pipeline.Error,
		What: fmt.Sprintf("the worker %s does not serve what its image's catalog says", app),
		Fix:  "the pods may run another image than the one that was published; else publish again",
	}
	if len(missing) > 0 {
		f.Why = "missing: " + strings.Join(missing, ", ")
	}
	if len(extra) > 0 {
		slices.Sort(extra)
		f.Why = strings.TrimPrefix(f.Why+"; not in the catalog: "+strings.Join(extra, ", "), "; ")
	}
	return f
}
