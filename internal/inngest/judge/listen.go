package judge

import (
	"slices"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/units"
)

// JudgeEvent returns the error for an event that triggers no function, or nil.
func JudgeEvent(app string, functions []model.Function, event string) error {
	var events []string
	for _, f := range functions {
		for _, t := range f.Triggers {
			prefix, wild := strings.CutSuffix(t.Event, "*")
			if t.Event != "" && (t.Event == event || wild && strings.HasPrefix(event, prefix)) {
				return nil
			}
			if t.Event != "" && !f.IsFailureHandler() {
				events = append(events, t.Event)
			}
		}
	}
	slices.Sort(events)
	fix := "send one of: " + units.List(slices.Compact(events))
	if len(events) == 0 {
		fix = "give --confirm-run only for a worker with a function that listens to an event"
	}
	return pipeline.UsageErrorf(model.CodeConfirmEvent, fix, "no function of %s listens to the event %q", app, event)
}
