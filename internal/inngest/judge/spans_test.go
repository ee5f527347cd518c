package judge

import (
	"fmt"
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// begun makes a run of steps; those after a | are pending.
func begun(id, slug, steps string) UnfinishedRun {
	u := UnfinishedRun{Run: model.Run{ID: id, Slug: slug}}
	finished, pending, _ := strings.Cut(steps, "|")
	list := func(text string) (all []Step) {
		for id := range strings.FieldsSeq(text) {
			name, _, _ := strings.Cut(id, ":")
			all = append(all, Step{ID: StepHash(id), Name: name, Op: "RUN"})
		}
		return all
	}
	u.Finished, u.Pending = list(finished), list(pending)
	return u
}

func TestJudgeSpans(t *testing.T) {
	type sets = map[string]StepSet
	set := func(ids string) StepSet {
		text, open := strings.CutSuffix(ids, "+")
		return StepSet{IDs: strings.Fields(text), Open: open}
	}
	for name, c := range map[string]struct {
		runs    []UnfinishedRun
		notRead map[string]int
		next    sets
		// want are the findings: code, what, and runs or places.
		want []string
	}{
		"nothing unfinished":     {next: sets{"a": set("load")}},
		"all steps are there":    {runs: []UnfinishedRun{begun("1", "a", "load charge")}, next: sets{"a": set("load charge send")}},
		"nothing begun":          {runs: []UnfinishedRun{begun("1", "a", "")}},
		"a step that is renamed": {runs: []UnfinishedRun{begun("1", "a", "load charge"), begun("2", "a", "load charge"), begun("3", "a", "load charge"), begun("4", "a", "load")}, next: sets{"a": set("load charge-card send")}, want: []string{"inngest-step-gone: 3 runs of a have finished `charge`; the new version has no such step and would run `charge-card` [run 1 run 2 run 3]"}},
		"one run":                {runs: []UnfinishedRun{begun("1", "a", "charge")}, next: sets{"a": set("send")}, want: []string{"inngest-step-gone: 1 run of a has finished `charge`; the new version has no such step and would run `send` [run 1]"}},
		"no step is left":        {runs: []UnfinishedRun{begun("1", "a", "charge")}, next: sets{"a": set("")}, want: []string{"inngest-step-gone: 1 run of a has finished `charge`; the new version has no such step [run 1]"}},
		"runs that differ":       {runs: []UnfinishedRun{begun("1", "a", "charge"), begun("2", "a", "charge load")}, next: sets{"a": set("load send")}, want: []string{"inngest-step-gone: 2 runs of a have finished `charge`; the new version has no such step [run 1 run 2]"}},
		"a sleep that is gone":   {runs: []UnfinishedRun{begun("1", "a", "load|nap")}, next: sets{"a": set("load rest")}, want: []string{"inngest-step-gone: 1 run of a is in `nap`; the new version has no such step and would run `rest` [run 1]"}},
		"two steps":              {runs: []UnfinishedRun{begun("1", "a", "x y")}, next: sets{"a": set("z")}, want: []string{"inngest-step-gone: 1 run of a has finished `x`; the new version has no such step and would run `z` [run 1]", "inngest-step-gone: 1 run of a has finished `y`; the new version has no such step and would run `z` [run 1]"}},
		"an id that is repeated": {runs: []UnfinishedRun{begun("1", "a", "item item:1 item:2")}, next: sets{"a": set("item")}},
		"an id beyond the count": {runs: []UnfinishedRun{begun("1", "a", "item:7")}, next: sets{"a": set("item")}, want: []string{"inngest-step-gone: 1 run of a has finished `item`; the new version has no such step and would run `item` [run 1]"}},
		"another function's":     {runs: []UnfinishedRun{begun("1", "a", "load"), begun("2", "b", "load")}, next: sets{"a": set("load"), "b": set("x")}, want: []string{"inngest-step-gone: 1 run of b has finished `load`; the new version has no such step and would run `x` [run 2]"}},

		"some steps are unknown, and all known ones are there": {runs: []UnfinishedRun{begun("1", "a", "load")}, next: sets{"a": set("load+")}},
		"some steps are unknown, and one is missing":           {runs: []UnfinishedRun{begun("1", "a", "load item-3")}, next: sets{"a": set("load+")}, want: []string{"inngest-steps-unknown: it is not known whether the new version has all steps that 1 unfinished run began [1 run of a: not all steps of this function are known from its source]"}},
		"not recorded": {runs: []UnfinishedRun{begun("1", "a", "load"), begun("2", "a", "load"), begun("3", "b", "load")}, next: sets{"b": set("load")}, want: []string{"inngest-steps-unknown: it is not known whether the new version has all steps that 2 unfinished runs began [2 runs of a: the image does not record the steps of this function]"}},
		"not read":     {notRead: map[string]int{"b": 1, "a": 4}, next: sets{"a": set("load"), "b": set("load")}, want: []string{"inngest-steps-unknown: it is not known whether the new version has all steps that 5 unfinished runs began [4 runs of a: the steps were not read from the server 1 run of b: the steps were not read from the server]"}},
		"some of each": {runs: []UnfinishedRun{begun("1", "a", "charge"), begun("2", "b", "x")}, notRead: map[string]int{"a": 1}, next: sets{"a": set("send")}, want: []string{
			"inngest-step-gone: 1 run of a has finished `charge`; the new version has no such step and would run `send` [run 1]",
			"inngest-steps-unknown: it is not known whether the new version has all steps that 2 unfinished runs began [1 run of b: the image does not record the steps of this function 1 run of a: the steps were not read from the server]",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, f := range JudgeSpans(c.runs, c.notRead, c.next) {
				got = append(got, fmt.Sprintf("%s: %s %v", f.Code, f.What, f.Evidence))
				want := map[pipeline.Code]pipeline.Severity{model.CodeStepGone: pipeline.Warning, model.CodeStepsUnknown: pipeline.Note}
				if f.Severity != want[f.Code] {
					t.Errorf("%s is %v", f.Code, f.Severity)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// TestStepHash compares with ids that a real server has recorded.
func TestStepHash(t *testing.T) {
	for id, want := range map[string]string{
		"first": "e0996a37c13d44c3b06074939d43fa3759bd32c1",
		"slow":  "57e8a7776d6892a83f2a49678f8141f4fb883e62",
	} {
		if got := StepHash(id); got != want {
			t.Errorf("%s: %s, want %s", id, got, want)
		}
	}
}
