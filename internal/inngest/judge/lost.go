package judge

import (
	"fmt"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Window is the time in which pods were replaced, by the caller's clock.
type Window struct {
	From, To time.Time
	// Failed are the ids of runs that had failed before. The clocks of the
	// server and the caller may differ too much to decide that by time.
	Failed map[string]bool
}

// clockSkew is how much the caller's clock and the server's may differ without
// missing a lost run.
const clockSkew = 30 * time.Second

// Widened extends the window by the possible difference of the clocks.
func (w Window) Widened() Window {
	return Window{w.From.Add(-clockSkew), w.To.Add(clockSkew), w.Failed}
}

// unreachable contains the server's messages for a request to the worker that
// was refused, cut off or answered by something in between
// (pkg/execution/exechttp, httpdriver, state.FatalUpstreamError).
var unreachable = lazyregexp.New(`Unable to reach SDK URL` +
	`|error performing request:` +
	`|Error performing request to SDK URL` +
	`|Your server (?:reset the connection|closed the request|connection experienced a timeout)` +
	`|invalid status code: 50[234]` +
	`|returned HTTP 50[234] before the SDK responded` +
	`|did not come from an Inngest SDK` +
	// of a worker in connect mode
	`|worker stopped responding to the request` +
	`|[Cc]ould not find a healthy connection`)

// IsUnreachable reports whether a run's error means that the worker was not
// there, and not that its code failed.
func IsUnreachable(message string) bool { return unreachable.MatchString(message) }

// LostRun is a run that was killed by the replacement of pods.
type LostRun struct {
	model.Run
	// At is when its last attempt failed.
	At time.Time `json:"at,omitzero"`
}

// Lost judges one run by its trace and its last error.
func Lost(r model.Run, w Window) (LostRun, bool) {
	if r.Status != model.Failed || w.Failed[r.ID] || !IsUnreachable(r.Error) {
		return LostRun{}, false
	}
	if r.Ended.Before(w.From) || r.Ended.After(w.To) {
		return LostRun{}, false
	}
	return LostRun{Run: r, At: r.Ended}, true
}

// LostFinding reports lost runs; nil when there are none.
func LostFinding(all []LostRun) *pipeline.Finding {
	if len(all) == 0 {
		return nil
	}
	f := &pipeline.Finding{
		Code: model.CodeRunsLost, Severity: pipeline.Warning,
		What: fmt.Sprintf("%s failed while the pods were replaced", Count(len(all), "run")), Why: all[0].Error,
		Fix: "start them again from their first step with `kubectl sbw runs --rerun RUN`; a rollout does so with --rerun-lost",
	}
	for _, r := range all {
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s %s at %s: %s", r.ID, r.Slug, r.At.Format(time.TimeOnly), r.Error))
	}
	return f
}
