package rollout

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// preflightAge is how long what the preflight found out is taken for still true
// by a run that did not have to wait for another.
const preflightAge = time.Minute

// preflightLog is when the preflight asked, and whether to ask again.
type preflightLog struct {
	mu sync.Mutex
	at time.Time
	// doubted: something was let pass since it will have changed under the lock.
	doubted bool
}

// doubt makes the preflight run again under the lock.
func (l *preflightLog) doubt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doubted = true
}

// stale reports whether the answers are to be asked for again, and their age.
func (l *preflightLog) stale() (bool, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	age := time.Since(l.at)
	return l.doubted || age >= preflightAge, age
}

// record notes when the first of the checks runs.
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

// recheck asks everything that the preflight asked once more, under the lock,
// where the answers may have changed: another run held the lock first, or a gap
// between steps was waited for, or other clusters had their turn. What is new is
// reported; what now stands against the run ends it, with nothing changed. It
// returns the facts to go on with.
func (r *Run) recheck(ctx context.Context, rep *pipeline.Reporter) (*facts, error) {
	before := r.facts
	stale, age := r.log.stale()
	if waited := r.held != nil && r.held.Waited; !waited && !stale {
		return before, nil
	}
	rep.Notef("the preflight runs again, because it is %s old", age.Round(time.Second))
	r.facts = before.again() // the checks are about these from here on
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
		rep.Finding(f) // if it is new
	}
	if ctx.Err() != nil {
		return r.facts, context.Cause(ctx)
	}
	return r.facts, errors.Join(refused...)
}

// changedMeanwhile reports that another image runs than the one that did when the
// run began to wait. A rollout says what it wants whatever ran before; an undo
// meant what ran then, see ifChanged.
func (r *Run) changedMeanwhile(was, now string) *pipeline.Finding {
	if now == was {
		return nil
	}
	f := &pipeline.Finding{Code: CodeChangedMeanwhile, Severity: pipeline.Warning, Where: r.where(),
		What: "a different image is running than when this run began to wait", Why: fmt.Sprintf("%s then, %s now", orDash(was), orDash(now))}
	if r.ifChanged != nil {
		f = r.ifChanged(f)
	}
	return f
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
