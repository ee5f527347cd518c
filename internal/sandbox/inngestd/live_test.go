package inngestd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/joelhooks/gh-sbw/internal/sandbox/inngestd"
	"github.com/joelhooks/gh-sbw/internal/sandbox/npmworkers"
	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

const signingKey = "signkey-test-0123456789abcdef0123456789abcdef"

// kit is a double that can start real workers which know its address.
type kit struct {
	t      *testing.T
	ctx    context.Context
	server *inngestd.Server
	url    string
	dir    string
}

func newKit(t *testing.T, o inngestd.Options) *kit {
	t.Helper()
	dir := filepath.Join(require.Dir(t), "npm")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	if err := npmworkers.Install(ctx, dir); err != nil {
		t.Fatal(err)
	}
	o.SigningKey, o.EventKeys = signingKey, []string{"evt"}
	s := inngestd.New(o)
	h := httptest.NewServer(s)
	t.Cleanup(func() { h.Close(); s.Close() })
	return &kit{t, ctx, s, h.URL, dir}
}

func (k *kit) worker(sdk string, argv []string, env map[string]string) *npmworkers.Process {
	k.t.Helper()
	all := map[string]string{
		"INNGEST_DEV": "0", "INNGEST_SIGNING_KEY": signingKey, "INNGEST_EVENT_KEY": "evt",
		"INNGEST_BASE_URL": k.url, "SLOW_MS": "1",
	}
	for name, v := range env {
		all[name] = v
	}
	p, err := npmworkers.Start(k.ctx, npmworkers.Options{Dir: k.dir, Name: sdk, Argv: argv, Env: all})
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(p.Kill)
	return p
}

// register lets the worker register itself, as it does when it starts.
func (k *kit) register(p *npmworkers.Process) string {
	k.t.Helper()
	req, err := http.NewRequestWithContext(k.ctx, http.MethodPut, p.URL()+"/api/inngest", nil)
	if err != nil {
		k.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		k.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return fmt.Sprintf("%d %s", resp.StatusCode, body)
}

func (k *kit) mustRegister(p *npmworkers.Process) {
	k.t.Helper()
	if got := k.register(p); !strings.Contains(got, "Successfully registered") {
		k.t.Fatalf("PUT: %s; the worker said %s", got, p.Output())
	}
}

func (k *kit) send(name string) {
	k.t.Helper()
	body, _ := json.Marshal(map[string]any{"name": name, "data": nil})
	resp, err := http.Post(k.url+"/e/evt", "application/json", bytes.NewReader(body))
	if err != nil {
		k.t.Fatal(err)
	}
	defer resp.Body.Close()
	var out struct{ IDs []string }
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || len(out.IDs) != 1 {
		k.t.Fatalf("event: %s %v", resp.Status, err)
	}
}

func (k *kit) query(q string, into any) {
	k.t.Helper()
	body, _ := json.Marshal(map[string]string{"query": q})
	resp, err := http.Post(k.url+"/v0/gql", "application/json", bytes.NewReader(body))
	if err != nil {
		k.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, _ := io.ReadAll(resp.Body)
	var out struct {
		Data   json.RawMessage
		Errors []any
	}
	if err := json.Unmarshal(raw, &out); err != nil || out.Errors != nil {
		k.t.Fatalf("%s: %s", q, raw)
	}
	if err := json.Unmarshal(out.Data, into); err != nil {
		k.t.Fatal(err)
	}
}

type runRow struct {
	ID, Status string
	Function   struct{ Slug string }
}

func (k *kit) runs() []runRow {
	k.t.Helper()
	var out struct {
		Runs struct{ Edges []struct{ Node runRow } }
	}
	k.query(`{runs(first:100,orderBy:[{field:QUEUED_AT,direction:ASC}],filter:{from:"2000-01-01T00:00:00Z"}){edges{node{id status function{slug}}}}}`, &out)
	var all []runRow
	for _, e := range out.Runs.Edges {
		all = append(all, e.Node)
	}
	return all
}

// until polls the server, as its users must; the ticker limits the load.
func (k *kit) until(what string, ok func() bool) {
	k.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-k.ctx.Done():
			k.t.Fatalf("waiting for %s: %v; runs %v", what, k.ctx.Err(), k.runs())
		}
	}
}

