package inngest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// traceDepth is how deep spans are asked for: run, group, attempt, and what a
// worker's own telemetry may add below.
const traceDepth = 4

func spanFields(s schema, depth int) string {
	fields := s.pick("RunTraceSpan", "name", "status", "attempts", "queuedAt", "startedAt", "endedAt", "stepOp", "stepID", "isRoot", "outputID")
	if depth == 0 {
		return fields
	}
	return fields + " childrenSpans{" + spanFields(s, depth-1) + "}"
}

// Trace reads what a run did, with its honest times.
func (c *Client) Trace(ctx context.Context, runID string) (*Span, error) {
	var out struct {
		RunTrace *Span
		Run      *struct{ Trace *Span }
	}
	err := c.ask(ctx, "show the trace of run "+runID, func(s schema) string {
		q := "query($id:String!)"
		if s.has("Query", "runTrace") {
			return q + "{runTrace(runID:$id){" + spanFields(s, traceDepth) + "}}"
		}
		return q + "{run(runID:$id){trace{" + spanFields(s, traceDepth) + "}}}" // before 1.12
	}, map[string]any{"id": runID}, &out)
	switch {
	case errors.Is(err, errNoGraphQL):
		return c.traceByREST(ctx, runID)
	case err != nil:
		return nil, err
	case out.RunTrace != nil:
		return out.RunTrace, nil
	case out.Run != nil && out.Run.Trace != nil:
		return out.Run.Trace, nil
	}
	return nil, refused("show the trace of run "+runID, &reply{status: http.StatusOK, body: []byte("run trace not found")})
}

// restSpan is a span of GET /v2/runs/{id}/trace.
type restSpan struct {
	Name      string
	Status    RunStatus
	QueuedAt  time.Time
	StartedAt *time.Time
	EndedAt   *time.Time
	StepOp    string
	StepID    string
	Output    json.RawMessage
	Children  []restSpan
}

func (r restSpan) span() Span {
	s := Span{Name: r.Name, Status: r.Status, Queued: r.QueuedAt, Started: r.StartedAt, Ended: r.EndedAt, StepOp: r.StepOp, StepID: r.StepID}
	if _, err := fmt.Sscanf(r.Name, "Attempt %d", &s.Attempts); err != nil {
		s.Attempts = 0
	}
	if r.Status == Failed {
		var out struct{ Message string } // the error itself, unwrapped
		if json.Unmarshal(r.Output, &out) == nil {
			s.Failure = out.Message
		}
	}
	for _, child := range r.Children {
		one := child.span()
		s.Children = append(s.Children, one)
		s.Attempts = max(s.Attempts, one.Attempts)
	}
	return s
}

func (c *Client) traceByREST(ctx context.Context, runID string) (*Span, error) {
	var out struct{ Data struct{ RootSpan restSpan } }
	err := c.rest(ctx, "show the trace of run "+runID, http.MethodGet, "/v2/runs/"+url.PathEscape(runID)+"/trace", url.Values{"includeOutput": {"true"}}, &out)
	if err != nil {
		return nil, err
	}
	root := out.Data.RootSpan.span()
	root.Root = true
	return &root, nil
}

// Failure returns the words of a failed span, or nothing where it has none.
func (c *Client) Failure(ctx context.Context, s Span) (string, error) {
	if s.Failure != "" || s.OutputID == "" {
		return s.Failure, nil
	}
	var out struct {
		RunTraceSpanOutputByID struct {
			Error *struct{ Message, Name string }
		}
	}
	err := c.ask(ctx, "show a span's error", func(schema) string {
		return `query($o:String!){runTraceSpanOutputByID(outputID:$o){error{message name}}}`
	}, map[string]any{"o": s.OutputID}, &out)
	if err != nil || out.RunTraceSpanOutputByID.Error == nil {
		return "", err
	}
	return out.RunTraceSpanOutputByID.Error.Message, nil
}

// Detail completes a run from its trace: times, the current step or the one
// that failed, its attempt and error.
func (c *Client) Detail(ctx context.Context, r Run) (Run, *Span, error) {
	trace, err := c.Trace(ctx, r.ID)
	if err != nil {
		return r, nil, err
	}
	r = withTrace(r, trace)
	if failed := lastFailure(trace); failed != nil && r.Status != Completed {
		if r.Error, err = c.Failure(ctx, *failed); err != nil {
			return r, trace, err
		}
	}
	return r, trace, nil
}

