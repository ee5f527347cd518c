package inngest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// recordings are those that the double is held to.
const recordings = "../sandbox/inngestd/testdata/recordings"

// recorded reads the body of a recorded response.
func recorded(t testing.TB, name string, into any) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(recordings, name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Response struct{ Body json.RawMessage }
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(r.Response.Body, into); err != nil {
		t.Fatal(err)
	}
}

func recordedTrace(t testing.TB, name string) *Span {
	t.Helper()
	var body struct{ Data struct{ RunTrace *Span } }
	recorded(t, name, &body)
	return body.Data.RunTrace
}

func TestRecordedTraces(t *testing.T) {
	running := recordedTrace(t, "gql-run-trace-running")
	now := ExecutingNow(running)
	if len(now) != 1 || now[0].Step != "step after first" || now[0].Attempt != 0 || now[0].Since.Format(time.RFC3339Nano) != "2026-11-23T10:58:49.265Z" {
		t.Errorf("running: %+v", now)
	}

	killed := recordedTrace(t, "gql-run-trace-worker-killed-mid-step")
	if now := ExecutingNow(killed); len(now) != 0 {
		t.Errorf("killed: %+v executes", now)
	}
	at := Position(killed)
	if at == nil || !at.Retrying || at.Executing || at.Step != "step after first" || at.Failed == nil || at.Failed.OutputID == "" {
		t.Errorf("killed: %+v", at)
	}

	recovered := recordedTrace(t, "gql-run-trace-recovered")
	if now := ExecutingNow(recovered); len(now) != 0 || Position(recovered) != nil {
		t.Errorf("recovered: %+v", now)
	}
	// The list says that it ended when it was queued and started at once; the
	// trace knows better.
	r := withTrace(Run{Status: Completed}, recovered)
	if r.Started.Format(time.RFC3339Nano) != "2026-11-23T11:35:19.761Z" || r.Ended.Format(time.RFC3339Nano) != "2026-11-23T11:35:59.528Z" {
		t.Errorf("recovered: %s to %s", r.Started, r.Ended)
	}
	if r := withTrace(Run{Status: Running}, running); !r.Ended.IsZero() || r.Step != "step after first" {
		t.Errorf("running: %+v", r)
	}
}

