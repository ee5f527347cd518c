package inngestd

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// These are the sizes of pages of runs: a request for maxPage or more silently
// gets defaultPage.
const (
	defaultPage = 40
	maxPage     = 400
)

type cursor struct {
	ID      string `json:"id"`
	Columns map[string]struct {
		Field string `json:"f"`
		Value int64  `json:"v"` // Unix microseconds
	} `json:"c"`
}

func cursorOf(r *run) string {
	c := map[string]any{"id": r.id, "c": map[string]any{"start_time": map[string]any{"f": "start_time", "v": r.queued.UnixMicro()}}}
	raw, _ := json.Marshal(c) // plain data
	return base64.StdEncoding.EncodeToString(raw)
}

// runFilter is the filter of a list of runs.
type runFilter struct {
	from, until time.Time
	field       string
	status      []string
	functions   []string
	apps        []string
	ascending   bool
	after       string
	first       int
}

func (s *Server) resolveRuns(args map[string]any) (any, error) {
	f, err := s.readFilter(args)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	matching, page, err := s.selectRunsLocked(f)
	if err != nil {
		return nil, fmt.Errorf("error retrieving runs: %w", err)
	}
	edges := []object{}
	for _, r := range page {
		edges = append(edges, object{"node": s.runObjectLocked(r), "cursor": cursorOf(r)})
	}
	info := object{"hasNextPage": len(page) == f.first, "hasPreviousPage": false, "startCursor": nil, "endCursor": nil}
	if len(page) > 0 {
		info["startCursor"], info["endCursor"] = cursorOf(page[0]), cursorOf(page[len(page)-1])
	}
	return object{"edges": edges, "pageInfo": info, "totalCount": matching}, nil
}

func (s *Server) readFilter(args map[string]any) (runFilter, error) {
	f := runFilter{first: defaultPage}
	if n, err := toInt(args["first"]); err == nil && n > 0 && n < maxPage {
		f.first = n
	}
	f.after, _ = args["after"].(string)
	in, _ := args["filter"].(map[string]any)
	var err error
	if f.from, err = toTime(in["from"]); err != nil {
		return f, err
	}
	f.until = s.now()
	if in["until"] != nil {
		if f.until, err = toTime(in["until"]); err != nil {
			return f, err
		}
	}
	f.field, _ = in["timeField"].(string)
	f.status, f.functions, f.apps = toStrings(in["status"]), toStrings(in["functionIDs"]), toStrings(in["appIDs"])
	orders, _ := args["orderBy"].([]any)
	for _, o := range orders {
		if order, ok := o.(map[string]any); ok {
			f.ascending = order["direction"] == "ASC"
		}
	}
	return f, nil
}

// selectRunsLocked returns the number of matching runs and one page of them.
func (s *Server) selectRunsLocked(f runFilter) (matching int, page []*run, err error) {
	var all []*run
	for _, r := range s.runs {
		at := r.queued
		if f.field == "ENDED_AT" {
			at = r.touched
		}
		if at.Before(f.from) || at.After(f.until) ||
			len(f.status) > 0 && !slices.Contains(f.status, r.status) ||
			len(f.functions) > 0 && !slices.Contains(f.functions, r.function.id) ||
			len(f.apps) > 0 && !slices.Contains(f.apps, r.function.appID) {
			continue
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *run) int {
		if !f.ascending {
			a, b = b, a
		}
		if f.field == "ENDED_AT" {
			return a.touched.Compare(b.touched)
		}
		return strings.Compare(a.id, b.id)
	})
	page = all
	if f.after != "" {
		var c cursor
		raw, err := base64.StdEncoding.DecodeString(f.after)
		if err == nil {
			err = json.Unmarshal(raw, &c)
		}
		if err != nil {
			return 0, nil, fmt.Errorf("error decoding cursor: %w", err)
		}
		page = all[slices.IndexFunc(all, func(r *run) bool { return r.id == c.ID })+1:]
	}
	return len(all), page[:min(len(page), f.first)], nil
}

func (s *Server) resolveRun(args map[string]any) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.runLocked(fmt.Sprint(args["runID"]))
	if r == nil {
		return nil, fmt.Errorf("error retrieving run: %w", errNoRow)
	}
	return s.runObjectLocked(r), nil
}

