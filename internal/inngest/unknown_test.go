package inngest_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/client"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/inngest/wire"
	"github.com/joelhooks/gh-sbw/internal/sandbox/inngestd"
)

// TestUntracedRuns: a run that the server lists as running without having its trace
// counts as unknown, with GraphQL and without.
func TestUntracedRuns(t *testing.T) {
	for name, o := range map[string]inngestd.Options{"GraphQL": {}, "--no-ui": {NoUI: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				double, c, w := inBubbleWith(t, o)
				defer double.Close()
				done, err := inngest.Refresh(t.Context(), inngest.RefreshOptions{Client: c, Worker: w}, nil)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := c.Send(t.Context(), wire.EventKey{}, client.Event{Name: "slow/wanted"}); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				double.ForgetTraces()
				steps, err := inngest.RunningSteps(t.Context(), c, done.App)
				if err != nil || len(steps) != 1 || !steps[0].Unknown || steps[0].Risk() != judge.Undecided || steps[0].Slug != "app-slow" {
					t.Fatalf("%+v %v", steps, err)
				}
				_, err = inngest.WaitIdle(t.Context(), inngest.WaitIdleOptions{Client: c, App: done.App, Timeout: 5 * time.Second, MaxStepLoss: time.Hour}, nil)
				wantCode(t, err, "inngest-not-idle")
				look, err := inngest.Status(t.Context(), inngest.ReportOptions{Client: c, Worker: w})
				if err != nil || !hasCode(look.Findings, "inngest-step-unread") || !look.OK() {
					t.Errorf("%v %v", look.Findings, err)
				}
				if runs, err := inngest.Detailed(t.Context(), c, client.RunFilter{}); err != nil || len(runs) != 1 || runs[0].Status != model.Running {
					t.Errorf("%+v %v", runs, err)
				}
				// A run that has ended since the list was read is not unknown.
				<-time.After(2 * time.Minute)
				if steps, err := inngest.RunningSteps(t.Context(), c, done.App); err != nil || len(steps) != 0 {
					t.Errorf("after its end: %+v %v", steps, err)
				}
			})
		})
	}
}

// TestConnected: which servers say whether a worker is connected, and what status
// makes of it.
func TestConnected(t *testing.T) {
	const body = `{"appName":"app","url":"ws://connect?app_name=app","deployType":"connect","sdk":"js:v3.54.2","capabilities":{"connect":"v1"},"functions":` +
		clockworkFunctions + `}`
	older := []string{"Query.workerConnections"}
	for name, c := range map[string]struct {
		options inngestd.Options
		known   bool
	}{
		"GraphQL":                        {inngestd.Options{}, true},
		"--no-ui":                        {inngestd.Options{NoUI: true}, true},
		"before connections were listed": {inngestd.Options{Without: older}, false},
		"before connections were listed, --no-ui": {inngestd.Options{Without: older, NoUI: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				double, cl, _ := inBubbleWith(t, c.options)
				defer double.Close()
				w := httptest.NewRecorder()
				double.ServeHTTP(w, httptest.NewRequest("POST", "/fn/register", strings.NewReader(body)))
				apps, err := cl.Apps(t.Context())
				if err != nil || len(apps) != 1 || apps[0].Method != model.MethodConnect {
					t.Fatalf("%+v %v: %s", apps, err, w.Body)
				}
				codes := func(gone bool) {
					t.Helper()
					connected, known, err := cl.Connected(t.Context(), apps[0].ID)
					if err != nil || known != c.known || connected != (known && !gone) {
						t.Errorf("gone %t: connected %t, known %t, %v", gone, connected, known, err)
					}
					look, err := inngest.Status(t.Context(), inngest.ReportOptions{Client: cl, App: "app", URL: "http://w:1/api/inngest"})
					if err != nil || hasCode(look.Findings, "inngest-connection-unknown") == c.known ||
						hasCode(look.Findings, "inngest-not-connected") != (c.known && gone) {
						t.Errorf("gone %t: %v %v", gone, look.Findings, err)
					}
				}
				codes(false)
				double.Disconnect("app")
				codes(true)
			})
		})
	}
}

