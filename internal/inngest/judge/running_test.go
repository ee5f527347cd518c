package judge

import (
	"fmt"
	"testing"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// TestGhosts: a step that began before every live container cannot be running,
// and does not block.
func TestGhosts(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		began time.Duration // ago
		live  time.Duration // ago; negative when not known
		want  pipeline.Code
	}{
		"long before":                     {time.Hour, time.Minute, model.CodeStepGhost},
		"just before, within the skew":    {time.Minute + time.Second, time.Minute, model.CodeStepKilled},
		"after":                           {time.Minute, time.Hour, model.CodeStepKilled},
		"before, but who runs is unknown": {time.Hour, -1, model.CodeStepKilled},
		"nothing runs any more":           {time.Hour, 0, model.CodeStepGhost},
	} {
		e := Executing{Run: "r", Slug: "app-f", Step: "s", Since: now.Add(-c.began), Known: true}
		o := RestartOptions{Now: now}
		if c.live >= 0 {
			o.LiveSince = now.Add(-c.live)
		}
		all := JudgeRestart([]Executing{e}, o)
		if len(all) != 1 || all[0].Code != c.want {
			t.Errorf("%s: %v, want %s", name, all, c.want)
			continue
		}
		ghost := c.want == model.CodeStepGhost
		if blocks := all[0].Severity == pipeline.Error; blocks == ghost {
			t.Errorf("%s: severity %s", name, all[0].Severity)
		}
		if Idle([]Executing{e}, o) != ghost {
			t.Errorf("%s: idle is %t", name, !ghost)
		}
	}
}

// TestGroups: many steps of one function become one finding with each step as
// evidence.
func TestGroups(t *testing.T) {
	now := time.Now()
	var steps []Executing
	for i := range 12 {
		steps = append(steps, Executing{Run: fmt.Sprint(i), Slug: "app-many", Step: "s", Since: now, Retries: 4, Known: true})
	}
	steps = append(steps, Executing{Run: "k", Slug: "app-many", Step: "s", Since: now, Known: true}, Executing{Run: "o", Slug: "app-other", Step: "s", Since: now, Retries: 4, Known: true})
	all := JudgeRestart(steps, RestartOptions{Now: now})
	if len(all) != 3 {
		t.Fatalf("%d findings: %v", len(all), all)
	}
	if all[0].Code != model.CodeStepKilled {
		t.Errorf("the gravest is not first: %v", all[0])
	}
	n := map[string]int{}
	for _, f := range all[1:] {
		n[f.Where] = len(f.Evidence)
	}
	if n["app-many"] != 12 || n["app-other"] != 1 {
		t.Errorf("evidence %v", n)
	}
}

// span is a failed attempt that took so long.
func attempt(n int, began time.Time, took time.Duration, status model.RunStatus) model.Span {
	end := began.Add(took)
	return model.Span{Name: fmt.Sprintf("Attempt %d", n), Status: status, Attempts: n, Started: &began, Ended: &end, OutputID: "o"}
}

func TestCutAfter(t *testing.T) {
	at := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		took []time.Duration
		want time.Duration
	}{
		"Bun's default, each time":    {[]time.Duration{10 * time.Second, 12 * time.Second, 11 * time.Second}, 10 * time.Second},
		"Bun's longest":               {[]time.Duration{256 * time.Second, 255 * time.Second}, 255 * time.Second},
		"once":                        {[]time.Duration{10 * time.Second}, 0},
		"different times":             {[]time.Duration{10 * time.Second, 40 * time.Second}, 0},
		"refused connections":         {[]time.Duration{time.Millisecond, 2 * time.Millisecond}, 0},
		"one refused connection":      {[]time.Duration{10 * time.Second, time.Millisecond}, 0},
		"a worker killed at a moment": {[]time.Duration{10 * time.Second, time.Minute}, 0},
	} {
		group := model.Span{Name: "slow", Status: model.Failed}
		for i, d := range c.took {
			group.Children = append(group.Children, attempt(i, at.Add(time.Duration(i)*time.Minute), d, model.Failed))
		}
		trace := &model.Span{Name: "Run", Root: true, Status: model.Failed, Children: []model.Span{group}}
		run := WithTrace(model.Run{Status: model.Failed, Slug: "app-f"}, trace)
		if run.CutAfter != c.want {
			t.Errorf("%s: %s, want %s", name, run.CutAfter, c.want)
		}
		if run.Step != "slow" {
			t.Errorf("%s: the failed step is %q", name, run.Step)
		}
		run.Error = "Your server reset the connection while we were waiting for a response"
		found := Diagnose(State{Failed: []model.Run{run}})
		if has := hasCode(found, model.CodeStepCutOff); has != (c.want != 0) {
			t.Errorf("%s: reported: %t", name, has)
		}
		run.Error = "the user's own error"
		if hasCode(Diagnose(State{Failed: []model.Run{run}}), model.CodeStepCutOff) {
			t.Errorf("%s: an error of the function's own is reported as cut off", name)
		}
	}
}