func (k *kit) ended(slug, status string) {
	k.t.Helper()
	k.until(slug+" "+status, func() bool {
		for _, r := range k.runs() {
			if r.Function.Slug == slug && r.Status == status {
				return true
			}
		}
		return false
	})
}

func eachWorker(t *testing.T, f func(t *testing.T, sdk string, argv []string)) {
	require.Dir(t)
	for name, argv := range map[string][]string{"bun": nil, "node": {require.Tool(t, "node")}} {
		for _, sdk := range []string{npmworkers.SDK3, npmworkers.SDK4} {
			t.Run(sdk+" under "+name, func(t *testing.T) { f(t, sdk, argv) })
		}
	}
}

const everything = "approval-request,voice-missed-call,queue-observer,napper,parallel,thrower,inviter"

// TestRuns lets workers with the real SDKs register and executes every kind of
// step that the double supports.
func TestRuns(t *testing.T) {
	eachWorker(t, func(t *testing.T, sdk string, argv []string) {
		k := newKit(t, inngestd.Options{Backoff: inngestd.Scaled(1000)})
		p := k.worker(sdk, argv, map[string]string{"FUNCTIONS": everything, "NAP": "50ms"})
		k.mustRegister(p)
		var apps struct {
			Apps []struct {
				Name, URL, Error string
				FunctionCount    int
			}
		}
		k.query(`{apps{name url error functionCount}}`, &apps)
		want := strings.Replace(p.URL(), "127.0.0.1", "localhost", 1) + "/api/inngest"
		// Two functions also have a failure handler.
		if len(apps.Apps) != 1 || apps.Apps[0].Name != "system-bus-cluster" || apps.Apps[0].URL != want || apps.Apps[0].FunctionCount != 9 {
			t.Fatalf("apps: %+v", apps.Apps)
		}

		k.send("approval/requested")
		k.ended("system-bus-cluster-approval-request", "COMPLETED")
		k.send("nap/wanted")
		k.ended("system-bus-cluster-napper", "COMPLETED")
		k.send("parallel/wanted")
		k.ended("system-bus-cluster-parallel", "COMPLETED")
		k.send("throw/wanted")
		k.ended("system-bus-cluster-thrower", "FAILED")
		k.ended("system-bus-cluster-thrower-failure", "COMPLETED")
		k.send("invite/wanted")
		k.until("the wait", func() bool {
			var trace struct {
				RunTrace struct {
					ChildrenSpans []struct{ Name, Status, StepOp string }
				}
			}
			for _, r := range k.runs() {
				if r.Function.Slug != "system-bus-cluster-inviter" {
					continue
				}
				k.query(fmt.Sprintf(`{runTrace(runID:%q){childrenSpans{name status stepOp}}}`, r.ID), &trace)
				for _, s := range trace.RunTrace.ChildrenSpans {
					if s.Status == "WAITING" && s.StepOp == "WAIT_FOR_EVENT" {
						return true
					}
				}
			}
			return false
		})
		k.send("invite/answered")
		k.ended("system-bus-cluster-inviter", "COMPLETED")

		count := map[string]int{}
		for _, l := range p.Lines() {
			if l.State == "began" {
				count[l.Step]++
			}
		}
		for step, n := range map[string]int{"first": 1, "slow": 1, "before": 1, "after": 1, "left": 1, "right": 1, "throw": 2, "answered": 1} {
			if count[step] != n {
				t.Errorf("step %s ran %d times, want %d", step, count[step], n)
			}
		}
	})
}
