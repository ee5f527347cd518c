package judge

import (
	"github.com/robfig/cron/v3"
	"testing"
	"time"
)

func TestCronBefore(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 30, 30, 0, time.UTC) // a Monday
	for text, want := range map[string]string{
		"* * * * *":                        "2026-11-23T12:30:00Z",
		"0 * * * *":                        "2026-11-23T12:00:00Z",
		"*/20 * * * *":                     "2026-11-23T12:20:00Z",
		"5-10/2 8,9 * * *":                 "2026-11-23T09:09:00Z",
		"0 0 * * SUN":                      "2026-11-22T00:00:00Z",
		"0 0 * * 7":                        "2026-11-22T00:00:00Z",
		"0 0 20 nov *":                     "2026-11-20T00:00:00Z",
		"0 0 18 * FRI":                     "2026-11-20T00:00:00Z", // either day
		"@hourly":                          "2026-11-23T12:00:00Z",
		"@daily":                           "2026-11-23T00:00:00Z",
		"TZ=America/Los_Angeles 0 0 * * *": "2026-11-23T08:00:00Z",
		"CRON_TZ=Europe/Berlin 0 9 * * *":  "2026-11-23T08:00:00Z",
	} {
		s, err := parseCron(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := s.before(now, 1, cronHorizon)
		if len(got) != 1 || got[0].UTC().Format(time.RFC3339) != want {
			t.Errorf("%s: %v, want %s", text, got, want)
		}
	}
	if s, _ := parseCron("0 0 1 1 *"); len(s.before(now, 2, cronHorizon)) != 0 {
		t.Error("it looks beyond the horizon")
	}
	for _, text := range []string{"", "* * * *", "60 * * * *", "* 24 * * *", "5-1 * * * *", "*/0 * * * *", "x * * * *", "TZ=Nowhere/Land * * * * *", "@never"} {
		if _, err := parseCron(text); err == nil {
			t.Errorf("%q is taken for a cron", text)
		}
	}
}

// FuzzCron compares with the library that the server uses for schedules: if
// both accept an expression, the last due time before a time must be the next
// due time after the minute before it.
func FuzzCron(f *testing.F) {
	for _, seed := range []string{"* * * * *", "0 0 * * SUN", "*/7 3-9/2 1,15 * 1-5", "@weekly", "TZ=UTC 5 4 * * *", "0 0 31 2 *", "? ? ? ? ?"} {
		f.Add(seed)
	}
	now := time.Date(2026, 11, 23, 12, 30, 30, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		mine, err := parseCron(text)
		if err != nil {
			return
		}
		theirs, err := cron.ParseStandard(text)
		if err != nil {
			return
		}
		for _, at := range mine.before(now, 3, 48*time.Hour) {
			from := at.Add(-time.Second)
			if spec, ok := theirs.(*cron.SpecSchedule); ok && spec.Location == time.Local {
				spec.Location = time.UTC // the server's zone
			}
			if next := theirs.Next(from); !next.Equal(at) {
				t.Errorf("%q: found %s, the library says %s", text, at, next)
			}
		}
	})
}
