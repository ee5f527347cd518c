package judge

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
)

func TestUnfinishedFromRecordings(t *testing.T) {
	first := Step{"e0996a37c13d44c3b06074939d43fa3759bd32c1", "first", "RUN"}
	before := Step{"51de2b835bd35a67eb32dbcd3d77d4b96e5aa39d", "before", "RUN"}
	nap := Step{"c2640f79b4ed481b838ce4ad75330aa3f825d4d9", "nap", "SLEEP"}
	answer := Step{"25dc282b5a3dcba62a9a777a856c65dd8a4ae8c4", "answer", "WAIT_FOR_EVENT"}
	for name, want := range map[string]UnfinishedRun{
		"gql-run-trace-sleeping":               {State: RunWaiting, Finished: []Step{before}, Pending: []Step{nap}},
		"gql-run-trace-waiting":                {State: RunWaiting, Pending: []Step{answer}},
		"gql-run-trace-running":                {State: RunExecuting, Finished: []Step{first}},
		"gql-run-trace-worker-killed-mid-step": {State: RunRetrying, Finished: []Step{first}},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := Unfinished(model.Run{Status: model.Running}, recordedTrace(t, name))
			if !ok {
				t.Fatal("it has ended")
			}
			got.Run = model.Run{}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
	if u, ok := Unfinished(model.Run{Status: model.Running}, recordedTrace(t, "gql-run-trace-recovered")); ok {
		t.Errorf("a run that has ended is unfinished: %+v", u)
	}
}

func TestUnfinishedStates(t *testing.T) {
	at := func(status model.RunStatus, op, id string) model.Span {
		s := model.Span{Name: id, Status: status, StepOp: op, StepID: id}
		if status == model.Failed {
			s.Failure = "no"
		}
		return s
	}
	for name, c := range map[string]struct {
		spans             []model.Span
		state             RunState
		finished, pending string
	}{
		"nothing yet":       {nil, RunQueued, "", ""},
		"between two steps": {[]model.Span{at(model.Completed, "RUN", "a")}, RunBetween, "a", ""},
		"invoking":          {[]model.Span{at(model.Completed, "RUN", "a"), at(model.Running, "INVOKE", "b")}, RunWaiting, "a", "b"},
		"before a retry":    {[]model.Span{at(model.Failed, "RUN", "a")}, RunRetrying, "", "a"},
		"an attempt that failed, then one that succeeded": {[]model.Span{at(model.Failed, "RUN", "a"), at(model.Completed, "RUN", "a")}, RunBetween, "a", ""},
		"one ended, one sleeps":                           {[]model.Span{at("WAITING", "SLEEP", "b"), at(model.Completed, "RUN", "a")}, RunWaiting, "a", "b"},
		"below a group": {
			[]model.Span{{Name: "Execution", Status: model.Running, Children: []model.Span{at(model.Running, "RUN", "a")}}}, RunExecuting, "", "a",
		},
	} {
		t.Run(name, func(t *testing.T) {
			u, ok := Unfinished(model.Run{Status: model.Running}, &model.Span{Root: true, Status: model.Running, Children: c.spans})
			if !ok || u.State != c.state || ids(u.Finished) != c.finished || ids(u.Pending) != c.pending {
				t.Errorf("%+v", u)
			}
		})
	}
}

func ids(steps []Step) (all string) {
	for _, s := range steps {
		all += s.ID
	}
	return all
}
