package judge

import (
	"fmt"
	"slices"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

const (
	// cronGrace is what a scheduled run may be late: the server's own jitter
	// and a busy queue.
	CronGrace = 2 * time.Minute
	// cronHorizon bounds how far back schedules are looked at.
	cronHorizon = 8 * 24 * time.Hour
)

// LastDue are the last two times at which a trigger was due, the latest first;
// nil where it does not have a schedule, or has one that cannot be read here although
// the server accepted it.
func LastDue(t model.Trigger, now time.Time) []time.Time {
	if t.Cron == "" {
		return nil
	}
	s, err := parseCron(t.Cron)
	if err != nil {
		return nil
	}
	due := s.before(now.Add(-CronGrace), 2, cronHorizon)
	if len(due) < 2 {
		return nil
	}
	return due
}

// silentCrons finds functions of an app whose schedule passed twice without a
// run. runs are those since the horizon; since is when the app can have been
// registered with its present functions at the latest.
func silentCrons(a model.App, runs []model.Run, since, now time.Time) []string {
	var silent []string
	for _, f := range a.Functions {
		for _, t := range f.Triggers {
			due := LastDue(t, now)
			if due == nil || due[1].Before(since) {
				continue
			}
			ran := slices.ContainsFunc(runs, func(r model.Run) bool {
				return r.FunctionID == f.ID && r.Cron != "" && !r.Queued.Before(due[1].Add(-CronGrace))
			})
			if !ran {
				silent = append(
					silent,
					fmt.Sprintf("%s (%s) was due at %s and %s", f.Slug, t.Cron, due[1].UTC().Format(time.RFC3339), due[0].UTC().Format(time.RFC3339)),
				)
			}
		}
	}
	return silent
}

func cronFinding(silent []string) *pipeline.Finding {
	return &pipeline.Finding{
		Code: model.CodeCronsSilent, Severity: pipeline.Warning, Evidence: silent,
		What: fmt.Sprintf("%s did not run on schedule", Count(len(silent), "cron")),
		Why:  "the server re-reads schedules only when a registration changes something, so one that it lost stays lost",
		Fix:  "run `kubectl sbw refresh --resync`, which makes the registration a full one",
	}
}
