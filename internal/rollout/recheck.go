package rollout

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// preflightAge is how long the preflight's results stay valid for a run that did not
// have to wait for another one.
const preflightAge = time.Minute

// preflightLog records when the preflight ran, and whether it must run again.
type preflightLog struct {
	mu sync.Mutex
	at time.Time
	// doubted: a problem was let pass because it is expected to change under the lock.
	doubted bool
}

// doubt makes the preflight run again under the lock.
func (l *preflightLog) doubt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doubted = true
}

// stale reports whether the preflight must run again, and how old its results are.
func (l *preflightLog) stale() (bool, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	age := time.Since(l.at)
	return l.doubted || age >= preflightAge, age
}

// record wraps the checks so that the time at which the first of them runs is recorded.
func (l *preflightLog) record(checks []pipeline.Check) []pipeline.Check {
	all := make([]pipeline.Check, len(checks))
	for i, c := range checks {
		all[i] = pipeline.Check{Name: c.Name, Run: func(ctx context.Context, rep *pipeline.Reporter) ([]*pipeline.Finding, error) {
			l.began()
			return c.Run(ctx, rep)
		}}
	}
	return all
}

func (l *preflightLog) began() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at.IsZero() {
		l.at = time.Now()
	}
}

// recheck runs the whole preflight again, under the lock, if its results may have
// changed: another run held the lock first, this run waited for a gap between steps, or
// other clusters had their turn. New findings are reported, and a new error ends the
// run before it has changed anything. It returns the facts to continue with.
func (r *Run) recheck(ctx context.Context, rep *pipeline.Reporter) (*facts, error) {
	before := r.facts
	stale, age := r.log.stale()
	if waited := r.guard.held != nil && r.guard.held.Waited; !waited && !stale {
		return before, nil
	}
	rep.Notef("the preflight runs again, because it is %s old", age.Round(time.Second))
	r.facts = before.again() // from here on the checks use these facts
	found := joinForbidden(pipeline.RunChecks(ctx, r.checks(), rep))
	if f := r.changedMeanwhile(before.previous(), r.facts.previous()); f != nil {
		found = append(found, f)
	}
	var refused []error
	for _, f := range found {
		if f.Severity == pipeline.Error {
			refused = append(refused, f)
			continue
		}
		rep.Finding(f) // the reporter drops findings that it has reported before
	}
	if ctx.Err() != nil {
		return r.facts, context.Cause(ctx)
	}
	return r.facts, errors.Join(refused...)
}

// changedMeanwhile reports that the running image has changed since this run began to
// wait. That makes no difference to a rollout, whose target does not depend on it. An
// undo was meant for the image that was running then, see ifChanged.
func (r *Run) changedMeanwhile(was, now string) *pipeline.Finding {
	if now == was {
		return nil
	}
	f := &pipeline.Finding{Code: CodeChangedMeanwhile, Severity: pipeline.Warning, Where: r.where(),
		What: "a different image is running than when this run began to wait", Why: fmt.Sprintf("%s then, %s now", orDash(was), orDash(now))}
	return r.ifChanged(f)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
