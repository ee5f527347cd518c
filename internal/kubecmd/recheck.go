package kubecmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// answersAge is how long what the preflight found out is taken for still true
// by a run that did not have to wait for another.
const answersAge = time.Minute

// answers are what the preflight found out, and when it asked.
type answers struct {
	mu   sync.Mutex
	at   time.Time
	told map[string]bool
	// doubted: something was let pass since it will have changed under the lock.
	doubted bool
	// away: it was told that the cluster cannot be reached.
	away bool
}

func (a *answers) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at, a.away = time.Now(), false
}

func (a *answers) age() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Since(a.at)
}

// first says whether a finding was not told before, word by word.
func (a *answers) first(f *pipeline.Finding) bool {
	key := fmt.Sprintf("%d\x00%s\x00%s\x00%s", f.Severity, f.Code, f.Where, f.Error())
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.told == nil {
		a.told = map[string]bool{}
	}
	first := !a.told[key]
	a.told[key] = true
	return first
}

// again says whether a finding is the second one that says of the cluster that
// it cannot be reached: every check finds that out for itself.
func (a *answers) again(f *pipeline.Finding) bool {
	if f.Code != "cluster-unreachable" {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	was := a.away
	a.away = true
	return was
}

// remembering keeps the checks, to be asked again, and what they say.
func (r *rollout) remembering(checks []pipeline.Check) []pipeline.Check {
	r.checks = checks
	all := make([]pipeline.Check, len(checks))
	for i, c := range checks {
		all[i] = pipeline.Check{Name: c.Name, Run: func(ctx context.Context, rep *pipeline.Reporter) ([]*pipeline.Finding, error) {
			found, err := c.Run(ctx, rep)
			if ctx.Err() != nil {
				return found, err
			}
			found = slices.DeleteFunc(append(found, pipeline.AsFindings(c.Name, err)...), r.asked.again)
			for _, f := range found {
				r.asked.first(f)
			}
			return found, nil
		}}
	}
	return all
}

// checkAgain asks everything that the preflight asked once more, under the
// lock, where the answers may have changed: another run held the lock first, or
// a gap between steps was waited for, or other clusters had their turn. What
// has not been told is told; what now stands against the run ends it, with
// nothing changed.
func (r *rollout) checkAgain(ctx context.Context, rep *pipeline.Reporter) error {
	waited := r.held != nil && r.held.Waited
	if !waited && !r.asked.doubted && r.asked.age() < answersAge {
		return nil
	}
	rep.Notef("the preflight is asked again, as it was %s ago", r.asked.age().Round(time.Second))
	was := r.previous()
	ends := r.ends // the way is the same, and may be open
	r.lazies()
	r.ends = ends
	var refused []error
	for _, f := range append(pipeline.RunChecks(ctx, r.checks, rep), r.changedMeanwhile(was)...) {
		switch {
		case f.Severity == pipeline.Error:
			refused = append(refused, f)
		case r.asked.first(f):
			rep.Finding(f)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errors.Join(refused...)
}

// changedMeanwhile tells that another image runs than the one that did when the
// run began to wait. A rollout says what it wants whatever ran before; an undo
// meant what ran then.
func (r *rollout) changedMeanwhile(was string) []*pipeline.Finding {
	now := r.previous()
	if now == was {
		return nil
	}
	f := &pipeline.Finding{Code: "changed-meanwhile", Severity: pipeline.Warning, Where: r.ref.Namespace + "/" + r.ref.String(),
		What: "another image runs now than when this run began to wait", Why: fmt.Sprintf("%s then, %s now", orDash(was), orDash(now)),
		Fix: "nothing: this run goes on from there"}
	if r.command == "undo" && r.toRevision == 0 {
		f.Severity = pipeline.Error
		f.Fix = "`kubectl sbw undo` goes back to what ran before it, --to-revision to a certain one"
	}
	return []*pipeline.Finding{f}
}
