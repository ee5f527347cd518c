package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/inngest/wire"
)

// traceDepth is the depth to which spans are requested: run, group, attempt,
// and the spans that a worker's own telemetry may add below.
const traceDepth = 4

func spanFields(s schema, depth int) string {
	fields := s.pick(
		"RunTraceSpan",
		"name",
		"status",
		"attempts",
		"queuedAt",
		"startedAt",
		"endedAt",
		"stepOp",
		"stepID",
		"isRoot",
		"outputID",
	)
	if depth == 0 {
		return fields
	}
	return fields + " childrenSpans{" + spanFields(s, depth-1) + "}"
}

// Trace reads the trace of a run, whose times are reliable.
func (c *Client) Trace(ctx context.Context, runID string) (*model.Span, error) {
	var out struct {
		RunTrace *model.Span
		Run      *struct{ Trace *model.Span }
	}
	err := c.ask(ctx, "show the trace of run "+runID, func(s schema) string {
		q := "query($id:String!)"
		if s.has("Query", "runTrace") {
			return q + "{runTrace(runID:$id){" + spanFields(s, traceDepth) + "}}"
		}
		return q + "{run(runID:$id){trace{" + spanFields(s, traceDepth) + "}}}" // before 1.12
	}, map[string]any{"id": runID}, &out)
	switch {
	case errors.Is(err, ErrNoGraphQL):
		return c.traceByREST(ctx, runID)
	case err != nil:
		return nil, err
	case out.RunTrace != nil:
		return out.RunTrace, nil
	case out.Run != nil && out.Run.Trace != nil:
		return out.Run.Trace, nil
	}
	return nil, wire.Refused("show the trace of run "+runID, &wire.Reply{Status: http.StatusOK, Body: []byte("run trace not found")})
}

// restSpan is a span of GET /v2/runs/{id}/trace.
type restSpan struct {
	Name      string
	Status    model.RunStatus
	QueuedAt  time.Time
	StartedAt *time.Time
	EndedAt   *time.Time
	StepOp    string
	StepID    string
	Output    json.RawMessage
	Children  []restSpan
}

func (r restSpan) span() model.Span {
	s := model.Span{
		Name:    r.Name,
		Status:  r.Status,
		Queued:  r.QueuedAt,
		Started: r.StartedAt,
		Ended:   r.EndedAt,
		StepOp:  r.StepOp,
		StepID:  r.StepID,
	}
	if _, err := fmt.Sscanf(r.Name, "Attempt %d", &s.Attempts); err != nil {
		s.Attempts = 0
	}
	if r.Status == model.Failed {
		var out struct{ Message string } // the error itself, without an envelope
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

func (c *Client) traceByREST(ctx context.Context, runID string) (*model.Span, error) {
	var out struct{ Data struct{ RootSpan restSpan } }
	err := c.rest(
		ctx,
		"show the trace of run "+runID,
		http.MethodGet,
		"/v2/runs/"+url.PathEscape(runID)+"/trace",
		url.Values{"includeOutput": {"true"}},
		&out,
	)
	if err != nil {
		return nil, err
	}
	root := out.Data.RootSpan.span()
	root.Root = true
	return &root, nil
}

// Failure returns the error message of a failed span, or "" if it has none.
func (c *Client) Failure(ctx context.Context, s model.Span) (string, error) {
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
