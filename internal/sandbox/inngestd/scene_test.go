package inngestd_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/joelhooks/gh-sbw/internal/sandbox/inngestd"
)

// scene is a double with a scripted worker at the addresses of the recordings
// (localhost:3111 and others), so that ids that derive from URLs are the same.
type scene struct {
	t      *testing.T
	server *inngestd.Server
	worker *scripted
	// ids maps recorded values to the values in this scene.
	ids []string
	// event starts approval-request; approval/requested when empty.
	event string
}

const recordedKey = "signkey-test-00112233445566778899aabbccddeeff"

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{t: t, worker: &scripted{killed: make(chan struct{}), slow: make(chan struct{}, 8)}}
	w := httptest.NewServer(s.worker)
	t.Cleanup(w.Close)
	s.server = inngestd.New(inngestd.Options{
		SigningKey: recordedKey, EventKeys: []string{"the-event-key"},
		HTTP:    &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: s.worker.dial(w.Listener.Addr().String())}},
		Backoff: func(int) time.Duration { return s.worker.backoff() },
	})
	t.Cleanup(s.server.Close)
	s.ids = []string{"<event-key>", "the-event-key", "<hashed-signing-key>", recordedKey}
	return s
}

// actual replaces recorded values by this scene's values.
func (s *scene) actual(text string) string { return strings.NewReplacer(s.ids...).Replace(text) }

// scripted replaces an SDK: it answers calls by the names of the functions.
type scripted struct {
	mu     sync.Mutex
	down   bool
	quick  bool          // retries and the ends of slow steps happen immediately
	pause  string        // the opcode that comes instead of the slow step
	killed chan struct{} // closing it kills the worker in the middle of a step
	slow   chan struct{} // receives a value when a slow step begins
}

func (w *scripted) backoff() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.quick {
		return time.Millisecond
	}
	return time.Hour
}

func (w *scripted) set(quick bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.quick = quick
}

func (w *scripted) dial(addr string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, want string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(want)
		if err != nil || port == "3999" {
			return nil, errors.Join(err, syscall.ECONNREFUSED)
		}
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}
}

// These are hashes of step ids, as the SDK creates them.
const (
	firstStep = "e0996a37c13d44c3b06074939d43fa3759bd32c1"
	slowStep  = "57e8a7776d6892a83f2a49678f8141f4fb883e62"
	// of the functions napper and inviter
	beforeStep = "51de2b835bd35a67eb32dbcd3d77d4b96e5aa39d"
)

// What a call reports when a run begins to sleep or to wait.
const (
	nap           = `[{"op":"Sleep","id":"c2640f79b4ed481b838ce4ad75330aa3f825d4d9","name":"1h","displayName":"nap"}]`
	waitForAnswer = `[{"op":"WaitForEvent","id":"25dc282b5a3dcba62a9a777a856c65dd8a4ae8c4","name":"invite/answered",` +
		`"displayName":"answer","opts":{"event":"invite/answered","timeout":"1h"}}]`
)

func (w *scripted) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	var in struct {
		Steps map[string]any
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	rw.Header().Set("X-Inngest-Sdk", "inngest-js:v3.54.2")
	rw.Header().Set("X-Inngest-Req-Version", "1")
	switch fn := r.URL.Query().Get("fnId"); {
	case strings.HasSuffix(fn, "voice-missed-call"):
		rw.Header().Set("X-Inngest-No-Retry", "false")
		rw.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(rw, `{"__serialized":true,"name":"Error","message":"missed"}`)
	case !strings.HasSuffix(fn, "approval-request"):
		_, _ = io.WriteString(rw, `"done"`)
	case w.pause == waitForAnswer:
		rw.WriteHeader(http.StatusPartialContent)
		_, _ = io.WriteString(rw, waitForAnswer)
	case w.pause == nap && in.Steps[beforeStep] == nil:
		stepRun(rw, beforeStep, "before", map[string]any{"by": 1565})
	case w.pause == nap:
		rw.WriteHeader(http.StatusPartialContent)
		_, _ = io.WriteString(rw, nap)
	case in.Steps[firstStep] == nil:
		stepRun(rw, firstStep, "first", 1)
	case in.Steps[slowStep] == nil:
		w.mu.Lock()
		quick, killed := w.quick, w.killed
		w.mu.Unlock()
		if !quick {
			w.slow <- struct{}{}
			select {
			case <-killed:
			case <-r.Context().Done():
			}
			panic(http.ErrAbortHandler) // the connection breaks
		}
		stepRun(rw, slowStep, "slow", 1)
	default:
		_, _ = io.WriteString(rw, `{"ok":true}`)
	}
}

func stepRun(rw http.ResponseWriter, id, name string, data any) {
	rw.WriteHeader(http.StatusPartialContent)
	now := time.Now()
	_ = json.NewEncoder(rw).Encode([]map[string]any{{
		"op": "StepRun", "id": id, "name": name, "displayName": name, "data": data,
		"timing": map[string]int64{"a": now.UnixNano(), "b": int64(time.Millisecond)},
	}})
}

