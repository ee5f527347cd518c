package inngestd_test

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/joelhooks/gh-sbw/internal/sandbox/inngestd"
)

// TestRestart: a server that is restarted with the same file lists what the one
// before listed. The step that was executing is waited for, and its run does not go on.
func TestRestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state")
	synctest.Test(t, func(t *testing.T) {
		const register = `{"appName":"app","url":"http://w:1/api/inngest","deployType":"ping","sdk":"js:v3.54.2","functions":[` +
			`{"id":"app-slow","name":"slow","triggers":[{"event":"slow/wanted"}],"steps":{"step":{"id":"step","name":"step",` +
			`"runtime":{"url":"http://w:1/api/inngest?fnId=app-slow&stepId=step"}}}}]}`
		calls := 0
		worker := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			calls++
			w.Header().Set("X-Inngest-Sdk", "inngest-js:v3.54.2")
			<-time.After(20 * time.Second)
			stepRun(w, firstStep, "first", 1)
		})
		start := func() *inngestd.Server {
			return inngestd.New(inngestd.Options{File: file, HTTP: &http.Client{Transport: handled{worker}}})
		}
		ask := func(s *inngestd.Server, method, path, body string) string {
			w := httptest.NewRecorder()
			s.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
			return w.Body.String()
		}
		const state = `{"query":"{apps{id name url method checksum functions{id slug}} runs(first:5,orderBy:[{field:QUEUED_AT,direction:ASC}],` +
			`filter:{from:\"1990-01-01T00:00:00Z\"}){edges{node{id status function{slug}}}}}"}`
		first := start()
		if got := ask(first, "POST", "/fn/register", register); !strings.Contains(got, `"ok":true`) {
			t.Fatal(got)
		}
		ask(first, "POST", "/e/any", `{"name":"slow/wanted"}`)
		<-time.After(time.Second)
		began := time.Now()
		first.Drain()
		if took := time.Since(began); took != 19*time.Second {
			t.Errorf("it waited %s for the step", took)
		}
		first.Close()
		before := parsed([]byte(ask(first, "POST", "/v0/gql", state)))
		second := start()
		defer second.Close()
		if after := parsed([]byte(ask(second, "POST", "/v0/gql", state))); !reflect.DeepEqual(before, after) {
			t.Errorf("before %v\nafter %v", before, after)
		}
		<-time.After(time.Hour)
		if got := ask(second, "POST", "/v0/gql", state); calls != 1 || !strings.Contains(got, "RUNNING") {
			t.Errorf("%d calls: %s", calls, got)
		}
	})
}

// TestRestartPlansCrons: the next server runs the schedules of registered apps, and no
// longer those of deleted ones.
func TestRestartPlansCrons(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state")
	synctest.Test(t, func(t *testing.T) {
		worker := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Inngest-Sdk", "inngest-js:v3.54.2")
			_, _ = w.Write([]byte("null"))
		})
		start := func() *inngestd.Server {
			return inngestd.New(inngestd.Options{File: file, Crons: true, HTTP: &http.Client{Transport: handled{worker}}})
		}
		ask := func(s *inngestd.Server, path, body string) string {
			w := httptest.NewRecorder()
			s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader(body)))
			return w.Body.String()
		}
		first := start()
		for _, app := range []string{"kept", "deleted"} {
			register := strings.ReplaceAll(`{"appName":"APP","url":"http://APP:1/api/inngest","deployType":"ping","sdk":"js:v3.54.2","functions":[`+
				`{"id":"APP-tick","name":"tick","triggers":[{"cron":"* * * * *"}],"steps":{"step":{"id":"step","name":"step",`+
				`"runtime":{"url":"http://APP:1/api/inngest?fnId=APP-tick&stepId=step"}}}}]}`, "APP", app)
			if got := ask(first, "/fn/register", register); !strings.Contains(got, `"ok":true`) {
				t.Fatal(got)
			}
		}
		apps := ask(first, "/v0/gql", `{"query":"{apps{id name}}"}`)
		id := regexp.MustCompile(`"id":"([^"]+)","name":"deleted"`).FindStringSubmatch(apps)
		if id == nil {
			t.Fatal(apps)
		}
		ask(first, "/v0/gql", `{"query":"mutation{deleteApp(id:\"`+id[1]+`\")}"}`)
		count := func(s *inngestd.Server) (kept, deleted int) {
			runs := ask(s, "/v0/gql", `{"query":"{runs(first:100,orderBy:[{field:QUEUED_AT,direction:ASC}],filter:{from:\"1990-01-01T00:00:00Z\"}){edges{node{function{slug}}}}}"}`)
			return strings.Count(runs, `"kept-tick"`), strings.Count(runs, `"deleted-tick"`)
		}
		<-time.After(2*time.Minute + time.Second)
		if kept, deleted := count(first); kept < 2 || deleted < 2 {
			t.Fatalf("before the restart %d and %d runs", kept, deleted)
		}
		first.Close()
		second := start()
		defer second.Close()
		keptBefore, deletedBefore := count(second)
		<-time.After(2 * time.Minute)
		if kept, deleted := count(second); kept != keptBefore+2 || deleted != deletedBefore {
			t.Errorf("before the restart %d and %d runs, then %d and %d", keptBefore, deletedBefore, kept, deleted)
		}
	})
}

// handled is a transport that calls a handler.
type handled struct{ http.Handler }

func (h handled) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	resp := w.Result()
	resp.Request = r
	return resp, r.Context().Err()
}
