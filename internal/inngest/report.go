package inngest

import (
	"context"
	"slices"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/client"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/inngest/sdk"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// ReportOptions describe which server and worker Status looks at.
type ReportOptions struct {
	Client *client.Client
	Worker *sdk.Worker // nil: only the server is asked
	App    string      // the worker's INNGEST_APP_ID; empty: what the worker says
	// URL is where the server should call the worker. It is used if there is no
	// Worker to ask.
	URL string
	// Way describes in words how the server is reached. It is called last, when
	// the route is known.
	Way func() string
	// Liveness finds out about the workers of other registrations.
	Liveness LivenessFunc
	// Path reports where the path from the server to the worker is broken in the
	// cluster; nil when that cannot be known.
	Path func(context.Context) ([]*pipeline.Finding, error)
	// Allowed are functions that may have retries 0, with reasons.
	Allowed map[string]string
	// Lately is how far back failed runs are shown; 1 hour when zero.
	Lately time.Duration
	// CronsSince is a time at which the app already had its current functions,
	// such as the Deployment's last rollout. Zero means that schedules are not
	// checked.
	CronsSince time.Time
}

// Report is the state of a server and a worker at one moment.
type Report struct {
	Health client.Health `json:"server"`
	Way    string        `json:"reachedBy,omitempty"`
	At     time.Time     `json:"-"` // by the server's clock
	Want   model.Wanted  `json:"want"`
	App    *model.App    `json:"app"` // nil when not registered
	Apps   []model.App   `json:"apps"`
	Served *model.Served `json:"served"` // nil when the worker did not show it
	Diff   judge.Diff    `json:"diff"`   // of what is registered and what is served
	// Steps run right now, by the server's clock. InFlight counts the runs of each
	// function that have begun and not ended, Queued those that have not begun.
	Steps    []judge.Executing `json:"steps"`
	InFlight map[string]int    `json:"inFlight"`
	Queued   map[string]int    `json:"queued"`
	Failed   []model.Run       `json:"failed"` // lately
	// Failing are active runs whose last attempt failed.
	Failing []model.Run   `json:"failing"`
	Stale   []judge.Stale `json:"stale"`
	Foreign []model.App   `json:"foreign"`
	// Findings are everything that is wrong, the most severe first. If none of
	// them is an error, all is well.
	Findings []*pipeline.Finding `json:"findings"`
}

// OK is the verdict.
func (l *Report) OK() bool {
	return !slices.ContainsFunc(l.Findings, func(f *pipeline.Finding) bool { return f.Severity == pipeline.Error })
}

// Status reads the state of both and changes nothing. It fails only if the
// server does not answer at all; a worker that does not answer is a finding.
func Status(ctx context.Context, o ReportOptions) (*Report, error) {
	l := &Report{Want: model.Wanted{App: o.App, URL: o.URL}}
	var err error
	if o.Way != nil {
		defer func() { l.Way = o.Way() }()
	}
	if l.Health, err = o.Client.Health(ctx); err != nil {
		return l, err
	}
	if l.Apps, err = o.Client.Apps(ctx); err != nil {
		return l, err
	}
	l.At = o.Client.Now()
	l.askWorker(ctx, o)
	l.App, _ = judge.Choose(l.Apps, l.Want) // ambiguity is among Diagnose's findings
	if err := l.runs(ctx, o); err != nil {
		return l, err
	}
	s := judge.State{Want: l.Want, Apps: l.Apps, Served: l.Served, Failed: l.Failed, Failing: l.Failing, Now: o.Client.Now()}
	s.CronsSince = o.CronsSince
	if l.App != nil && !o.CronsSince.IsZero() {
		if s.Scheduled, err = ScheduledRuns(ctx, o.Client, *l.App, s.Now); err != nil {
			return l, err
		}
	}
	if l.App != nil && l.App.Method == model.MethodConnect {
		connected, known, err := o.Client.Connected(ctx, l.App.ID)
		if err != nil {
			return l, err
		}
		s.Unconnected, s.ConnectionUnknown = known && !connected, !known
	}
	l.Findings = append(l.Findings, judge.Diagnose(s)...)
	if l.App != nil {
		l.Findings = append(l.Findings, judge.ZeroRetryFindings(l.App.Functions, o.Allowed)...)
		if l.Served != nil {
			if l.Diff = judge.Compare(l.App.Functions, l.Served.Functions); !l.Diff.Empty() {
				l.Findings = append(l.Findings, pipeline.AsFindings("cannot compare the registration", judge.Differs(l.App.Name, l.Diff))...)
			}
		}
	}
	if o.Path != nil {
		found, err := o.Path(ctx)
		if err != nil {
			found = pipeline.AsFindings("cannot check the path to the worker", err)
		}
		l.Findings = append(l.Findings, found...)
	}
	orphans, err := orphanedCrons(ctx, o.Client, l.Apps)
	if err != nil {
		return l, err
	}
	if orphans != nil {
		l.Findings = append(l.Findings, orphans)
	}
	if f := judge.StaleFinding(l.Stale); f != nil {
		l.Findings = append(l.Findings, f)
	}
	slices.SortStableFunc(l.Findings, func(a, b *pipeline.Finding) int { return int(b.Severity) - int(a.Severity) })
	return l, nil
}

func (l *Report) askWorker(ctx context.Context, o ReportOptions) {
	if o.Worker == nil {
		return
	}
	if l.Health.Kind != "" {
		o.Worker.SetKind(l.Health.Kind)
	}
	l.Want.URL = o.Worker.URL()
	served, err := o.Worker.Functions(ctx)
	if err != nil {
		for _, f := range pipeline.AsFindings("cannot ask the worker", err) {
			if isBlind(f) {
				f = f.WithSeverity(pipeline.Warning)
			}
			l.Findings = append(l.Findings, f)
		}
		return
	}
	l.Served = served
	if l.Want.App == "" {
		l.Want.App = served.App
	}
}

func (l *Report) runs(ctx context.Context, o ReportOptions) error {
	var err error
	if l.Stale, l.Foreign, err = judgeApps(ctx, o.Client, l.Apps, l.Want, o.Liveness); err != nil {
		return err
	}
	if l.App == nil {
		return nil
	}
	if l.Steps, err = RunningSteps(ctx, o.Client, *l.App); err != nil {
		return err
	}
	counts, err := InFlight(ctx, o.Client, *l.App)
	if err != nil {
		return err
	}
	l.InFlight, l.Queued = map[string]int{}, map[string]int{}
	for slug, n := range counts {
		if n.Begun > 0 {
			l.InFlight[slug] = n.Begun
		}
		if n.Queued > 0 {
			l.Queued[slug] = n.Queued
		}
	}
	l.Findings = append(l.Findings, judge.UnknownSteps(l.Steps)...)
	if l.Failing, err = failingRuns(ctx, o.Client, *l.App); err != nil {
		return err
	}
	l.Failed, err = FailedRuns(ctx, o.Client, *l.App, o.Client.Now().Add(-orDefault(o.Lately, time.Hour)))
	return err
}

// failingRuns are an app's runs that go on although their last attempt failed, of
// the newest hundred.
func failingRuns(ctx context.Context, c *client.Client, app model.App) ([]model.Run, error) {
	runs, err := Detailed(ctx, c, client.RunFilter{Apps: idList(app.ID), Status: []model.RunStatus{model.Running}, Limit: client.RunPage})
	return slices.DeleteFunc(runs, func(r model.Run) bool { return r.FailedAt.IsZero() || r.Status.Ended() }), err
}

// FailedRuns are an app's runs that failed since, with their errors; the newest
// hundred at most.
func FailedRuns(ctx context.Context, c *client.Client, app model.App, since time.Time) ([]model.Run, error) {
	return Detailed(
		ctx,
		c,
		client.RunFilter{Apps: idList(app.ID), Status: []model.RunStatus{model.Failed}, Since: since, ByEnd: true, Limit: client.RunPage},
	)
}
