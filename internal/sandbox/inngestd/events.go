package inngestd

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// These events are sent by the server itself.
const (
	eventFailed    = "inngest/function.failed"
	eventFinished  = "inngest/function.finished"
	eventCancelled = "inngest/function.cancelled"
	eventInvoked   = "inngest/function.invoked"
	eventCron      = "inngest/scheduled.timer"
)

// event is one event. ID is the sender's id, internal is the server's.
type event struct {
	internal string
	ID       string         `json:"id"`
	Name     string         `json:"name"`
	Data     map[string]any `json:"data"`
	User     map[string]any `json:"user,omitempty"`
	TS       int64          `json:"ts"`
	V        string         `json:"v,omitempty"`
}

func (e *event) asMap() map[string]any {
	m := map[string]any{"id": e.ID, "name": e.Name, "data": e.Data, "ts": e.TS, "user": e.User}
	if e.Data == nil {
		m["data"] = map[string]any{}
	}
	if e.User == nil {
		m["user"] = map[string]any{}
	}
	if e.V != "" {
		m["v"] = e.V
	}
	return m
}

func (s *Server) receiveEvent(w http.ResponseWriter, r *http.Request) {
	// The key is compared as it stands in the path, so none with a slash is ever found.
	key := r.PathValue("key")
	if r.URL.RawPath != "" {
		key = strings.TrimPrefix(r.URL.RawPath, "/e/")
	}
	if len(s.opts.EventKeys) > 0 && !slices.Contains(s.opts.EventKeys, key) {
		writeJSON(w, http.StatusUnauthorized, map[string]any{"status": 401, "message": "", "error": "Event key not found"})
		return
	}
	var raw json.RawMessage
	var in []*event
	err := json.NewDecoder(r.Body).Decode(&raw)
	if err == nil {
		if raw[0] == '[' {
			err = json.Unmarshal(raw, &in)
		} else {
			in = []*event{{}}
			err = json.Unmarshal(raw, in[0])
		}
	}
	if err != nil {
		plainJSON(w, http.StatusBadRequest, map[string]any{"ids": []string{""}, "status": 400, "error": err.Error()})
		return
	}
	ids := []string{}
	s.mu.Lock()
	for _, e := range in {
		s.publishLocked(e)
		ids = append(ids, e.internal)
	}
	s.mu.Unlock()
	if len(ids) == 0 {
		ids = []string{""}
	}
	plainJSON(w, http.StatusOK, map[string]any{"ids": ids, "status": 200})
}

// publishLocked stores an event, starts the functions that it triggers and
// wakes the steps that wait for it.
func (s *Server) publishLocked(e *event) {
	now := s.now()
	e.internal = s.ids.next(now)
	if e.ID == "" {
		e.ID = e.internal
	}
	if e.TS == 0 {
		e.TS = now.UnixMilli()
	}
	// A second event with an id is kept, but starts nothing (1.43).
	again := false
	for _, have := range s.events {
		again = again || have.ID == e.ID
	}
	s.events[e.internal] = e
	if again {
		return
	}
	if slug, ok := invoked(e); ok {
		for _, f := range s.functions {
			if f.slug == slug && s.liveLocked(f) {
				s.startLocked(f, e, "")
			}
		}
		return
	}
	for _, f := range slices.Clone(s.functions) {
		if s.liveLocked(f) && slices.ContainsFunc(f.config.Triggers, e.triggers) {
			s.startLocked(f, e, "")
		}
	}
	s.wakeLocked(e)
}

// liveLocked reports whether a function and its app are still registered.
func (s *Server) liveLocked(f *function) bool {
	a := s.appLocked(f.appID)
	return !f.archived && a != nil && !a.archived
}

func invoked(e *event) (slug string, ok bool) {
	if e.Name != eventInvoked {
		return "", false
	}
	meta, _ := e.Data["_inngest"].(map[string]any)
	slug, ok = meta["fn_id"].(string)
	return slug, ok
}

func (e *event) triggers(t trigger) bool {
	if t.Event == "" {
		return false
	}
	prefix, wild := strings.CutSuffix(t.Event, "*")
	if t.Event != e.Name && (!wild || !strings.HasPrefix(e.Name, prefix)) {
		return false
	}
	return t.Expression == nil || e.satisfies(*t.Expression)
}

// comparison matches the only form of expression that the double supports:
// event.data.a.b == 'literal' (or !=).
var comparison = regexp.MustCompile(`^\s*(?:event|async)\.([\w.]+)\s*(==|!=)\s*(?:'([^']*)'|"([^"]*)")\s*$`)

func (e *event) satisfies(expression string) bool {
	m := comparison.FindStringSubmatch(expression)
	if m == nil {
		return false
	}
	var v any = e.asMap()
	for _, name := range strings.Split(m[1], ".") {
		fields, _ := v.(map[string]any)
		v = fields[name]
	}
	return (v == m[3]+m[4]) == (m[2] == "==")
}

// waiter is a step that waits for an event, or for a function that it has
// invoked.
type waiter struct {
	name    string // the event's name; empty for an invocation
	match   string // an expression, or empty
	invoked string // the id of the invoking event
	wake    chan json.RawMessage
}

func (s *Server) wakeLocked(e *event) {
	for _, w := range s.waiting {
		if w.name != "" && w.name == e.Name && (w.match == "" || e.satisfies(w.match)) {
			raw, _ := json.Marshal(map[string]any{"data": e.asMap()}) // plain data
			offer(w.wake, raw)
		}
	}
}

func (s *Server) resumeInvokersLocked(r *run, failure *stepError) {
	for _, w := range s.waiting {
		if w.invoked == "" || r.event.internal != w.invoked {
			continue
		}
		result := map[string]any{"data": r.outputs[r.rootSpan].data}
		if failure != nil {
			result = map[string]any{"error": failure}
		}
		raw, _ := json.Marshal(result) // plain data
		offer(w.wake, raw)
	}
}

// offer wakes a waiter once; later calls have no effect.
func offer(c chan json.RawMessage, v json.RawMessage) {
	select {
	case c <- v:
	default:
	}
}
