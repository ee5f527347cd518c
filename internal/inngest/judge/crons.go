package judge

import (
	"fmt"
	"slices"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

const (
	// cronGrace is how late a scheduled run may be, because of the server's
	// jitter and a busy queue.
	CronGrace = 2 * time.Minute
	// cronHorizon limits how far back schedules are checked.
	cronHorizon = 8 * 24 * time.Hour
)

// LastDue returns the last two times at which a trigger was due, the latest
// first. It returns nil if the trigger has no schedule, or one that cannot be
// read here although the server accepted it.
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

// Crons sorts the schedules of an app's functions by what its runs show. The
// server does not list what it has scheduled, so only a run proves it.
type Crons struct {
	Ran     []string // ran when they were due last
	Silent  []string // were due twice and did not run
	Unknown []string // have not been due since, or were late once
}

// JudgeCrons judges by runs, as ScheduledRuns gives them. since is when the server
// can have lost its schedules last: when the app got its present functions, or when
// the server started.
func JudgeCrons(a model.App, runs []model.Run, since, now time.Time) (c Crons) {
	for _, f := range a.Functions {
		for _, t := range f.Triggers {
			if t.Cron == "" {
				continue
			}
			ran := func(due time.Time) bool {
				return slices.ContainsFunc(runs, func(r model.Run) bool {
					return r.FunctionID == f.ID && r.Cron != "" && !r.Queued.Before(due.Add(-CronGrace))
				})
			}
			due := LastDue(t, now)
			switch line := fmt.Sprintf("%s (%s)", f.Slug, t.Cron); {
			case len(due) > 0 && due[0].After(since) && ran(due[0]):
				c.Ran = append(c.Ran, line)
			case len(due) > 1 && !due[1].Before(since) && !ran(due[1]):
				c.Silent = append(c.Silent, fmt.Sprintf("%s was due at %s and %s", line, utc(due[1]), utc(due[0])))
			default:
				if next, ok := nextDue(t, now); ok {
					line += " is due next at " + utc(next)
				}
				c.Unknown = append(c.Unknown, line)
			}
		}
	}
	return c
}

func utc(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// nextDue is when a trigger is due next, within the horizon.
func nextDue(t model.Trigger, now time.Time) (time.Time, bool) {
	s, err := parseCron(t.Cron)
	if err != nil {
		return time.Time{}, false
	}
	for next := now.In(s.zone).Truncate(time.Minute).Add(time.Minute); next.Before(now.Add(cronHorizon)); next = next.Add(time.Minute) {
		if s.matches(next) {
			return next, true
		}
	}
	return time.Time{}, false
}

// UnprovenCrons is the note about schedules of which nothing is known; nil when
// there are none.
func UnprovenCrons(unknown []string) *pipeline.Finding {
	if len(unknown) == 0 {
		return nil
	}
	return &pipeline.Finding{
		Code: model.CodeCronsUnproven, Severity: pipeline.Note, Evidence: unknown,
		What: fmt.Sprintf("it is not known whether the server has scheduled %s", Count(len(unknown), "cron")),
		Why:  "the server does not list its schedules, and they have not run since the app was registered or the server started",
		Fix:  "run `kubectl sbw status` after they were due; it reports crons that did not run",
	}
}

// OrphanedCrons finds scheduled runs of apps that are not registered: a server
// (1.43) that deletes an app goes on starting its crons.
func OrphanedCrons(apps []model.App, runs []model.Run) *pipeline.Finding {
	known := map[string]bool{}
	for _, a := range apps {
		known[a.ID] = true
	}
	count := map[string]int{}
	last := map[string]model.Run{}
	for _, r := range runs {
		if r.Cron == "" || known[r.AppID] {
			continue
		}
		name := r.Slug
		if name == "" {
			name = "function " + r.FunctionID
		}
		if count[name]++; !r.Queued.Before(last[name].Queued) {
			last[name] = r
		}
	}
	if len(count) == 0 {
		return nil
	}
	f := &pipeline.Finding{
		Code: model.CodeCronsOrphaned, Severity: pipeline.Warning,
		What: fmt.Sprintf("the server still starts %s of deleted apps", Count(len(count), "cron")),
		Why:  "deleting an app does not end the schedules of its functions on the server",
		Fix:  orphansFix,
	}
	for _, name := range model.SortedKeys(count) {
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s (%s): %s, the last at %s: %s",
			name, last[name].Cron, Count(count[name], "run"), utc(last[name].Queued), last[name].ID))
	}
	return f
}

const orphansFix = "restart the Inngest server, which forgets them unless its queue is in Redis, or register the app once more " +
	"without these functions; end runs that wait with `kubectl sbw runs --cancel RUN`"

// PrunedCrons is the warning about the schedules of apps that were deleted; nil
// when they have none.
func PrunedCrons(pruned []Stale) *pipeline.Finding {
	var crons []string
	for _, s := range pruned {
		for _, fn := range s.App.Functions {
			for _, t := range fn.Triggers {
				if t.Cron != "" {
					crons = append(crons, fmt.Sprintf("%s (%s)", fn.Slug, t.Cron))
				}
			}
		}
	}
	if len(crons) == 0 {
		return nil
	}
	return &pipeline.Finding{
		Code: model.CodeCronsOrphaned, Severity: pipeline.Warning, Evidence: crons,
		What: fmt.Sprintf("the server may still start %s of the deleted apps", Count(len(crons), "cron")),
		Why:  "deleting an app does not end the schedules of its functions on the server",
		Fix:  "run `kubectl sbw status` after they were due; if they still run, " + orphansFix,
	}
}

// SilentCrons is the warning about schedules that passed without a run; nil when
// there are none.
func SilentCrons(silent []string) *pipeline.Finding {
	if len(silent) == 0 {
		return nil
	}
	return &pipeline.Finding{
		Code: model.CodeCronsSilent, Severity: pipeline.Warning, Evidence: silent,
		What: fmt.Sprintf("%s did not run on schedule", Count(len(silent), "cron")),
		Why:  "the server re-reads schedules only when a registration changes something, so one that it lost stays lost",
		Fix:  "run `kubectl sbw refresh --resync`, which makes the registration a full one",
	}
}