// runObjectLocked returns a run as the list shows it: its start is the time
// when it was queued, and it has an end as soon as a part of it was written.
func (s *Server) runObjectLocked(r *run) object {
	triggers := []string{}
	var name, schedule any
	if r.event != nil {
		triggers = append(triggers, r.event.internal)
		name = r.event.Name
	}
	if r.cron != "" {
		schedule = r.cron
	}
	return object{
		"id": r.id, "appID": r.function.appID, "functionID": r.function.id,
		"app":      s.appObjectLocked(s.appLocked(r.function.appID)),
		"function": s.functionObjectLocked(r.function), "traceID": strings.ToLower(r.id),
		"queuedAt": timeOrNil(r.queued), "startedAt": timeOrNil(r.queued), "endedAt": timeOrNil(r.touched),
		"status": r.status, "triggerIDs": triggers, "eventName": name, "isBatch": false, "cronSchedule": schedule,
		"output": nil, "hasAI": false,
		"trace": resolver(func(map[string]any) (any, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.traceObjectLocked(r), nil
		}),
	}
}

func (s *Server) resolveTrace(args map[string]any) (any, error) {
	id := fmt.Sprint(args["runID"])
	if !isULID(id) {
		return nil, errors.New("error parsing runID: ulid: bad data size when unmarshaling")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.runLocked(id)
	if r == nil || r.untraced {
		return nil, errNoTrace
	}
	return s.traceObjectLocked(r), nil
}

func (s *Server) traceObjectLocked(r *run) object {
	root := &span{
		id: r.rootSpan, name: "Run", status: r.status, queued: r.queued, started: r.started, ended: r.ended,
		output: true, children: r.spans,
	}
	o := s.spanObjectLocked(r, root)
	o["isRoot"] = true
	o["outputID"] = outputID(r.id, "", r.rootSpan)
	if ended(r.status) {
		o["outputID"] = outputID(r.id, r.rootSpan, r.rootSpan)
		if !r.started.IsZero() {
			o["duration"] = int(r.ended.Sub(r.started).Milliseconds())
		}
	}
	return o
}

func (s *Server) spanObjectLocked(r *run, sp *span) object {
	children := []object{}
	// A single successful attempt adds nothing to its group.
	collapsed := len(sp.children) == 1 && sp.children[0].status == statusCompleted && sp.id != r.rootSpan
	if !collapsed {
		for _, c := range shown(sp.children) {
			children = append(children, s.spanObjectLocked(r, c))
		}
	}
	o := object{
		"appID": r.function.appID, "functionID": r.function.id, "runID": r.id, "spanID": sp.id, "traceID": strings.ToLower(r.id),
		"name": sp.name, "status": sp.status, "attempts": sp.attempts, "duration": nil, "outputID": nil,
		"queuedAt": milli(sp.queued), "scheduledAt": milli(sp.queued), "startedAt": milli(sp.started), "endedAt": milli(sp.ended),
		"childrenSpans": children, "stepOp": stringOrNil(sp.stepOp), "stepID": stringOrNil(sp.stepID),
		"stepType": sp.stepOp, "isRoot": false, "parentSpanID": nil, "isUserland": false,
	}
	if sp.name == finalization {
		o["stepType"] = strings.ToUpper(finalization)
	}
	if sp.duration != nil {
		o["duration"] = *sp.duration
	}
	if sp.output {
		o["outputID"] = outputID(r.id, sp.id, "")
	}
	return o
}

// shown omits all finalizations except the first, as the server does.
func shown(spans []*span) []*span {
	seen := false
	return slices.DeleteFunc(slices.Clone(spans), func(sp *span) bool {
		again := seen && sp.name == finalization
		seen = seen || sp.name == finalization
		return again
	})
}

func (s *Server) resolveOutput(args map[string]any) (any, error) {
	ref, err := decodeOutputID(fmt.Sprint(args["outputID"]))
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.runLocked(ref.Run)
	if r == nil {
		return nil, errNoRow
	}
	out := r.outputs[ref.Span]
	o := object{"input": nil, "data": nil, "error": nil}
	if e := out.err; e != nil {
		var cause any
		if len(e.Cause) > 0 {
			cause = e.Cause
		}
		o["error"] = object{"message": e.Message, "name": e.Name, "stack": stringOrNil(e.Stack), "cause": cause}
		return o, nil
	}
	if out.data != nil {
		o["data"] = string(out.data)
	}
	return o, nil
}

// milli formats a time as in traces, to the millisecond.
func milli(t time.Time) any { return timeOrNil(t.Truncate(time.Millisecond)) }

func toInt(v any) (int, error) {
	switch v := v.(type) {
	case int64:
		return int(v), nil
	case int:
		return v, nil
	case json.Number:
		n, err := v.Int64()
		return int(n), err
	}
	return 0, fmt.Errorf("%v is not a number", v)
}

func toTime(v any) (time.Time, error) { return time.Parse(time.RFC3339Nano, fmt.Sprint(v)) }

func toStrings(v any) []string {
	var all []string
	switch v := v.(type) {
	case []any:
		for _, one := range v {
			all = append(all, fmt.Sprint(one))
		}
	case string: // a list with one element may be written without brackets
		all = append(all, v)
	}
	return all
}
