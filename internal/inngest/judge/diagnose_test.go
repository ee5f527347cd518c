package judge

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

func TestDiagnose(t *testing.T) {
	good := anApp("c", "system-bus-cluster", here, "a")
	failed := func(err string) []model.Run {
		return []model.Run{{ID: "r", Slug: "system-bus-cluster-a", Status: model.Failed, Error: err}}
	}
	with := func(change func(a *model.App)) []model.App {
		a := good
		a.Functions = slices.Clone(good.Functions)
		change(&a)
		return []model.App{a}
	}
	now := time.Date(2026, 11, 23, 12, 30, 0, 0, time.UTC)
	hourly := with(func(a *model.App) { a.Functions[0].Triggers = []model.Trigger{{Cron: "0 * * * *"}} })
	ran := func(at time.Time) []model.Run { return []model.Run{{FunctionID: "c/a", Cron: "0 * * * *", Queued: at}} }
	for name, c := range map[string]struct {
		state State
		codes string
		says  string
	}{
		"all well":                              {State{Apps: []model.App{good}}, "", ""},
		"a foreign app beside it":               {State{Apps: []model.App{good, anApp("h", "system-bus-host", host, "b")}}, "", ""},
		"not registered":                        {State{}, "inngest-not-registered", "refresh"},
		"not registered after success":          {State{Registered: &model.Registration{Status: 200, Message: model.RegisteredMessage}, Served: &model.Served{Functions: good.Functions, Inspection: model.Inspection{APIOrigin: "http://other:8288"}}}, "inngest-not-registered", "registers with http://other:8288"},
		"registered under another name":         {State{Apps: []model.App{anApp("x", "former", here, "a")}}, "inngest-not-registered", "at http://system-bus-worker:3111/api/inngest it has former"},
		"no functions":                          {State{Apps: []model.App{good}, Served: &model.Served{}}, "inngest-no-functions", ""},
		"no functions, according to the server": {State{Apps: with(func(a *model.App) { a.Error = "no_functions" })}, "inngest-no-functions", ""},
		"wrong key, according to the server":    {State{Apps: with(func(a *model.App) { a.Error = "invalid_signing_key" })}, "inngest-wrong-signing-key", "INNGEST_SIGNING_KEY"},
		"wrong key, according to the runs":      {State{Apps: []model.App{good}, Failed: failed("Your server returned HTTP 401 before the SDK responded.")}, "inngest-wrong-signing-key", ""},
		"unreachable, according to the server":  {State{Apps: with(func(a *model.App) { a.Error = "unreachable" })}, "inngest-app-unreachable", ""},
		"unreachable, according to the runs":    {State{Apps: []model.App{good}, Failed: failed("Unable to reach SDK URL")}, "inngest-sdk-unreachable", "ready"},
		"an error of its own":                   {State{Apps: []model.App{good}, Failed: failed("thrown")}, "", ""},
		"an error that is not known":            {State{Apps: with(func(a *model.App) { a.Error = "brand_new" })}, "inngest-app-error", "brand_new"},
		"stale URL":                             {State{Apps: with(func(a *model.App) { a.URL = there })}, "inngest-stale-url", "refresh"},
		"stale URL of a port-forward":           {State{Apps: with(func(a *model.App) { a.URL = "http://localhost:38111/api/inngest" })}, "inngest-stale-url", "port-forward"},
		"duplicate apps":                        {State{Apps: []model.App{good, anApp("o", "system-bus-cluster", there, "b")}}, "inngest-duplicate-apps", "prune-stale"},
		"duplicate functions":                   {State{Apps: []model.App{good, anApp("h", "system-bus-host", host, "a")}}, "inngest-duplicates", ""},
		"duplicates among others":               {State{Apps: []model.App{good, anApp("h", "h", host, "z"), anApp("i", "i", there, "z")}}, "", ""},
		"connect mode":                          {State{Apps: with(func(a *model.App) { a.Method, a.URL = "CONNECT", "" })}, "inngest-connect-mode", "INNGEST_CONNECT_MODE"},
		"ambiguous":                             {State{Want: model.Wanted{URL: here}, Apps: []model.App{good, anApp("x", "x", here, "b")}}, "inngest-app-ambiguous,inngest-duplicate-apps", ""},
		"crons on time":                         {State{Apps: hourly, Scheduled: ran(now.Add(-30 * time.Minute)), CronsSince: now.Add(-24 * time.Hour), Now: now}, "", ""},
		"crons silent":                          {State{Apps: hourly, Scheduled: ran(now.Add(-5 * time.Hour)), CronsSince: now.Add(-24 * time.Hour), Now: now}, "inngest-crons-silent", "--resync"},
		"crons that have not been due yet":      {State{Apps: hourly, CronsSince: now.Add(-45 * time.Minute), Now: now}, "", ""},
		"crons that are not to be checked":      {State{Apps: hourly, Now: now}, "", ""},
	} {
		if c.state.Want == (model.Wanted{}) {
			c.state.Want = cluster
		}
		var codes []string
		var text strings.Builder
		for _, f := range Diagnose(c.state) {
			codes = append(codes, string(f.Code))
			text.WriteString(f.Error())
			if f.Why == "" || f.Fix == "" && f.Severity > pipeline.Note {
				t.Errorf("%s: %s lacks cause or remedy: %v", name, f.Code, f)
			}
		}
		if got := strings.Join(codes, ","); got != c.codes {
			t.Errorf("%s: %s, want %s", name, got, c.codes)
		}
		if !strings.Contains(text.String(), c.says) {
			t.Errorf("%s: %s does not say %q", name, text.String(), c.says)
		}
	}
}

func TestEveryAppErrorHasARemedy(t *testing.T) {
	for code, e := range appErrors {
		if !strings.HasPrefix(string(e.code), "inngest-") || e.why == "" || e.fix == "" {
			t.Errorf("%s: %+v", code, e)
		}
		if f := AppError(model.App{Name: "a", Error: code}); f.Code != e.code || f.Fix != e.fix {
			t.Errorf("%s: %v", code, f)
		}
	}
}
