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
	// Failed are the ids of runs that had failed before; the clocks of server and
	// caller may be too far apart to see that by the time.
	Failed map[string]bool
}

// clockSkew is how far the caller's clock and the server's may be apart
// without a lost run being missed.
const clockSkew = 30 * time.Second

// Widened allows for clocks that differ.
func (w Window) Widened() Window {
	return Window{w.From.Add(-clockSkew), w.To.Add(clockSkew), w.Failed}
}

// unreachable are the words of a server whose request to the worker was
// refused, broken off or answered by something in between
// (pkg/execution/exechttp, httpdriver, state.FatalUpstreamError).
var unreachable = lazyregexp.New(`Unable to reach SDK URL` +
	`|error performing request:` +
	`|Error performing request to SDK URL` +
	`|Your server (?:reset the connection|closed the request|connection experienced a timeout)` +
	`|invalid status code: 50[234]` +
	`|returned HTTP 50[234] before the SDK responded` +
	`|did not come from an Inngest SDK`)

// IsUnreachable reports whether a run's error says that the worker was not
// there, as opposed to that its code failed.
func IsUnreachable(message string) bool { return unreachable.MatchString(message) }

// LostRun is a run that the replacing of pods killed.
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