// TestClocksDiffer: a server whose clock is minutes off this machine's gets the same
// answers as one whose clock is right.
func TestClocksDiffer(t *testing.T) {
	for _, ahead := range []time.Duration{-10 * time.Minute, 10 * time.Minute} {
		t.Run(ahead.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				double, c, w := inBubbleWith(t, inngestd.Options{Now: func() time.Time { return time.Now().Add(ahead) }})
				defer double.Close()
				done, err := inngest.Refresh(t.Context(), inngest.RefreshOptions{Client: c, Worker: w}, nil)
				if err != nil {
					t.Fatal(err)
				}
				if off := c.Now().Sub(time.Now().Add(ahead)).Abs(); off > 2*time.Second {
					t.Errorf("the server's clock is read with a difference of %s", off)
				}
				since := c.Now()
				// In the first minutes of an hour on the server, and in its last ones: crons
				// that ran are not reported as silent.
				for range 4 {
					<-time.After(2*time.Hour + 15*time.Minute)
					look, err := inngest.Status(t.Context(), inngest.ReportOptions{Client: c, Worker: w, CronsSince: since})
					if err != nil || hasCode(look.Findings, "inngest-crons-silent") {
						t.Errorf("at %s: %v %v", c.Now().Format(time.TimeOnly), look.Findings, err)
					}
				}
				live := c.Now()
				if _, err := c.Send(t.Context(), wire.EventKey{}, client.Event{Name: "slow/wanted"}); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				<-time.After(40 * time.Second)
				steps, err := inngest.RunningSteps(t.Context(), c, done.App)
				if err != nil || len(steps) != 1 || steps[0].Ghost(live) {
					t.Fatalf("%+v %v", steps, err)
				}
				if age := steps[0].Elapsed(c.Now()); age < 38*time.Second || age > 42*time.Second {
					t.Errorf("a step of 40s is %s old", age)
				}
				found := judge.JudgeRestart(steps, judge.RestartOptions{MaxStepLoss: time.Minute, Now: c.Now(), LiveSince: live})
				if len(found) != 1 || found[0].Code != "inngest-step-delayed" {
					t.Errorf("%v", found)
				}
			})
		})
	}
}

// TestLostByAnotherClock: runs that failed in the switch-over are found and counted whatever
// the server's clock says, and those that failed before are not.
func TestLostByAnotherClock(t *testing.T) {
	for _, ahead := range []time.Duration{0, -10 * time.Minute, 10 * time.Minute} {
		t.Run(ahead.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				double, c, w := inBubbleWith(t, inngestd.Options{
					Now: func() time.Time { return time.Now().Add(ahead) }, Backoff: func(int) time.Duration { return time.Second },
				})
				defer double.Close()
				done, err := inngest.Refresh(t.Context(), inngest.RefreshOptions{Client: c, Worker: w}, nil)
				if err != nil {
					t.Fatal(err)
				}
				fail := func() {
					t.Helper()
					breakCalls.Store(true)
					defer breakCalls.Store(false)
					if _, err := c.Send(t.Context(), wire.EventKey{}, client.Event{Name: "slow/wanted"}); err != nil {
						t.Fatal(err)
					}
					<-time.After(30 * time.Second)
				}
				fail()
				<-time.After(5 * time.Minute)
				before, err := inngest.FailedBefore(t.Context(), c, done.App)
				if err != nil || len(before) != 1 {
					t.Fatalf("%v %v", before, err)
				}
				window := judge.Window{From: time.Now(), Failed: before}
				fail()
				window.To = time.Now()
				lost, err := inngest.FindLost(t.Context(), c, done.App, window)
				if err != nil || len(lost) != 1 {
					t.Errorf("%+v %v", lost, err)
				}
				for from, want := range map[time.Time]int{window.From: 1, window.From.Add(-time.Hour): 2, window.To: 0} {
					if n, err := inngest.CountFailed(t.Context(), c, done.App, from, window.To); err != nil || n != want {
						t.Errorf("%d failed in the last %s, want %d: %v", n, window.To.Sub(from), want, err)
					}
				}
				if n, err := inngest.CountFailed(t.Context(), c, done.App, window.From.Add(-time.Hour), window.From); err != nil || n != 1 {
					t.Errorf("%d failed before, want 1: %v", n, err)
				}
			})
		})
	}
}
