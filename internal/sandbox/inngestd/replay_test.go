package inngestd_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/joelhooks/gh-sbw/internal/sandbox/inngestd"
)

// recording is one exchange with the real server or a real worker.
type recording struct {
	Note    string
	Request struct {
		Method, URL string
		Headers     map[string]string
		Body        json.RawMessage
	}
	Response struct {
		Status  int
		Headers map[string]string
		Body    any
	}
}

func readRecording(t *testing.T, name string) recording {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "recordings", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var r recording
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// state brings a scene into the state in which a recording was made.
type state func(s *scene)

// states lists the state of every recording of the server. The recordings of
// workers (sdk…) are replayed with real ones in replay_sdk_test.go.
var states = map[string]state{
	"health":                               func(s *scene) {},
	"event-approval":                       registered,
	"event-voice-missed":                   registered,
	"event-bad-key":                        registered,
	"event-none":                           registered,
	"gql-type-app":                         registered,
	"gql-type-function":                    registered,
	"gql-error-syntax":                     registered,
	"gql-error-unknown-field":              registered,
	"gql-apps":                             registered,
	"gql-functions":                        registered,
	"v1-app-functions":                     registered,
	"v1-app-functions-unauthorized":        registered,
	"v2-apps":                              registered,
	"v2-runs":                              registered,
	"v2-runs-of-an-app":                    prefixed,
	"v0-connect-conns-none":                registered,
	"v0-connect-conns-unauthorized":        registered,
	"v0-connect-conns":                     connected,
	"gql-apps-worker-down":                 func(s *scene) { registered(s); s.worker.down = true },
	"gql-apps-two":                         both,
	"gql-delete-app":                       both,
	"gql-delete-app-unknown":               both,
	"gql-apps-after-delete":                func(s *scene) { both(s); s.replay("gql-delete-app") },
	"gql-create-app-unreachable":           registered,
	"gql-apps-unreachable":                 func(s *scene) { registered(s); s.replay("gql-create-app-unreachable") },
	"gql-runs-all":                         twoRuns,
	"gql-runs-running":                     twoRuns,
	"gql-runs-failed":                      twoRuns,
	"gql-run-trace-running":                twoRuns,
	"gql-run-trace-worker-killed-mid-step": killed,
	"gql-span-output-worker-killed":        killed,
	"gql-cancel-run":                       killed,
	"gql-cancel-run-again":                 func(s *scene) { killed(s); s.replay("gql-cancel-run") },
	"gql-cancel-run-unknown":               registered,
	"gql-rerun-unknown":                    registered,
	"v2-run-cancel-unknown":                registered,
	"v1-app-functions-unknown-app":         registered,
	"gql-run-trace-unknown":                registered,
	"v2-run-trace-unknown":                 registered,
	"gql-run-trace-sleeping":               sleeping,
	"v2-run-trace-sleeping":                sleeping,
	"gql-run-trace-waiting":                waitingForEvent,
	"v2-run-trace-waiting":                 waitingForEvent,
	"gql-functions-v3-and-v4":              func(s *scene) { registered(s); s.register4() },
	"gql-run-trace-recovered":              recovered,
	"gql-rerun":                            recovered,
	"gql-invoke":                           recovered,
	"gql-runs-page-1":                      eight,
	"gql-runs-page-2":                      eight,
	"gql-runs-first-400":                   eight,
}

func TestEveryRecordingHasAState(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "recordings", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatal("no recordings", err)
	}
	seen := map[string]bool{}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".json")
		seen[name] = true
		_, server := states[name]
		_, sdk := sdkRecordings[name]
		if !server && !sdk {
			t.Errorf("%s: the table of states has no entry for it", name)
		}
	}
	for name := range states {
		if !seen[name] {
			t.Errorf("%s: no such recording", name)
		}
	}
	for name := range sdkRecordings {
		if !seen[name] {
			t.Errorf("%s: no such recording", name)
		}
	}
}

func TestReplay(t *testing.T) {
	for name, build := range states {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			build(s)
			s.replay(name)
		})
	}
}

// headersThatMatter are the headers in which clients can see a difference.
var headersThatMatter = []string{"Content-Type", "Vary", "X-Inngest-Server-Kind", "X-Content-Type-Options"}

// replay sends a recorded request and compares the answer with the recorded
// one.
func (s *scene) replay(name string) {
	s.t.Helper()
	r := readRecording(s.t, name)
	body := s.actual(string(r.Request.Body))
	if body == "null" {
		body = ""
	}
	path := strings.TrimPrefix(r.Request.URL, "http://127.0.0.1:8288")
	req := httptest.NewRequestWithContext(s.t.Context(), r.Request.Method, s.actual(path), strings.NewReader(body))
	for k, v := range r.Request.Headers {
		req.Header.Set(k, s.actual(v))
	}
	w := httptest.NewRecorder()
	s.server.ServeHTTP(w, req)
	resp := w.Result()
	if resp.StatusCode != r.Response.Status {
		s.t.Errorf("%s: status %d, recorded %d: %s", name, resp.StatusCode, r.Response.Status, w.Body)
	}
	for _, h := range headersThatMatter {
		if got, want := resp.Header.Get(h), r.Response.Headers[h]; got != want {
			s.t.Errorf("%s: %s: %q, recorded %q", name, h, got, want)
		}
	}
	if diff := cmp.Diff(normal(r.Response.Body), normal(parsed(w.Body.Bytes()))); diff != "" {
		s.t.Errorf("%s: body (-recorded +double):\n%s", name, diff)
	}
}

func parsed(body []byte) any {
	var v any
	if json.Unmarshal(body, &v) != nil {
		return string(body)
	}
	return v
}

var (
	aTime     = regexp.MustCompile(`^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`)
	aULID     = regexp.MustCompile(`^[0-7][0-9A-HJKMNP-TV-Z]{25}$`)
	aChecksum = regexp.MustCompile(`^[0-9a-f]{64}$`)
	aSpanID   = regexp.MustCompile(`^[0-9a-f]{16}$`)
)

// normal replaces values that differ between any two runs: times, ULIDs, span
// ids, checksums and durations. Ids of apps and functions are derived from
// names and must be the same.
func normal(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, one := range v {
			if _, several := one.([]any); several && k == "metadata" {
				continue // a span's: how the request's time was spent, in the server's own words
			}
			if (k == "duration" || k == "durationMs") && one != nil {
				one = "<milliseconds>"
			}
			if k == "seconds" || k == "nanos" || k == "mem_bytes" {
				one = "<number>" // of the machine and the moment
			}
			out[k] = normal(one)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, one := range v {
			out[i] = normal(one)
		}
		return out
	case float64:
		switch {
		case v > 1e15:
			return "<microseconds>" // inside cursors
		case v > 1e12:
			return "<milliseconds since 1970>" // inside events
		}
	case string:
		switch {
		case aTime.MatchString(v):
			return "<time>"
		case aULID.MatchString(v):
			return "<ulid>"
		case aChecksum.MatchString(v):
			return "<checksum>"
		case aSpanID.MatchString(v):
			return "<span>"
		}
		if raw, err := base64.StdEncoding.DecodeString(v); err == nil && bytes.HasPrefix(raw, []byte("{")) {
			return normal(parsed(raw))
		}
	}
	return v
}

var _ http.Handler = (*inngestd.Server)(nil)
