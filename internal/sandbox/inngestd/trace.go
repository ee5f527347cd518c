package inngestd

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// span is a node below a run's root, in the form that the server's trace
// loader returns (pkg/coreapi/graph/loaders/trace.go), and not that of the
// stored telemetry.
type span struct {
	id       string
	name     string
	status   string
	attempts int
	queued   time.Time
	started  time.Time
	ended    time.Time
	duration *int // milliseconds; only on spans that were stored in one write
	stepOp   string
	stepID   string
	output   bool // has an outputID
	children []*span
}

// output is the result of a span.
type output struct {
	data json.RawMessage
	err  *stepError
}

// stepError is an error as the SDK and the server write it.
type stepError struct {
	Error   string          `json:"error,omitempty"`
	Name    string          `json:"name"`
	Message string          `json:"message"`
	Stack   string          `json:"stack,omitempty"`
	Cause   json.RawMessage `json:"cause,omitempty"`
}

func spanID() string {
	var raw [8]byte
	_, _ = rand.Read(raw[:]) // never fails: crypto/rand
	return hex.EncodeToString(raw[:])
}

// group is one call of the worker with its attempts. The server calls it
// "Execution" until it knows which step it is.
func (s *Server) beginAttemptLocked(r *run, group *span, attempt int) *span {
	now := s.now()
	try := &span{
		id:       spanID(),
		name:     fmt.Sprintf("Attempt %d", len(group.children)),
		status:   statusRunning,
		attempts: attempt,
		queued:   group.queued,
		started:  now,
	}
	if len(group.children) == 0 {
		group.started = now
		r.spans = append(r.spans, group)
	}
	group.children = append(group.children, try)
	group.status, group.ended = statusRunning, time.Time{}
	group.attempts = max(group.attempts, attempt)
	if r.status == statusQueued {
		r.status, r.started = statusRunning, now
	}
	r.touched = now
	return try
}

// finalization is the name of a group that contains the function's own end.
// Its attempts keep their outputs; the group itself has none.
const finalization = "Finalization"

// endAttemptLocked records the result of an attempt. op is nil if the whole
// function answered instead of a step.
func (s *Server) endAttemptLocked(r *run, group, try *span, op *opcode, out output) {
	now := s.now()
	try.ended, try.status, try.output = now, statusCompleted, true
	if out.err != nil {
		try.status = statusFailed
	}
	r.outputs[try.id] = out
	if op != nil {
		try.stepOp, try.stepID = op.kind(), op.ID
		group.stepOp = try.stepOp
		if group.name == executionName {
			group.name = op.name()
		}
	} else {
		group.name = finalization
	}
	if group.name != finalization {
		group.stepID, group.output = try.stepID, true
		group.id = try.id
	} else {
		group.stepID, group.output = "", false
	}
	group.status, group.ended = try.status, now
	r.touched = now
}

// hideLocked takes a group out of the trace whose only call ended without having
// executed a step.
func (r *run) hideLocked(group *span) {
	if len(group.children) == 1 {
		r.spans = slices.DeleteFunc(r.spans, func(s *span) bool { return s == group })
	}
}

const executionName = "Execution"

// stepSpanLocked records a step with its own timing, in addition to the
// attempt that reported it.
func (s *Server) stepSpanLocked(r *run, op *opcode, attempt int, queued, started, ended time.Time, out output) {
	id := spanID()
	status := statusCompleted
	if out.err != nil {
		status = statusFailed
	}
	if op.Timing.A > 0 {
		started = time.Unix(0, op.Timing.A).UTC()
		ended = started.Add(max(time.Duration(op.Timing.B), time.Millisecond))
	}
	ms := int(ended.Sub(started).Milliseconds())
	r.outputs[id] = out
	r.spans = append(r.spans, &span{
		id: id, name: op.name(), status: status, attempts: attempt, queued: queued, started: started, ended: ended,
		duration: &ms, stepOp: op.kind(), stepID: op.ID, output: true,
	})
}

// functionSpanLocked records an answer of the whole function.
func (s *Server) functionSpanLocked(r *run, try *span, out output) {
	id := spanID()
	status := statusCompleted
	if out.err != nil {
		status = statusFailed
	}
	ms := int(try.ended.Sub(try.started).Milliseconds())
	r.outputs[id] = out
	r.spans = append(r.spans, &span{
		id: id, name: "executor.nonstep", status: status, queued: try.queued, started: try.started, ended: try.ended,
		duration: &ms, output: true,
	})
}

// waitSpanLocked shows a sleep or a wait until close is called.
func (s *Server) waitSpanLocked(r *run, op *opcode, status string) (closeLocked func(out output)) {
	now := s.now()
	w := &span{id: spanID(), name: op.name(), status: status, queued: now, started: now, stepOp: op.kind(), stepID: op.ID}
	r.spans = append(r.spans, w)
	r.touched = now
	return func(out output) {
		w.status, w.ended, w.output = statusCompleted, s.now(), true
		if out.err != nil {
			w.status = statusFailed
		}
		r.outputs[w.id] = out
		r.touched = w.ended
	}
}

// spanRef is the decoded form of an outputID.
type spanRef struct {
	Account   string `json:"acctID"`
	Workspace string `json:"wsID"`
	App       string `json:"appID"`
	Function  string `json:"fnID"`
	Trace     string `json:"tid"`
	Span      string `json:"sid"`
	Run       string `json:"rid"`
	Preview   bool   `json:"preview"`
	Input     string `json:"in_sid,omitempty"`
}

func outputID(runID, span, input string) string {
	raw, _ := json.Marshal(spanRef{nilUUID, nilUUID, nilUUID, nilUUID, "", span, runID, true, input}) // plain data
	return base64.StdEncoding.EncodeToString(raw)
}

func decodeOutputID(id string) (spanRef, error) {
	var ref spanRef
	raw, err := base64.StdEncoding.DecodeString(id)
	if err == nil {
		err = json.Unmarshal(raw, &ref)
	}
	if err != nil {
		return ref, fmt.Errorf("error parsing span identifier: %w", err)
	}
	return ref, nil
}
