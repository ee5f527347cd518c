package inngestd_test

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
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

// handled is a transport that calls a handler.
type handled struct{ http.Handler }

func (h handled) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	resp := w.Result()
	resp.Request = r
	return resp, r.Context().Err()
}
