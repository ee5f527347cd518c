package judge

import (
	"slices"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
)

// WithTrace adds the times and the position in a trace to a run. The list sets
// an end even for active runs, so only an ended run gets one.
func WithTrace(r model.Run, trace *model.Span) model.Run {
	if trace.Status.Ended() {
		r.Status = trace.Status
	}
	if trace.Started != nil {
		r.Started = *trace.Started
	}
	if trace.Ended != nil && r.Status.Ended() {
		r.Ended = *trace.Ended
	}
	if now := Position(trace); now != nil && !r.Status.Ended() {
		if now.Retrying {
			r.FailedAt = now.Since
		}
		r.Step, r.Attempt = now.Step, now.Attempt
		return r
	}
	if f, parent := lastFailure(trace); f != nil {
		r.Attempt = f.Attempts
		if r.Status != model.Completed {
			r.Step = f.Name
			if isPlaceholder(f.Name) && parent != nil && !isPlaceholder(parent.Name) {
				r.Step = parent.Name
			} else if isPlaceholder(f.Name) {
				r.Step = afterLast(trace)
			}
		}
	}
	r.CutAfter = cutAfter(trace)
	return r
}

// LastFailure returns the failed span that began last and contains most: an
// attempt rather than the group around it.
func LastFailure(s *model.Span) *model.Span {
	last, _ := lastFailure(s)
	return last
}

func lastFailure(s *model.Span) (last, above *model.Span) {
	model.Walk(s, func(s, parent *model.Span) {
		if s.Status != model.Failed || s.Root || s.OutputID == "" && s.Failure == "" {
			return
		}
		if last == nil || !s.Began().Before(last.Began()) {
			last, above = s, parent
		}
	})
	return last, above
}

// cutAfter returns after how long every attempt of a step failed if there were
// at least two and their times are about equal; otherwise 0. Something between
// the server and the step's code then ends requests that take longer.
func cutAfter(trace *model.Span) time.Duration {
	var took []time.Duration
	model.Walk(trace, func(s, _ *model.Span) {
		if s.Status == model.Failed && !s.Root && len(s.Children) == 0 && s.Started != nil && s.Ended != nil {
			took = append(took, s.Ended.Sub(*s.Started))
		}
	})
	if len(took) < 2 || slices.Min(took) < shortestCut || slices.Max(took)-slices.Min(took) > cutSpread {
		return 0
	}
	return slices.Min(took)
}

const (
	// shortestCut excludes refused connections, which fail immediately.
	shortestCut = 3 * time.Second
	// cutSpread is how much the attempts may differ: Bun checks its timeouts
	// only every few seconds.
	cutSpread = 5 * time.Second
)

// Where is the position of a run.
type Where struct {
	// Step names the step, or the place after the last finished one while the
	// server does not know its name.
	Step    string
	Attempt int // from 0
	Since   time.Time
	// Executing means that a request to the worker is open. Otherwise the run
	// sleeps, waits, or is between attempts.
	Executing bool
	// Waiting: a sleep, a wait or an invocation lasts.
	Waiting bool
	// Retrying means that the last attempt failed and another one will follow.
	Retrying bool
	Failed   *model.Span // the last failed attempt, when Retrying
}

// serverSide are operations during which the worker executes nothing of the
// run, although the server shows an invocation as RUNNING.
var serverSide = map[string]bool{
	"INVOKE": true, "SLEEP": true, "WAIT_FOR_EVENT": true, "WAIT_FOR_SIGNAL": true, "AI_GATEWAY": true,
}

// isPlaceholder recognises the names that the server uses while it does not
// know the step.
func isPlaceholder(name string) bool {
	switch name {
	case "Execution", "Finalization", "Discovery step", "Unknown step", "Run", "":
		return true
	}
	return strings.HasPrefix(name, "Attempt ") || strings.HasPrefix(name, "executor.")
}

// ExecutingNow lists every open request of a run: the leaves of its trace that
// are RUNNING and are not operations of the server itself. Parallel steps are
// listed separately.
func ExecutingNow(trace *model.Span) []Where {
	if trace.Status.Ended() {
		return nil
	}
	var all []Where
	model.Walk(trace, func(s, parent *model.Span) {
		if s.Status != model.Running || s.Root || serverSide[s.StepOp] {
			return
		}
		for _, c := range s.Children {
			if c.Status == model.Running {
				return
			}
		}
		w := Where{Attempt: s.Attempts, Since: s.Began(), Executing: true, Step: s.Name}
		if isPlaceholder(w.Step) && parent != nil {
			w.Step = parent.Name
		}
		if isPlaceholder(w.Step) {
			w.Step = afterLast(trace)
		}
		all = append(all, w)
	})
	return all
}

// afterLast names the place after the last finished step.
func afterLast(trace *model.Span) string {
	var last *model.Span
	model.Walk(trace, func(s, _ *model.Span) {
		if s.Status == model.Completed && s.StepID != "" && !isPlaceholder(s.Name) && (last == nil || !s.Began().Before(last.Began())) {
			last = s
		}
	})
	if last == nil {
		return "first step"
	}
	return "step after " + last.Name
}

// Position returns the position of an active run; nil for one that has ended
// or has not begun.
func Position(trace *model.Span) *Where {
	if trace.Status.Ended() || len(trace.Children) == 0 {
		return nil
	}
	if now := ExecutingNow(trace); len(now) > 0 {
		return &now[0]
	}
	var waiting, failed *model.Span
	model.Walk(trace, func(s, _ *model.Span) {
		switch {
		case s.Root:
		case s.Status == "WAITING" || s.Status == model.Running && serverSide[s.StepOp]:
			waiting = s
		case s.Status == model.Failed && (s.OutputID != "" || s.Failure != ""):
			failed = s
		}
	})
	if waiting != nil {
		return &Where{Step: waiting.Name, Since: waiting.Began(), Waiting: true}
	}
	if last := trace.Children[len(trace.Children)-1]; last.Status == model.Failed && failed != nil {
		w := &Where{Step: afterLast(trace), Attempt: failed.Attempts, Since: failed.Began(), Retrying: true, Failed: failed}
		if !isPlaceholder(last.Name) {
			w.Step = last.Name
		}
		return w
	}
	return &Where{Step: afterLast(trace), Since: trace.Began()}
}
