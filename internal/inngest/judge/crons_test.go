package judge

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
)

func TestJudgeCrons(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 30, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	day := 24 * time.Hour
	for name, c := range map[string]struct {
		cron  string
		ran   []time.Time
		since time.Time
		want  string
	}{
		"ran when last due":                 {"0 * * * *", []time.Time{ago(30 * time.Minute)}, ago(day), "ran"},
		"ran a little early":                {"0 * * * *", []time.Time{ago(30*time.Minute + 20*time.Millisecond)}, ago(day), "ran"},
		"was due twice and did not run":     {"0 * * * *", []time.Time{ago(5 * time.Hour)}, ago(day), "silent"},
		"missed its last time only":         {"0 * * * *", []time.Time{ago(90 * time.Minute)}, ago(day), "unknown"},
		"ran before the server started":     {"0 * * * *", []time.Time{ago(30 * time.Minute)}, ago(10 * time.Minute), "unknown"},
		"registered just now":               {"0 * * * *", nil, now, "unknown"},
		"due once since the server's start": {"0 * * * *", nil, ago(time.Hour), "unknown"},
		"yearly":                            {"0 0 1 1 *", nil, ago(30 * day), "unknown"},
		"in words that are not read here":   {"@every 5m", nil, ago(day), "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			a := model.App{Functions: []model.Function{{ID: "f", Slug: "app-f", Triggers: []model.Trigger{{Cron: c.cron}, {Event: "e"}}}}}
			var runs []model.Run
			for _, at := range c.ran {
				runs = append(runs, model.Run{FunctionID: "f", Cron: c.cron, Queued: at})
			}
			// A run by an event proves nothing.
			runs = append(runs, model.Run{FunctionID: "f", Event: "e", Queued: now})
			got := JudgeCrons(a, runs, c.since, now)
			for what, lines := range map[string][]string{"ran": got.Ran, "silent": got.Silent, "unknown": got.Unknown} {
				if (len(lines) == 1) != (what == c.want) {
					t.Errorf("%s: %q", what, lines)
				}
			}
			if c.want == "unknown" && c.cron == "0 * * * *" && !strings.Contains(got.Unknown[0], "due next at 2026-11-23T13:00:00Z") {
				t.Errorf("%q", got.Unknown)
			}
		})
	}
}

// TestOrphanedCrons reads what a real server lists after an app was deleted.
func TestOrphanedCrons(t *testing.T) {
	raw, err := os.ReadFile("testdata/gql-runs-crons-of-a-deleted-app.json")
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Response struct {
			Body struct {
				Data struct {
					Runs struct {
						Edges []struct {
							Node struct {
								ID, AppID, FunctionID, CronSchedule string
								Function                            struct{ Slug string }
							}
						}
					}
				}
			}
		}
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	var runs []model.Run
	for _, e := range r.Response.Body.Data.Runs.Edges {
		n := e.Node
		runs = append(runs, model.Run{ID: n.ID, AppID: n.AppID, FunctionID: n.FunctionID, Cron: n.CronSchedule, Slug: n.Function.Slug})
	}
	others := []model.App{{ID: "other"}}
	f := OrphanedCrons(others, runs)
	if f == nil || f.Code != model.CodeCronsOrphaned || len(f.Evidence) != 1 || !strings.HasPrefix(f.Evidence[0], "cronapp-every-minute (* * * * *): 1 run") {
		t.Fatalf("%v", f)
	}
	if f := OrphanedCrons(append(others, model.App{ID: runs[0].AppID}), runs); f != nil {
		t.Errorf("the app is registered: %v", f)
	}
	for i := range runs {
		runs[i].Cron = ""
	}
	if f := OrphanedCrons(others, runs); f != nil {
		t.Errorf("an event started them: %v", f)
	}
}
