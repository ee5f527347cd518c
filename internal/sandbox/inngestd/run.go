package inngestd

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
)

// run is one run of a function. Server.mu guards all of its fields.
type run struct {
	id       string
	function *function
	status   string
	event    *event
	cron     string
	queued   time.Time
	started  time.Time // zero while queued
	touched  time.Time // endedAt in the list: when a span was last written
	ended    time.Time
	spans    []*span
	rootSpan string // the span ids of the root's two outputs
	outputs  map[string]output

	steps   map[string]json.RawMessage // memoised results, keyed by hashed id
	stack   []string
	version int // the version of the SDK's protocol; -1 until a worker has sent it
	plan    bool
	cancel  context.CancelFunc
	// untraced: the run is listed, but its trace is gone.
	untraced bool
}

// These are the states of runs and spans.
const (
	statusQueued    = "QUEUED"
	statusRunning   = "RUNNING"
	statusCompleted = "COMPLETED"
	statusFailed    = "FAILED"
	statusCancelled = "CANCELLED"
	statusWaiting   = "WAITING"
)

func ended(status string) bool {
	return status == statusCompleted || status == statusFailed || status == statusCancelled
}

// startLocked schedules a run and starts it immediately, because the double
// has no limits that would delay it.
func (s *Server) startLocked(f *function, e *event, cron string) *run {
	ctx, cancel := context.WithCancel(s.ctx)
	now := s.now()
	r := &run{
		id: s.ids.next(now), function: f, status: statusQueued, event: e, cron: cron,
		queued: now, touched: now, rootSpan: spanID(), version: -1,
		steps: map[string]json.RawMessage{}, outputs: map[string]output{}, cancel: cancel,
	}
	s.runs = append(s.runs, r)
	s.tasks.Go(func() {
		defer cancel()
		s.execute(ctx, r)
	})
	return r
}

// ForgetTraces loses the traces of all runs so far; the list keeps the runs.
func (s *Server) ForgetTraces() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.runs {
		r.untraced = true
	}
}

func (s *Server) runLocked(id string) *run {
	i := slices.IndexFunc(s.runs, func(r *run) bool { return r.id == id })
	if i < 0 {
		return nil
	}
	return s.runs[i]
}

var (
	errNoRow = errors.New("sql: no rows in result set")
	// errNotFound is the answer of the server (1.43) for a run that it does
	// not know.
	errNotFound = errors.New("not found")
	// errNoTrace is what GraphQL (1.43) answers for the trace of such a run; its id
	// is really that of zeros.
	errNoTrace = errors.New("error retrieving trace: no root span found for run 00000000000000000000000000")
	errEnded   = errors.New("cannot cancel an ended run")
)

// cancelRun cancels a run. Cancelling it twice succeeds; cancelling a run that
// has ended by itself fails.
func (s *Server) cancelRun(id string) (*run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.runLocked(id)
	switch {
	case r == nil:
		return nil, errNotFound
	case r.status == statusCancelled:
		return r, nil
	case ended(r.status):
		return nil, errEnded
	}
	r.status, r.ended = statusCancelled, s.now()
	r.touched = r.ended
	r.cancel()
	s.finishedLocked(r, statusCancelled, nil)
	return r, nil
}

// rerun starts the function of a run again with the same event.
func (s *Server) rerun(id string) (*run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.runLocked(id)
	if old == nil {
		return nil, errNoRow
	}
	if old.event == nil {
		return nil, errors.New("failed to get run event: " + errNoRow.Error())
	}
	return s.startLocked(old.function, old.event, ""), nil
}

// finishLocked ends a run with a value or an error.
func (s *Server) finishLocked(r *run, value json.RawMessage, failure *stepError) {
	if ended(r.status) {
		return
	}
	r.status, r.ended = statusCompleted, s.now()
	out := output{data: value}
	if failure != nil {
		r.status = statusFailed
		out = output{err: failure}
	}
	r.touched = r.ended
	r.outputs[r.rootSpan] = out
	s.finishedLocked(r, r.status, failure)
}

// finishedLocked sends the events that follow the end of a run. One of them
// triggers failure handlers.
func (s *Server) finishedLocked(r *run, status string, failure *stepError) {
	if r.event == nil || r.event.Name == eventFailed || r.event.Name == eventFinished {
		return
	}
	data := map[string]any{
		"function_id": r.function.slug, "run_id": r.id, "event": r.event.asMap(),
		"events":   []any{r.event.asMap()},
		"_inngest": map[string]any{"status": strings.ToUpper(status[:1]) + strings.ToLower(status[1:])},
	}
	if failure != nil {
		data["error"] = failure
	} else {
		data["result"] = r.outputs[r.rootSpan].data
	}
	names := []string{eventFinished}
	switch status {
	case statusFailed:
		names = append(names, eventFailed)
	case statusCancelled:
		names = append(names, eventCancelled)
	}
	for _, name := range names {
		s.publishLocked(&event{Name: name, Data: data})
	}
	s.resumeInvokersLocked(r, failure)
}
