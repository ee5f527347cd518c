package judge

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
)

// recordings is the directory of the recordings that the double is tested
// against.
const recordings = "../../sandbox/inngestd/testdata/recordings"

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

func recordedTrace(t testing.TB, name string) *model.Span {
	t.Helper()
	var body struct {
		Data struct{ RunTrace *model.Span }
	}
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
		t.Errorf("a killed step is shown as executing: %+v", now)
	}
	at := Position(killed)
	if at == nil || !at.Retrying || at.Executing || at.Step != "step after first" || at.Failed == nil || at.Failed.OutputID == "" {
		t.Errorf("killed: %+v", at)
	}

	recovered := recordedTrace(t, "gql-run-trace-recovered")
	if now := ExecutingNow(recovered); len(now) != 0 || Position(recovered) != nil {
		t.Errorf("recovered: %+v", now)
	}
	// According to the list, it ended when it was queued and started
	// immediately. The trace has the correct times.
	r := WithTrace(model.Run{Status: model.Completed}, recovered)
	if r.Started.Format(time.RFC3339Nano) != "2026-11-23T11:35:19.761Z" || r.Ended.Format(time.RFC3339Nano) != "2026-11-23T11:35:59.528Z" {
		t.Errorf("recovered: %s to %s", r.Started, r.Ended)
	}
	if r := WithTrace(model.Run{Status: model.Running}, running); !r.Ended.IsZero() || r.Step != "step after first" {
		t.Errorf("running: %+v", r)
	}
}

func TestPosition(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	span := func(name string, status model.RunStatus, op string, children ...model.Span) model.Span {
		s := model.Span{Name: name, Status: status, StepOp: op, Started: &at, Children: children}
		if op != "" {
			s.StepID = "id-" + name
		}
		if status == model.Failed {
			s.OutputID = "out"
		}
		return s
	}
	attempt := func(n int, status model.RunStatus) model.Span {
		s := span(fmt.Sprintf("Attempt %d", n), status, "")
		s.Attempts = n
		return s
	}
	done := span("first", model.Completed, "RUN")
	for name, c := range map[string]struct {
		children []model.Span
		want     string
	}{
		"queued":                          {nil, "nothing"},
		"first call":                      {[]model.Span{span("Execution", model.Running, "", attempt(0, model.Running))}, "executing first step 0"},
		"after a step":                    {[]model.Span{done, span("Execution", model.Running, "", attempt(0, model.Running))}, "executing step after first 0"},
		"between two calls":               {[]model.Span{done}, "idle step after first 0"},
		"a planned step, side by side":    {[]model.Span{span("left", model.Running, "RUN", attempt(0, model.Running)), span("right", model.Running, "RUN", attempt(1, model.Running))}, "executing left 0, right 1"},
		"a group without attempts shown":  {[]model.Span{span("left", model.Running, "RUN")}, "executing left 0"},
		"a second attempt":                {[]model.Span{done, span("Finalization", model.Running, "", attempt(0, model.Failed), attempt(1, model.Running))}, "executing step after first 1"},
		"before a second attempt":         {[]model.Span{done, span("Finalization", model.Failed, "", attempt(0, model.Failed)), span("executor.nonstep", model.Failed, "")}, "retrying step after first 0"},
		"before a second attempt, thrown": {[]model.Span{span("throw", model.Failed, "RUN", attempt(0, model.Failed)), span("throw", model.Failed, "RUN")}, "retrying throw 0"},
		"sleeping":                        {[]model.Span{done, span("nap", "WAITING", "SLEEP")}, "idle nap 0"},
		"waiting for an event":            {[]model.Span{done, span("answer", "WAITING", "WAIT_FOR_EVENT")}, "idle answer 0"},
		"invoking, which looks running":   {[]model.Span{done, span("other", model.Running, "INVOKE")}, "idle other 0"},
		"a gateway call of the server":    {[]model.Span{done, span("ask", model.Running, "AI_GATEWAY")}, "idle ask 0"},
		"sleeping beside a running step":  {[]model.Span{span("nap", "WAITING", "SLEEP"), span("work", model.Running, "RUN", attempt(0, model.Running))}, "executing work 0"},
		"a status that is not known":      {[]model.Span{done, span("x", "PONDERING", "RUN")}, "idle step after first 0"},
	} {
		root := &model.Span{Name: "Run", Status: model.Running, Root: true, Queued: at, Children: c.children}
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
		root.Status = model.Cancelled
		if len(ExecutingNow(root)) != 0 || Position(root) != nil {
			t.Errorf("%s: goes on after it was cancelled", name)
		}
	}
}

// FuzzTrace: reading any trace does not panic, and a run that has ended is
// never reported as executing.
func FuzzTrace(f *testing.F) {
	for _, name := range []string{"gql-run-trace-running", "gql-run-trace-worker-killed-mid-step", "gql-run-trace-recovered"} {
		raw, err := json.Marshal(recordedTrace(f, name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var s model.Span
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
		LastFailure(&s)
		WithTrace(model.Run{}, &s)
	})
}
