package judge

import (
	"fmt"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// ZeroRetryFindings reports the functions without retries: a restart kills
// their running steps for good. Generated failure handlers have one retry and
// are not checked. allowed maps exceptions, by function id with or without the
// app's name, to their reasons.
func ZeroRetryFindings(functions []model.Function, allowed map[string]string) []*pipeline.Finding {
	var all []*pipeline.Finding
	for _, f := range model.BySlug(functions) {
		if f.Retries != 0 || f.IsFailureHandler() {
			continue
		}
		reason := allowed[f.LocalID()]
		if reason == "" {
			reason = allowed[f.Slug]
		}
		if reason != "" {
			all = append(all, &pipeline.Finding{
				Code: model.CodeZeroRetriesAllowed, Severity: pipeline.Note, Where: f.Slug,
				What: fmt.Sprintf("%s has retries 0, as allowed", f.Slug), Why: reason,
			})
			continue
		}
		all = append(all, &pipeline.Finding{
			Code: model.CodeZeroRetries, Severity: pipeline.Error, Where: f.Slug,
			What: fmt.Sprintf("%s has retries 0", f.Slug), Why: "if its pod is replaced while a step runs, the run fails for good",
			Fix: fmt.Sprintf("set retries: 2 on it, or allow it with a reason in .sbw.yaml: allow.zeroRetries.%s", f.LocalID()),
		})
	}
	return all
}
