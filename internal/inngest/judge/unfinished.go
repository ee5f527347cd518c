package judge

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
)

// Step is a step that a run has begun.
type Step struct {
	// ID is the key under which the SDK finds the step's result: the SHA-1, in hex,
	// of the id in the source, or of id:1, id:2, … if the same id is used again.
	ID   string `json:"id"`
	Name string `json:"name"`
	Op   string `json:"op,omitempty"` // RUN, SLEEP, WAIT_FOR_EVENT, INVOKE, …
}

// RunState says what a run that has not ended is doing.
type RunState string

// States of a run that has not ended.
const (
	RunQueued    RunState = "queued"    // nothing of it has been executed
	RunExecuting RunState = "executing" // a request to the worker is open
	RunWaiting   RunState = "waiting"   // it sleeps, or waits for an event, a signal or another function
	RunRetrying  RunState = "retrying"  // an attempt failed and another one follows
	RunBetween   RunState = "between"   // a step has ended and the next call has not begun
)

// UnfinishedRun is a run that has not ended, with the steps that it has begun.
// Whoever executes it next calls its function from the start and finds the
// results of these steps by their ids; a step that it does not find runs again.
type UnfinishedRun struct {
	model.Run
	State    RunState `json:"state"`
	Finished []Step   `json:"finished"` // in the order in which they ended
	// Pending are the others: sleeps, waits and invocations that last, and steps that
	// failed, whether another attempt follows or the function caught the error. A
	// step that executes for the first time is often in neither list, since the
	// server learns its id from the worker's answer.
	Pending []Step `json:"pending"`
}

// Unfinished reads a trace into an unfinished run. ok is false when the run has
// ended meanwhile.
func Unfinished(r model.Run, trace *model.Span) (u UnfinishedRun, ok bool) {
	if trace.Status.Ended() {
		return u, false
	}
	u = UnfinishedRun{Run: WithTrace(r, trace), State: RunQueued}
	switch at := Position(trace); {
	case at == nil:
	case at.Executing:
		u.State = RunExecuting
	case at.Retrying:
		u.State = RunRetrying
	case at.Waiting:
		u.State = RunWaiting
	default:
		u.State = RunBetween
	}
	u.Finished, u.Pending = stepsOf(trace)
	return u, true
}

// stepsOf sorts the steps of a trace by whether they have a result, both in the
// order of their last spans: a step has several, one for each attempt, the group
// around them, and the SDK's own timing.
func stepsOf(trace *model.Span) (finished, pending []Step) {
	type seen struct {
		Step
		at   time.Time
		done bool
	}
	byID := map[string]*seen{}
	model.Walk(trace, func(s, _ *model.Span) {
		if s.Root || s.StepID == "" {
			return
		}
		one := byID[s.StepID]
		if one == nil {
			one = &seen{Step: Step{ID: s.StepID}}
			byID[s.StepID] = one
		}
		if !isPlaceholder(s.Name) {
			one.Name = s.Name
		}
		if s.StepOp != "" {
			one.Op = s.StepOp
		}
		at := s.Began()
		if s.Ended != nil {
			at = *s.Ended
		}
		if at.After(one.at) {
			one.at = at
		}
		one.done = one.done || s.Status == model.Completed
	})
	for _, one := range slices.SortedFunc(maps.Values(byID), func(a, b *seen) int {
		return cmp.Or(a.at.Compare(b.at), strings.Compare(a.ID, b.ID))
	}) {
		if one.done {
			finished = append(finished, one.Step)
		} else {
			pending = append(pending, one.Step)
		}
	}
	return finished, pending
}
