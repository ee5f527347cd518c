package inngestd

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// appFunctions is GET /v1/apps/{name}/functions: it returns an array without
// an envelope, whether or not the app exists.
func (s *Server) appFunctions(w http.ResponseWriter, r *http.Request) {
	type row struct {
		ID       string         `json:"internal_id"`
		Env      string         `json:"env_id"`
		App      string         `json:"app_id"`
		Slug     string         `json:"id"`
		Name     string         `json:"name"`
		Config   functionConfig `json:"config"`
		Created  time.Time      `json:"created_at"`
		Archived time.Time      `json:"archived_at"`
	}
	// As in the real server (1.43), a name with a slash is compared as it stands in the path.
	name := r.PathValue("name")
	if strings.Contains(name, "/") {
		name = url.PathEscape(name)
	}
	all := []row{}
	s.mu.Lock()
	for _, f := range s.functions {
		if a := s.appLocked(f.appID); a.name == name && !f.archived {
			all = append(all, row{f.id, nilUUID, f.appID, f.slug, f.name, f.config, f.created, time.Time{}})
		}
	}
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, all)
}

// listApps is GET /v2/apps. As in protobuf's JSON, zero values are omitted.
func (s *Server) listApps(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var data []map[string]any
	for _, a := range s.apps {
		if a.archived {
			continue
		}
		name := a.name
		if name == "" {
			name = a.id
		}
		row := map[string]any{"createdAt": a.created.Format(time.RFC3339), "id": name, "method": a.method}
		if a.name != "" {
			row["name"] = a.name
		}
		if n := len(s.functionsOfLocked(a.id)); n > 0 {
			row["functionCount"] = n
		}
		sync := map[string]any{}
		for k, v := range map[string]string{
			"framework": a.framework, "sdkLanguage": a.sdkLanguage, "sdkVersion": a.sdk, "url": a.url, "error": a.err,
		} {
			if v != "" {
				sync[k] = v
			}
		}
		row["latestSync"] = sync
		data = append(data, row)
	}
	s.page(w, data, defaultRestPage, "", false)
}

const defaultRestPage = 20

func (s *Server) page(w http.ResponseWriter, data []map[string]any, limit int, next string, more bool) {
	page := map[string]any{"limit": limit}
	if more {
		page["hasMore"], page["cursor"] = true, next
	}
	out := map[string]any{"metadata": map[string]any{"fetchedAt": s.now().Format(time.RFC3339Nano)}, "page": page}
	if len(data) > 0 {
		out["data"] = data
	}
	writeJSON(w, http.StatusOK, out)
}

func (s *Server) listRuns(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f := runFilter{first: defaultRestPage, until: s.now(), after: q.Get("cursor"), status: q["status"], field: q.Get("timeField")}
	if n, err := strconv.Atoi(q.Get("limit")); err == nil {
		if n < 1 || n > 100 {
			restError(w, http.StatusBadRequest, "invalid_field_format", "Limit cannot exceed 100")
			return
		}
		f.first = n
	}
	for name, at := range map[string]*time.Time{"from": &f.from, "until": &f.until} {
		if raw := q.Get(name); raw != "" {
			t, err := time.Parse(time.RFC3339Nano, raw)
			if err != nil {
				restError(w, http.StatusBadRequest, "invalid_field_format", name+" must be a valid timestamp")
				return
			}
			*at = t
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.apps {
		if slices.Contains(q["appId"], a.name) {
			f.apps = append(f.apps, a.id)
		}
	}
	f.first++ // one more element shows whether there are more pages
	_, page, err := s.selectRunsLocked(f)
	f.first--
	if err != nil {
		restError(w, http.StatusBadRequest, "invalid_field_format", "Cursor is invalid")
		return
	}
	more := len(page) > f.first
	page = page[:min(len(page), f.first)]
	var data []map[string]any
	for _, one := range page {
		data = append(data, s.restRunLocked(one))
	}
	next := ""
	if len(page) > 0 {
		next = cursorOf(page[len(page)-1])
	}
	s.page(w, data, f.first, next, more)
}

func (s *Server) restRunLocked(r *run) map[string]any {
	a := s.appLocked(r.function.appID)
	trigger := map[string]any{}
	if r.event != nil {
		trigger["eventIds"] = []string{r.event.internal}
	}
	if r.cron != "" {
		trigger["cronSchedule"] = r.cron
	}
	row := map[string]any{
		"id": r.id, "app": map[string]any{"id": a.name}, "status": r.status,
		// Unlike everywhere else, the app's name is not in front.
		"function": map[string]any{"id": strings.TrimPrefix(r.function.slug, a.name+"-"), "name": r.function.name},
		"queuedAt": timeOrNil(r.queued), "startedAt": timeOrNil(r.queued), "trigger": trigger,
	}
	if !r.ended.IsZero() {
		row["endedAt"] = timeOrNil(r.ended)
		row["durationMs"] = strconv.FormatInt(max(1, r.ended.Sub(r.queued).Milliseconds()), 10)
	}
	return row
}

// listEvents is GET /v1/events, the latest first.
func (s *Server) listEvents(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := r.URL.Query().Get("name")
	data := []map[string]any{}
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(s.events))) {
		if e := s.events[id]; name == "" || e.Name == name {
			data = append(data, map[string]any{"internal_id": id, "id": e.ID, "name": e.Name, "data": e.Data, "ts": e.TS})
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"data": data, "metadata": map[string]any{"fetched_at": s.now()}})
}

