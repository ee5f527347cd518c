package inngestd

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/joelhooks/gh-sbw/internal/waiting"
)

// execute runs a function to its end: it calls the worker, stores the result
// of a step, and calls again, until the function itself returns.
func (s *Server) execute(ctx context.Context, r *run) {
	for {
		a, ok := s.attempts(ctx, r, "")
		switch {
		case !ok:
			return // it was cancelled, or the server is closed
		case a.failure != nil:
			s.finish(r, nil, a.failure)
			return
		case a.ops == nil:
			s.finish(r, a.value, nil)
			return
		}
		if i := slices.IndexFunc(a.ops, func(o *opcode) bool { return o.Op == "RunComplete" }); i >= 0 {
			s.finish(r, a.ops[i].Data, nil)
			return
		}
		if !s.steps(ctx, r, a.ops) {
			return
		}
	}
}

func (s *Server) finish(r *run, value json.RawMessage, failure *stepError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finishLocked(r, value, failure)
}

// attempts repeats a call until its answer is final: a step's value, the
// function's own result, or a failure that is not retried. A failed step is
// returned as a step error in ops.
func (s *Server) attempts(ctx context.Context, r *run, step string) (answer, bool) {
	s.mu.Lock()
	group := &span{id: spanID(), name: executionName, queued: s.now()}
	most := r.function.retries() + 1
	s.mu.Unlock()
	for attempt := 0; ; attempt++ {
		s.mu.Lock()
		queued := s.now()
		if ctx.Err() != nil || ended(r.status) || s.draining {
			s.mu.Unlock()
			return answer{}, false
		}
		try := s.beginAttemptLocked(r, group, attempt)
		s.calls.Add(1)
		s.mu.Unlock()

		a := s.call(ctx, r, step, attempt)

		s.mu.Lock()
		s.calls.Done() // whoever waits for it cannot go on before the result is recorded
		if s.ctx.Err() != nil {
			s.mu.Unlock()
			return answer{}, false // the server is closed, and the step stays as it is shown
		}
		if ctx.Err() != nil || ended(r.status) {
			try.status, try.ended = statusCancelled, s.now()
			group.status, group.ended = try.status, try.ended
			s.mu.Unlock()
			return answer{}, false
		}
		if a.version > 0 {
			r.version = a.version
		}
		again := s.recordLocked(r, group, try, queued, &a) && attempt+1 < most && !a.noRetry
		s.mu.Unlock()
		if !again {
			return a, true
		}
		if !pause(ctx, s.opts.Backoff(attempt)) {
			return answer{}, false
		}
	}
}

// recordLocked adds an attempt to the trace and reports whether it failed.
func (s *Server) recordLocked(r *run, group, try *span, queued time.Time, a *answer) (failed bool) {
	if a.failure != nil || a.ops == nil {
		out := output{data: a.value, err: a.failure}
		s.endAttemptLocked(r, group, try, nil, out)
		s.functionSpanLocked(r, try, out)
		return a.failure != nil
	}
	if len(a.ops) != 1 {
		// Several opcodes are a plan and no work: the server shows only their
		// results.
		s.endAttemptLocked(r, group, try, &opcode{Name: "Discovery step"}, output{})
		r.hideLocked(group)
		r.plan = true
		return false
	}
	op := a.ops[0]
	out := output{data: op.Data}
	if op.Op == "StepError" || op.Op == "StepFailed" {
		out = output{err: op.Error}
	}
	switch op.Op {
	case "RunComplete":
		s.endAttemptLocked(r, group, try, nil, out)
		s.functionSpanLocked(r, try, out)
	case "Step", "StepRun", "StepError", "StepFailed":
		s.endAttemptLocked(r, group, try, op, out)
		s.stepSpanLocked(r, op, try.attempts, queued, try.started, try.ended, out)
	default:
		s.endAttemptLocked(r, group, try, op, output{})
		r.hideLocked(group) // only the sleep, wait or invocation itself is shown
	}
	return op.Op == "StepError"
}

// pause waits, or reports that the context has ended.
func pause(ctx context.Context, d time.Duration) bool { return waiting.For(ctx, d) == nil }

// steps executes everything that a call reported in parallel, and returns when
// all of it is memoised.
func (s *Server) steps(ctx context.Context, r *run, ops []*opcode) bool {
	if len(ops) == 0 {
		s.finish(r, nil, &stepError{Name: "Error", Message: "the function reported neither a step nor an end"})
		return false
	}
	oks := make([]bool, len(ops))
	var wg sync.WaitGroup
	for i, op := range ops {
		wg.Go(func() { oks[i] = s.step(ctx, r, op) })
	}
	wg.Wait()
	return !slices.Contains(oks, false)
}