func TestPosition(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	span := func(name string, status RunStatus, op string, children ...Span) Span {
		s := Span{Name: name, Status: status, StepOp: op, Started: &at, Children: children}
		if op != "" {
			s.StepID = "id-" + name
		}
		if status == Failed {
			s.OutputID = "out"
		}
		return s
	}
	attempt := func(n int, status RunStatus) Span {
		s := span(fmt.Sprintf("Attempt %d", n), status, "")
		s.Attempts = n
		return s
	}
	done := span("first", Completed, "RUN")
	for name, c := range map[string]struct {
		children []Span
		want     string
	}{
		"queued":                          {nil, "nothing"},
		"first call":                      {[]Span{span("Execution", Running, "", attempt(0, Running))}, "executing first step 0"},
		"after a step":                    {[]Span{done, span("Execution", Running, "", attempt(0, Running))}, "executing step after first 0"},
		"between two calls":               {[]Span{done}, "idle step after first 0"},
		"a planned step, side by side":    {[]Span{span("left", Running, "RUN", attempt(0, Running)), span("right", Running, "RUN", attempt(1, Running))}, "executing left 0, right 1"},
		"a group without attempts shown":  {[]Span{span("left", Running, "RUN")}, "executing left 0"},
		"a second attempt":                {[]Span{done, span("Finalization", Running, "", attempt(0, Failed), attempt(1, Running))}, "executing step after first 1"},
		"before a second attempt":         {[]Span{done, span("Finalization", Failed, "", attempt(0, Failed)), span("executor.nonstep", Failed, "")}, "retrying step after first 0"},
		"before a second attempt, thrown": {[]Span{span("throw", Failed, "RUN", attempt(0, Failed)), span("throw", Failed, "RUN")}, "retrying throw 0"},
		"sleeping":                        {[]Span{done, span("nap", "WAITING", "SLEEP")}, "idle nap 0"},
		"waiting for an event":            {[]Span{done, span("answer", "WAITING", "WAIT_FOR_EVENT")}, "idle answer 0"},
		"invoking, which looks running":   {[]Span{done, span("other", Running, "INVOKE")}, "idle other 0"},
		"a gateway call of the server":    {[]Span{done, span("ask", Running, "AI_GATEWAY")}, "idle ask 0"},
		"sleeping beside a running step":  {[]Span{span("nap", "WAITING", "SLEEP"), span("work", Running, "RUN", attempt(0, Running))}, "executing work 0"},
		"a status that is not known":      {[]Span{done, span("x", "PONDERING", "RUN")}, "idle step after first 0"},
	} {
		root := &Span{Name: "Run", Status: Running, Root: true, Queued: at, Children: c.children}
		got := "nothing"
		if w := Position(root); w != nil {
			switch {
			case w.Executing:
				got = "executing "
				for i, e := range ExecutingNow(root) {
					if i > 0 {
						got += ", "
					}
					got += fmt.Sprintf("%s %d", e.Step, e.Attempt)
				}
			case w.Retrying:
				got = fmt.Sprintf("retrying %s %d", w.Step, w.Attempt)
			default:
				got = fmt.Sprintf("idle %s %d", w.Step, w.Attempt)
			}
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		root.Status = Cancelled
		if len(ExecutingNow(root)) != 0 || Position(root) != nil {
			t.Errorf("%s: goes on after it was cancelled", name)
		}
	}
}

// FuzzTrace reads any trace without falling over, and never calls a run that
// has ended one that executes.
func FuzzTrace(f *testing.F) {
	for _, name := range []string{"gql-run-trace-running", "gql-run-trace-worker-killed-mid-step", "gql-run-trace-recovered"} {
		raw, err := json.Marshal(recordedTrace(f, name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var s Span
		if json.Unmarshal(raw, &s) != nil {
			return
		}
		now, at := ExecutingNow(&s), Position(&s)
		if s.Status.Ended() && (len(now) > 0 || at != nil) {
			t.Errorf("an ended run executes %v, is at %v", now, at)
		}
		if len(now) > 0 && (at == nil || !at.Executing) {
			t.Errorf("executes %v, yet is at %v", now, at)
		}
		lastFailure(&s)
		withTrace(Run{}, &s)
	})
}

func TestRecordedFunctions(t *testing.T) {
	var body struct {
		Data struct{ Functions []gqlFunction }
	}
	recorded(t, "gql-functions-v3-and-v4", &body)
	var viaREST []struct {
		ID     string
		Name   string
		Config storedFunction
	}
	recorded(t, "v1-app-functions", &viaREST)
	var graph, rest []Function
	for _, f := range body.Data.Functions {
		graph = append(graph, f.function("system-bus-cluster"))
	}
	for _, r := range viaREST {
		f := Function{Slug: r.ID, Name: r.Name, App: "system-bus-cluster"}
		r.Config.fill(&f)
		rest = append(rest, f)
	}
	if d := Compare(rest, graph[:4]); !d.Empty() || len(d.Kept) != 4 {
		t.Errorf("GraphQL and REST differ: %+v", d)
	}
	retries := map[string]int{}
	for _, f := range graph {
		retries[f.Slug] = f.Retries
	}
	want := map[string]int{
		"system-bus-cluster-approval-request": 2, "system-bus-cluster-queue-observer": 4, "system-bus-cluster-queue-observer-failure": 1,
		"system-bus-cluster-voice-missed-call": 0, "v4-worker-approval-request": 2, "v4-worker-hourly": 4, "v4-worker-zero": 0,
	}
	if fmt.Sprint(retries) != fmt.Sprint(want) {
		t.Errorf("retries %v", retries)
	}
	if got := graph[6].Concurrency; len(got) != 1 || got[0] != (Concurrency{Scope: "FUNCTION", Limit: 2}) {
		t.Errorf("concurrency %v", got)
	}
	if graph[0].Concurrency != nil {
		t.Errorf("the server's own limit is shown: %v", graph[0].Concurrency)
	}
}