// eventRuns is GET /v1/events/{id}/runs.
func (s *Server) eventRuns(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data := []map[string]any{}
	for _, one := range s.runs {
		if one.event != nil && one.event.internal == r.PathValue("id") {
			data = append(data, s.v1RunLocked(one))
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"data": data, "metadata": map[string]any{"fetched_at": s.now()}})
}

func (s *Server) v1RunLocked(r *run) map[string]any {
	status := strings.ToUpper(r.status[:1]) + strings.ToLower(r.status[1:])
	row := map[string]any{
		"run_id": r.id, "run_started_at": r.queued, "function_id": r.function.id, "function_version": r.function.config.Version,
		"environment_id": nilUUID, "status": status, "ended_at": nil, "output": nil,
	}
	if r.event != nil {
		row["event_id"] = r.event.internal
	}
	if !r.ended.IsZero() {
		row["ended_at"] = r.ended
	}
	return row
}

func (s *Server) oneRun(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.runLocked(r.PathValue("id"))
	if one == nil {
		writeJSON(
			w,
			http.StatusInternalServerError,
			map[string]any{"error": "Unable to load function run: " + r.PathValue("id"), "data": nil, "status": 500},
		)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"data": s.v1RunLocked(one), "metadata": map[string]any{"fetched_at": s.now()}})
}

func (s *Server) runTraceREST(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.runLocked(r.PathValue("id"))
	if one == nil || one.untraced {
		restError(w, http.StatusNotFound, "not_found", "Trace not found")
		return
	}
	root := &span{
		id:       one.rootSpan,
		name:     "Run",
		status:   one.status,
		queued:   one.queued,
		started:  one.started,
		ended:    one.ended,
		output:   ended(one.status),
		children: one.spans,
	}
	outputs := r.URL.Query().Get("includeOutput") == "true"
	rootSpan := restSpan(one, root, outputs)
	if outputs && one.event != nil {
		input := one.event.asMap()
		if one.event.User == nil {
			delete(input, "user")
		}
		rootSpan["input"] = map[string]any{"data": []any{input}}
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"data":     map[string]any{"runId": one.id, "rootSpan": rootSpan},
		"metadata": map[string]any{"fetchedAt": s.now()},
	})
}

func restSpan(r *run, sp *span, outputs bool) map[string]any {
	m := map[string]any{"id": sp.id, "name": sp.name, "status": sp.status, "queuedAt": milli(sp.queued)}
	for k, t := range map[string]time.Time{"startedAt": sp.started, "endedAt": sp.ended} {
		if !t.IsZero() {
			m[k] = milli(t)
		}
	}
	if sp.stepOp != "" {
		m["stepOp"] = sp.stepOp
	}
	if sp.stepID != "" {
		m["stepId"] = sp.stepID
	}
	if !sp.ended.IsZero() && !sp.started.IsZero() {
		m["durationMs"] = strconv.FormatInt(sp.ended.Sub(sp.started).Milliseconds(), 10) // a string, as protobuf's JSON has it
	}
	if outputs && sp.output {
		out := r.outputs[sp.id]
		m["output"] = map[string]any{"data": out.data}
		if sp.stepID != "" {
			m["output"] = out.data
		}
		if out.err != nil {
			m["output"] = out.err
		}
	}
	if len(sp.children) == 1 && sp.children[0].status == statusCompleted && sp.id != r.rootSpan {
		return m
	}
	var children []map[string]any
	for _, c := range shown(sp.children) {
		children = append(children, restSpan(r, c, outputs))
	}
	if len(children) > 0 {
		m["children"] = children
	}
	return m
}

func (s *Server) cancelREST(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	one := s.runLocked(r.PathValue("id"))
	cancelled := one != nil && one.status == statusCancelled
	s.mu.Unlock()
	if cancelled {
		restError(w, http.StatusConflict, "run_already_cancelled", "Run is already cancelled")
		return
	}
	switch _, err := s.cancelRun(r.PathValue("id")); {
	case err == nil:
		writeJSON(
			w,
			http.StatusOK,
			map[string]any{"data": map[string]any{"runId": r.PathValue("id")}, "metadata": map[string]any{"fetchedAt": s.now()}},
		)
	case errors.Is(err, errEnded):
		restError(w, http.StatusConflict, "run_already_ended", "Cannot cancel an ended run")
	default:
		restError(w, http.StatusNotFound, "not_found", "Run not found")
	}
}

func (s *Server) rerunREST(w http.ResponseWriter, r *http.Request) {
	one, err := s.rerun(r.PathValue("id"))
	if err != nil {
		restError(w, http.StatusNotFound, "not_found", "Run not found")
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"data": map[string]any{"runId": one.id}, "metadata": map[string]any{"fetchedAt": s.now()}})
}

func (s *Server) syncREST(w http.ResponseWriter, _ *http.Request) {
	restError(w, http.StatusNotImplemented, "not_implemented", "Sync app is not implemented in the open-source server")
}

func restError(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	raw, _ := json.Marshal(map[string]any{"errors": []map[string]any{{"code": code, "message": message}}}) // compares strings
	_, _ = w.Write(raw)
}