// step executes one opcode to its end; false means that the run is over.
func (s *Server) step(ctx context.Context, r *run, op *opcode) bool {
	switch op.Op {
	case "Step", "StepRun", "StepError", "StepFailed":
		memo, err := op.memo()
		if err != nil {
			s.finish(r, nil, &stepError{Name: "Error", Message: err.Error()})
			return false
		}
		return s.memoise(r, op.ID, memo)
	case "StepPlanned":
		return s.planned(ctx, r, op)
	case "Sleep":
		return s.sleep(ctx, r, op)
	case "WaitForEvent":
		return s.waitForEvent(ctx, r, op)
	case "InvokeFunction":
		return s.invoke(ctx, r, op)
	}
	s.finish(r, nil, &stepError{Name: "Error", Message: fmt.Sprintf("the Inngest double does not support %s", op.Op)})
	return false
}

func (s *Server) memoise(r *run, id string, memo json.RawMessage) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ended(r.status) {
		return false
	}
	if _, done := r.steps[id]; !done {
		r.steps[id] = memo
		r.stack = append(r.stack, id)
	}
	return true
}

// planned executes one of several steps that were discovered together.
func (s *Server) planned(ctx context.Context, r *run, op *opcode) bool {
	a, ok := s.attempts(ctx, r, op.ID)
	switch {
	case !ok:
		return false
	case a.failure != nil:
		s.finish(r, nil, a.failure)
		return false
	case a.ops == nil:
		// Another branch has already ended the function.
		s.finish(r, a.value, nil)
		return false
	}
	return s.steps(ctx, r, a.ops)
}

func (s *Server) sleep(ctx context.Context, r *run, op *opcode) bool {
	var opts struct {
		Duration string `json:"duration"`
	}
	_ = json.Unmarshal(op.Opts, &opts) // in older SDKs, the name is the duration
	if opts.Duration == "" {
		opts.Duration = op.Name
	}
	d, err := parseDuration(opts.Duration, s.now())
	if err != nil {
		s.finish(r, nil, &stepError{Name: "Error", Message: err.Error()})
		return false
	}
	s.mu.Lock()
	done := s.waitSpanLocked(r, op, statusWaiting)
	s.mu.Unlock()
	if !pause(ctx, d) {
		return false
	}
	s.mu.Lock()
	done(output{})
	s.mu.Unlock()
	return s.memoise(r, op.ID, json.RawMessage("null"))
}

func (s *Server) waitForEvent(ctx context.Context, r *run, op *opcode) bool {
	var opts struct {
		Event   string `json:"event"`
		Timeout string `json:"timeout"`
		If      string `json:"if"`
	}
	_ = json.Unmarshal(op.Opts, &opts) // if the event is missing, the name is used
	if opts.Event == "" {
		opts.Event = op.Name
	}
	w := &waiter{name: opts.Event, match: opts.If}
	return s.wait(ctx, r, op, w, opts.Timeout, statusWaiting, nil)
}

func (s *Server) invoke(ctx context.Context, r *run, op *opcode) bool {
	var opts struct {
		Function string `json:"function_id"`
		Timeout  string `json:"timeout"`
		Payload  struct {
			Data map[string]any `json:"data"`
		} `json:"payload"`
	}
	if err := json.Unmarshal(op.Opts, &opts); err != nil {
		s.finish(r, nil, &stepError{Name: "Error", Message: err.Error()})
		return false
	}
	w := &waiter{}
	// The server shows an invocation as RUNNING, although the worker does not
	// execute anything of this run in the meantime.
	return s.wait(ctx, r, op, w, opts.Timeout, statusRunning, func() {
		e := invocation(opts.Function, opts.Payload.Data)
		s.publishLocked(e)
		w.invoked = e.internal
	})
}

func invocation(slug string, data map[string]any) *event {
	with := map[string]any{"_inngest": map[string]any{"fn_id": slug}}
	for k, v := range data {
		with[k] = v
	}
	return &event{Name: eventInvoked, Data: with}
}

// wait blocks a step until it is woken or its time is over, which results in
// null.
func (s *Server) wait(ctx context.Context, r *run, op *opcode, w *waiter, timeout, status string, begin func()) bool {
	limit := 365 * 24 * time.Hour
	if timeout != "" {
		d, err := parseDuration(timeout, s.now())
		if err != nil {
			s.finish(r, nil, &stepError{Name: "Error", Message: err.Error()})
			return false
		}
		limit = d
	}
	w.wake = make(chan json.RawMessage, 1)
	s.mu.Lock()
	done := s.waitSpanLocked(r, op, status)
	s.waiting = append(s.waiting, w)
	if begin != nil {
		begin()
	}
	s.mu.Unlock()
	over := time.NewTimer(limit)
	defer over.Stop()
	memo := json.RawMessage("null")
	alive := true
	select {
	case memo = <-w.wake:
	case <-over.C:
	case <-ctx.Done():
		alive = false
	}
	s.mu.Lock()
	s.waiting = slices.DeleteFunc(s.waiting, func(have *waiter) bool { return have == w })
	done(output{data: memo})
	s.mu.Unlock()
	return alive && s.memoise(r, op.ID, memo)
}