// withTrace puts a trace's times and position into a run. The list's own end
// is set while a run lasts, so only an ended run gets one.
func withTrace(r Run, trace *Span) Run {
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
		r.Step, r.Attempt = now.Step, now.Attempt
		return r
	}
	if f := lastFailure(trace); f != nil {
		r.Attempt = f.Attempts
	}
	return r
}

// lastFailure is the failed span that began last and says most: an attempt
// rather than the group around it.
func lastFailure(s *Span) *Span {
	var last *Span
	walk(s, func(s, _ *Span) {
		if s.Status != Failed || s.Root || s.OutputID == "" && s.Failure == "" {
			return
		}
		if last == nil || !s.began().Before(last.began()) {
			last = s
		}
	})
	return last
}

func (s *Span) began() time.Time {
	if s.Started != nil {
		return *s.Started
	}
	return s.Queued
}

// walk visits a span and all below it, each with its parent.
func walk(s *Span, visit func(s, parent *Span)) {
	var down func(s, parent *Span)
	down = func(s, parent *Span) {
		visit(s, parent)
		for i := range s.Children {
			down(&s.Children[i], s)
		}
	}
	down(s, nil)
}

// Where is what a run is about.
type Where struct {
	// Step names the step, or the place after the last finished one while
	// the server has not been told its name.
	Step    string
	Attempt int // from 0
	Since   time.Time
	// Executing: a request to the worker is open. Else the run sleeps, waits
	// or stands before another attempt.
	Executing bool
	// Retrying: the last attempt failed and another will follow.
	Retrying bool
	Failed   *Span // the last failed attempt, when Retrying
}

// serverSide are operations during which nothing of the run executes on the
// worker; the server shows an invocation as RUNNING nevertheless.
var serverSide = map[string]bool{
	"INVOKE": true, "SLEEP": true, "WAIT_FOR_EVENT": true, "WAIT_FOR_SIGNAL": true, "AI_GATEWAY": true,
}

// isPlaceholder tells names that the server gives where it knows no step.
func isPlaceholder(name string) bool {
	switch name {
	case "Execution", "Finalization", "Discovery step", "Unknown step", "Run", "":
		return true
	}
	return strings.HasPrefix(name, "Attempt ") || strings.HasPrefix(name, "executor.")
}

// ExecutingNow lists every open request of a run: a leaf that is RUNNING and
// not the server's own business. Steps that run side by side are one each.
func ExecutingNow(trace *Span) []Where {
	if trace.Status.Ended() {
		return nil
	}
	var all []Where
	walk(trace, func(s, parent *Span) {
		if s.Status != Running || s.Root || serverSide[s.StepOp] {
			return
		}
		for _, c := range s.Children {
			if c.Status == Running {
				return
			}
		}
		w := Where{Attempt: s.Attempts, Since: s.began(), Executing: true, Step: s.Name}
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

// afterLast names the place behind the last finished step.
func afterLast(trace *Span) string {
	var last *Span
	walk(trace, func(s, _ *Span) {
		if s.Status == Completed && s.StepID != "" && !isPlaceholder(s.Name) && (last == nil || !s.began().Before(last.began())) {
			last = s
		}
	})
	if last == nil {
		return "first step"
	}
	return "step after " + last.Name
}

// Position says what a run that lasts is about; nil for one that has ended or
// not begun.
func Position(trace *Span) *Where {
	if trace.Status.Ended() || len(trace.Children) == 0 {
		return nil
	}
	if now := ExecutingNow(trace); len(now) > 0 {
		return &now[0]
	}
	var waiting, failed *Span
	walk(trace, func(s, _ *Span) {
		switch {
		case s.Root:
		case s.Status == "WAITING" || s.Status == Running && serverSide[s.StepOp]:
			waiting = s
		case s.Status == Failed && (s.OutputID != "" || s.Failure != ""):
			failed = s
		}
	})
	if waiting != nil {
		return &Where{Step: waiting.Name, Since: waiting.began()}
	}
	if last := trace.Children[len(trace.Children)-1]; last.Status == Failed && failed != nil {
		w := &Where{Step: afterLast(trace), Attempt: failed.Attempts, Since: failed.began(), Retrying: true, Failed: failed}
		if !isPlaceholder(last.Name) {
			w.Step = last.Name
		}
		return w
	}
	return &Where{Step: afterLast(trace), Since: trace.began()}
}