func hasCode(all []*pipeline.Finding, code pipeline.Code) bool {
	for _, f := range all {
		if f.Code == code {
			return true
		}
	}
	return false
}

// TestFailing: a run that makes no progress counts as soon as its attempts
// fail.
func TestFailing(t *testing.T) {
	rolled := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		since  time.Time
		failed time.Duration // after the rollout
		err    string
		want   pipeline.Severity
		none   bool
	}{
		"long after the rollout":      {rolled, time.Hour, "Unable to reach SDK URL", pipeline.Error, false},
		"in the switch-over":          {rolled, time.Second, "Unable to reach SDK URL", pipeline.Warning, false},
		"before the rollout":          {rolled, -time.Hour, "Unable to reach SDK URL", pipeline.Warning, false},
		"the rollout is not known":    {time.Time{}, time.Hour, "Unable to reach SDK URL", pipeline.Warning, false},
		"an error of the function":    {rolled, time.Hour, "boom", 0, true},
		"a 503 of something in front": {rolled, time.Hour, "invalid status code: 503", pipeline.Error, false},
	} {
		run := model.Run{ID: "r", Slug: "app-f", Status: model.Running, FailedAt: rolled.Add(c.failed), Error: c.err}
		f := failingRuns([]model.Run{run}, c.since)
		if c.none {
			if f != nil {
				t.Errorf("%s: %v", name, f)
			}
			continue
		}
		if f == nil || f.Severity != c.want {
			t.Errorf("%s: %v, want %s", name, f, c.want)
		}
	}
}

// TestLostOnlyThisTime: runs that had failed before the switch are not
// reported as lost by it, however much the clocks differ.
func TestLostOnlyThisTime(t *testing.T) {
	at := time.Now()
	w := Window{From: at, To: at.Add(time.Minute), Failed: map[string]bool{"old": true}}.Widened()
	for id, want := range map[string]bool{"old": false, "new": true} {
		run := model.Run{ID: id, Status: model.Failed, Ended: at.Add(-10 * time.Second), Error: "Unable to reach SDK URL"}
		if _, got := Lost(run, w); got != want {
			t.Errorf("%s: lost is %t", id, got)
		}
	}
}

// TestUnknownSteps: a run without a trace stops a restart only if it could not survive
// it, is never a ghost, and is never idle.
func TestUnknownSteps(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	app := model.App{Functions: []model.Function{{ID: "1", Slug: "app-retried", Retries: 2}, {ID: "2", Slug: "app-zero"}}}
	for name, c := range map[string]struct {
		function string
		force    bool
		want     pipeline.Severity
	}{
		"a function with retries":            {"1", false, pipeline.Warning},
		"a function without":                 {"2", false, pipeline.Error},
		"a function without, with force":     {"2", true, pipeline.Warning},
		"a function that is not registered":  {"3", false, pipeline.Error},
		"a function with retries, and force": {"1", true, pipeline.Warning},
	} {
		e := UnknownStep(model.Run{ID: "r", FunctionID: c.function}, app)
		o := RestartOptions{Now: now, LiveSince: now, Force: c.force, MaxStepLoss: time.Hour}
		all := JudgeRestart([]Executing{e}, o)
		if len(all) != 1 || all[0].Code != model.CodeStepUnread || all[0].Severity != c.want || all[0].Fix == "" {
			t.Errorf("%s: %v", name, all)
		}
		if Idle([]Executing{e}, o) {
			t.Errorf("%s: it counts as idle", name)
		}
		if rows := RunningTable([]Executing{e}, now).Rows; len(rows) != 1 || rows[0][4] != "unknown" || rows[0][2] != "" {
			t.Errorf("%s: %q", name, rows)
		}
	}
}