// register posts what the SDK posts, based on a recorded inspection.
func (s *scene) register(recorded, app, port string) {
	s.t.Helper()
	r := readRecording(s.t, recorded)
	in := r.Response.Body.(map[string]any)
	old := in["app_id"].(string)
	raw, err := json.Marshal(map[string]any{
		"url": in["url"], "deployType": "ping", "framework": "hono", "appName": app, "functions": in["functions"],
		"sdk": in["sdk"], "v": "0.1", "capabilities": in["capabilities"],
	})
	if err != nil {
		s.t.Fatal(err)
	}
	oldPort := strings.Split(strings.TrimPrefix(in["url"].(string), "http://127.0.0.1:"), "/")[0]
	event := cmp.Or(s.event, "approval/requested")
	body := strings.NewReplacer(old, app, ":"+oldPort+"/", ":"+port+"/", "approval/requested", event).Replace(string(raw))
	req := httptest.NewRequestWithContext(s.t.Context(), http.MethodPost, "/fn/register", strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+recordedKey)
	w := httptest.NewRecorder()
	s.server.ServeHTTP(w, req)
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"ok":true`) {
		s.t.Fatalf("register: %d %s", w.Code, w.Body)
	}
}

func (s *scene) register4() { s.register("sdk4-put-in-band", "v4-worker", "3114") }

func registered(s *scene) { s.register("sdk-put-in-band", "system-bus-cluster", "3111") }

func both(s *scene) {
	registered(s)
	s.register("sdk-put-in-band", "system-bus-host", "3112")
}

func (s *scene) post(path string, body any) map[string]any {
	s.t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.server.ServeHTTP(w, httptest.NewRequestWithContext(s.t.Context(), http.MethodPost, path, strings.NewReader(string(raw))))
	out, ok := parsed(w.Body.Bytes()).(map[string]any)
	if !ok || out["errors"] != nil {
		s.t.Fatalf("%s %s: %s", path, raw, w.Body)
	}
	return out
}

func (s *scene) send(name string) { s.post("/e/the-event-key", map[string]any{"name": name}) }

func (s *scene) gql(q string) map[string]any {
	return s.post("/v0/gql", map[string]any{"query": q})["data"].(map[string]any)
}

// runs lists the runs, oldest first, as "function status".
func (s *scene) runs() (ids, states []string) {
	d := s.gql(`{runs(first:100,orderBy:[{field:QUEUED_AT,direction:ASC}],filter:{from:"2000-01-01T00:00:00Z"}){edges{node{id status function{name}}}}}`)
	for _, e := range d["runs"].(map[string]any)["edges"].([]any) {
		n := e.(map[string]any)["node"].(map[string]any)
		ids = append(ids, n["id"].(string))
		states = append(states, n["function"].(map[string]any)["name"].(string)+" "+n["status"].(string))
	}
	return ids, states
}

// await waits until the runs have these states.
func (s *scene) await(want ...string) (ids []string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		ids, got := s.runs()
		if strings.Join(got, ", ") == strings.Join(want, ", ") {
			return ids
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.t.Fatalf("the runs are %q, want %q", got, want)
		}
	}
}

// twoRuns: one run has failed for good, the other is in its second step.
func twoRuns(s *scene) {
	registered(s)
	s.send("approval/requested")
	<-s.worker.slow
	s.send("voice/missed")
	ids := s.await("approval-request RUNNING", "voice-missed-call FAILED")
	s.ids = append(s.ids, "01M840XYGH2XB1YS03V600M7TE", ids[0], "2026-11-22T10:58:54Z", "2000-01-01T00:00:00Z")
}

// killed: the worker was killed in the second step, and the next attempt is
// far away.
func killed(s *scene) {
	registered(s)
	s.send("approval/requested")
	<-s.worker.slow
	close(s.worker.killed)
	id := s.await("approval-request RUNNING")[0]
	s.ids = append(s.ids, "01M840ZAV0HWMM3NK2WY9JE23F", id)
	trace := s.until(id, `"status":"FAILED"`)
	s.ids = append(s.ids, recordedOutput(s.t), trace[len(trace)-1]["outputID"].(string))
}

// sleeping and waitingForEvent: a run that got to its pause and stays there.
func sleeping(s *scene) {
	s.paused(nap, "nap/wanted", "01M8HTYS7AHD9QDSXPPDEQ65FS", "01M8HTYS8BRGRZ113ZWFJP0M5D")
}

func waitingForEvent(s *scene) {
	s.paused(waitForAnswer, "invite/wanted", "01M8HTYS9YTE9GW60V81G14SPY", "01M8HTYSGADY3ANFP32ZWGBEPQ")
}

func (s *scene) paused(opcode, event string, recorded ...string) {
	s.t.Helper()
	s.worker.pause, s.event = opcode, event
	registered(s)
	s.send(event)
	id := s.await("approval-request RUNNING")[0]
	for _, r := range recorded {
		s.ids = append(s.ids, r, id)
	}
	s.until(id, `"status":"WAITING"`)
}

func recordedOutput(t *testing.T) string {
	var body struct{ Variables struct{ O string } }
	if err := json.Unmarshal(readRecording(t, "gql-span-output-worker-killed").Request.Body, &body); err != nil {
		t.Fatal(err)
	}
	return body.Variables.O
}

// until waits for something in a run's trace and returns the root's children.
func (s *scene) until(id, text string) []map[string]any {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		d := s.gql(fmt.Sprintf(`{runTrace(runID:%q){childrenSpans{name status outputID}}}`, id))
		raw, _ := json.Marshal(d)
		if strings.Contains(string(raw), text) {
			var all []map[string]any
			for _, c := range d["runTrace"].(map[string]any)["childrenSpans"].([]any) {
				all = append(all, c.(map[string]any))
			}
			return all
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.t.Fatalf("%s is not in %s", text, raw)
		}
	}
}

// recovered: the worker was killed in the second step, and a new worker
// finished the run.
func recovered(s *scene) {
	registered(s)
	s.register4()
	s.send("approval/requested")
	<-s.worker.slow
	s.worker.set(true)
	close(s.worker.killed)
	id := s.await("approval-request COMPLETED")[0]
	s.ids = append(s.ids, "01M8430SSHSGMKGH4TPESFMG8D", id)
}

// prefixed: one run has failed of a function whose id begins with its app's name.
func prefixed(s *scene) {
	s.register("sdk-put-in-band", "voice", "3111")
	s.send("voice/missed")
	s.await("voice-missed-call FAILED")
}

// connected: a worker in connect mode has registered.
func connected(s *scene) {
	body := `{"appName":"conn-app","url":"ws://connect?app_name=conn-app","deployType":"connect","sdk":"typescript:v3.54.2","capabilities":{"connect":"v1"},` +
		`"functions":[{"id":"conn-app-evt","name":"evt","triggers":[{"event":"evt/x"}],"steps":{"step":{"id":"step","name":"step","runtime":{"url":"ws://connect?app_name=conn-app"}}}}]}`
	req := httptest.NewRequestWithContext(s.t.Context(), http.MethodPost, "/fn/register", strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+recordedKey)
	w := httptest.NewRecorder()
	s.server.ServeHTTP(w, req)
	if w.Code != http.StatusOK {
		s.t.Fatalf("register: %d %s", w.Code, w.Body)
	}
}

// eight: these are the runs of the afternoon of the recordings, in their
// order.
func eight(s *scene) {
	registered(s)
	s.worker.set(true)
	s.send("approval/requested")
	s.await("approval-request COMPLETED")
	s.send("voice/missed")
	s.await("approval-request COMPLETED", "voice-missed-call FAILED")
	s.worker.set(false)
	s.send("approval/requested")
	<-s.worker.slow
	third := s.await("approval-request COMPLETED", "voice-missed-call FAILED", "approval-request RUNNING")[2]
	s.gql(fmt.Sprintf(`mutation{cancelRun(runID:%q){id}}`, third))
	s.worker.set(true)
	s.register4()
	before := []string{"approval-request COMPLETED", "voice-missed-call FAILED", "approval-request CANCELLED"}
	for range 2 { // their crons started them at the full hour
		s.gql(`mutation{invokeFunction(functionSlug:"system-bus-cluster-queue-observer")}`)
		before = append(before, "queue-observer COMPLETED")
		s.await(before...)
	}
	s.send("approval/requested")
	before = append(before, "approval-request COMPLETED")
	ids := s.await(before...)
	s.gql(fmt.Sprintf(`mutation{rerun(runID:%q)}`, ids[5]))
	before = append(before, "approval-request COMPLETED")
	s.await(before...)
	s.gql(`mutation{invokeFunction(functionSlug:"v4-worker-zero")}`)
	ids = s.await(append(before, "zero COMPLETED")...)
	s.ids = append(s.ids, "2026-11-22T11:35:13Z", "2000-01-01T00:00:00Z")
	d := s.gql(`{runs(first:2,orderBy:[{field:QUEUED_AT,direction:DESC}],filter:{from:"2000-01-01T00:00:00Z"}){pageInfo{endCursor}}}`)
	var body struct{ Variables struct{ A string } }
	if err := json.Unmarshal(readRecording(s.t, "gql-runs-page-2").Request.Body, &body); err != nil {
		s.t.Fatal(err)
	}
	s.ids = append(s.ids, body.Variables.A, d["runs"].(map[string]any)["pageInfo"].(map[string]any)["endCursor"].(string), ids[0], ids[0])
}
