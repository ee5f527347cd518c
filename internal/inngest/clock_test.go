package inngest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/client"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/inngest/sdk"
	"github.com/joelhooks/gh-sbw/internal/inngest/wire"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/inngestd"
)

// inProcess is a transport without sockets, so that a test's clock can be that
// of the bubble.
type inProcess struct{ http.Handler }

func (h inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.ServeHTTP(w, r)
	}()
	select {
	case <-done:
		resp := w.Result()
		resp.Request = r
		return resp, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// breakCalls lets every call of the slow function end with 503, as by a Service
// without endpoints.
var breakCalls atomic.Bool

// refuseRegistration is how many registrations fail, as those of a worker whose server
// is away; onRefusal is called for each of them.
var (
	refuseRegistration atomic.Int64
	onRefusal          func()
)

// clockwork is an SDK endpoint for hours of simulated time: one function has a
// cron, the only step of the other takes a minute.
type clockwork struct{ register func(body string) }

const clockworkFunctions = `[
	{"id":"app-hourly","name":"hourly","triggers":[{"cron":"0 * * * *"}],"steps":{"step":{"id":"step","name":"step","runtime":{"url":"http://w:1/api/inngest?fnId=app-hourly&stepId=step"}}}},
	{"id":"app-slow","name":"slow","triggers":[{"event":"slow/wanted"}],"steps":{"step":{"id":"step","name":"step","runtime":{"url":"http://w:1/api/inngest?fnId=app-slow&stepId=step"}}}}]`

func (c clockwork) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Inngest-Sdk", "inngest-js:v3.54.2")
	w.Header().Set("X-Inngest-Sdk-Handled", "true")
	switch {
	case r.Method == http.MethodPut && r.Header.Get("X-Inngest-Sync-Kind") == "in_band":
		w.Header().Set("X-Inngest-Sync-Kind", "in_band")
		_, _ = fmt.Fprintf(w, `{"app_id":"app","url":"http://w:1/api/inngest","sdk":"js:v3.54.2","functions":%s}`, clockworkFunctions)
	case r.Method == http.MethodPut && refuseRegistration.Add(-1) >= 0:
		onRefusal()
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, `{"message":"Failed to register; fetch failed","modified":false}`)
	case r.Method == http.MethodPut:
		c.register(fmt.Sprintf(`{"appName":"app","url":"http://w:1/api/inngest","deployType":"ping","sdk":"js:v3.54.2","functions":%s}`, clockworkFunctions))
		_, _ = io.WriteString(w, `{"message":"Successfully registered","modified":true}`)
	case r.URL.Query().Get("fnId") == "app-slow" && breakCalls.Load():
		http.Error(w, "no endpoints", http.StatusServiceUnavailable)
		return
	case r.URL.Query().Get("fnId") == "app-slow":
		t := time.NewTimer(time.Minute)
		defer t.Stop()
		select {
		case <-t.C:
		case <-r.Context().Done():
		}
		fallthrough
	default:
		_, _ = io.WriteString(w, `"done"`)
	}
}

// inBubble sets up a server and a worker. It must run within synctest.Test.
func inBubble(t *testing.T) (*inngestd.Server, *client.Client, *sdk.Worker) {
	t.Helper()
	return inBubbleWith(t, inngestd.Options{})
}

// inBubbleWith sets up both ends with a server of certain options.
func inBubbleWith(t *testing.T, o inngestd.Options) (*inngestd.Server, *client.Client, *sdk.Worker) {
	t.Helper()
	var double *inngestd.Server
	worker := clockwork{register: func(body string) {
		w := httptest.NewRecorder()
		double.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/fn/register", strings.NewReader(body)))
		var out struct{ OK bool }
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || !out.OK {
			t.Errorf("register: %s", w.Body)
		}
	}}
	o.Crons, o.HTTP = true, &http.Client{Transport: inProcess{worker}}
	double = inngestd.New(o)
	c, err := client.New(client.Options{Server: wire.Endpoint{BaseURL: "http://inngest-svc:8288", HTTP: &http.Client{Transport: inProcess{double}}}})
	if err != nil {
		t.Fatal(err)
	}
	w, err := sdk.New(sdk.Options{Endpoint: wire.Endpoint{
		BaseURL: "http://127.0.0.1:38111", Advertised: "http://w:1", HTTP: &http.Client{Transport: inProcess{worker}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return double, c, w
}

// tables collects the rows that a reporter gets.
type tables struct {
	mu   sync.Mutex
	rows [][]string
}

func (x *tables) Emit(e pipeline.Event) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e.Table != nil && e.Table.Title == judge.StepsTable {
		var all []string
		for _, row := range e.Table.Rows {
			all = append(all, strings.Join(row, "|"))
		}
		x.rows = append(x.rows, all)
	}
}

func TestWaitIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		double, c, w := inBubble(t)
		defer double.Close()
		done, err := inngest.Refresh(t.Context(), inngest.RefreshOptions{Client: c, Worker: w}, nil)
		if err != nil {
			t.Fatal(err)
		}
		send := func() {
			if _, err := c.Send(t.Context(), wire.EventKey{}, client.Event{Name: "slow/wanted"}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		send()
		started := time.Now()
		var seen tables
		steps, err := inngest.WaitIdle(t.Context(), inngest.WaitIdleOptions{Client: c, App: done.App}, pipeline.NewReporter("wait idle", &seen))
		if took := time.Since(started); err != nil || len(steps) != 0 || took < time.Minute || took > 62*time.Second {
			t.Errorf("idle after %s: %v %v", took, steps, err)
		}
		if len(seen.rows) < 60 || seen.rows[0][0] != "app-slow|first step|0s|1/5|delayed" || seen.rows[30][0] != "app-slow|first step|30s|1/5|delayed" || len(seen.rows[len(seen.rows)-1]) != 0 {
			t.Errorf("seen %v", seen.rows)
		}

		// A young step does not block if its loss is allowed.
		send()
		started = time.Now()
		steps, err = inngest.WaitIdle(t.Context(), inngest.WaitIdleOptions{Client: c, App: done.App, MaxStepLoss: 30 * time.Second}, nil)
		if took := time.Since(started); err != nil || len(steps) != 1 || took != 0 {
			t.Errorf("idle after %s: %v %v", took, steps, err)
		}
		started = time.Now()
		_, err = inngest.WaitIdle(t.Context(), inngest.WaitIdleOptions{Client: c, App: done.App, Timeout: 10 * time.Second}, nil)
		f := wantCode(t, err, "inngest-not-idle")
		if took := time.Since(started); took != 10*time.Second || len(f.Evidence) != 1 || !strings.Contains(f.What, "1 step is still running after 10s") {
			t.Errorf("after %s: %v %v", took, f, f.Evidence)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(pipeline.ErrInterrupted)
		if _, err := inngest.WaitIdle(ctx, inngest.WaitIdleOptions{Client: c, App: done.App}, nil); !errors.Is(err, pipeline.ErrInterrupted) {
			t.Errorf("an interrupt became %v", err)
		}
	})
}

func TestConfirmUnfinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		double, c, w := inBubble(t)
		defer double.Close()
		done, err := inngest.Refresh(t.Context(), inngest.RefreshOptions{Client: c, Worker: w}, nil)
		if err != nil {
			t.Fatal(err)
		}
		o := inngest.ConfirmOptions{Client: c, App: done.App, Event: client.Event{Name: "slow/wanted"}, Timeout: 10 * time.Second}
		_, err = inngest.ConfirmRun(t.Context(), o, nil)
		if f := wantCode(t, err, "inngest-confirm-unfinished"); !strings.Contains(f.What, "did not end within 10s") || !strings.Contains(f.Why, "first step") {
			t.Errorf("%v", f)
		}
		o.Timeout = 2 * time.Minute
		if confirmed, err := inngest.ConfirmRun(t.Context(), o, nil); err != nil || len(confirmed.Runs) != 1 || confirmed.Runs[0].Status != model.Completed {
			t.Errorf("%+v %v", confirmed, err)
		}
	})
}

// TestSilentCrons: a server that has lost its schedules is detected, and a
// full registration restores them; an unchanged one does not.
func TestSilentCrons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		double, c, w := inBubble(t)
		defer double.Close()
		o := inngest.RefreshOptions{Client: c, Worker: w}
		if _, err := inngest.Refresh(t.Context(), o, nil); err != nil {
			t.Fatal(err)
		}
		since := time.Now()
		silent := func() bool {
			t.Helper()
			look, err := inngest.Status(t.Context(), inngest.ReportOptions{Client: c, Worker: w, CronsSince: since})
			if err != nil {
				t.Fatal(err)
			}
			return hasCode(look.Findings, "inngest-crons-silent")
		}
		after := func(d time.Duration) { <-time.After(d) }
		after(3*time.Hour + 5*time.Minute)
		if silent() {
			t.Fatal("crons that ran are reported as silent")
		}
		double.ForgetSchedules()
		after(30 * time.Minute)
		if silent() {
			t.Error("a cron is reported as silent before its schedule passed twice")
		}
		after(3 * time.Hour)
		if !silent() {
			t.Error("crons that the server lost are not reported")
		}
		if _, err := inngest.Refresh(t.Context(), o, nil); err != nil {
			t.Fatal(err)
		}
		after(3 * time.Hour)
		if !silent() {
			t.Error("an unchanged registration brought the schedules back, unlike the real server's")
		}
		o.Resync = true
		if _, err := inngest.Refresh(t.Context(), o, nil); err != nil {
			t.Fatal(err)
		}
		after(3 * time.Hour)
		if silent() {
			t.Error("a full registration did not bring the schedules back")
		}
	})
}

// TestRefreshProvesCrons checks what a refresh reports about schedules: right after a
// registration, after they ran, and after a restart of the server.
func TestRefreshProvesCrons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		double, c, w := inBubble(t)
		defer double.Close()
		refresh := func(since time.Time) *inngest.Refreshed {
			t.Helper()
			done, err := inngest.Refresh(t.Context(), inngest.RefreshOptions{Client: c, Worker: w, ProveCrons: true, CronsSince: since}, nil)
			if err != nil {
				t.Fatal(err)
			}
			return done
		}
		after := func(d time.Duration) { <-time.After(d) }
		since := time.Now()
		if done := refresh(since); !hasCode(done.Findings, "inngest-crons-unproven") {
			t.Errorf("right after the registration: %v", done.Findings)
		}
		after(3*time.Hour + 5*time.Minute)
		if done := refresh(since); len(done.Findings) != 0 {
			t.Errorf("after they ran: %v", done.Findings)
		}
		if done := refresh(time.Now()); !hasCode(done.Findings, "inngest-crons-unproven") {
			t.Errorf("after the server's restart: %v", done.Findings)
		}
		if done := refresh(time.Time{}); !hasCode(done.Findings, "inngest-crons-unproven") {
			t.Errorf("if the time of the change is not known: %v", done.Findings)
		}
		double.ForgetSchedules()
		restarted := time.Now()
		after(3 * time.Hour)
		if done := refresh(restarted); !hasCode(done.Findings, "inngest-crons-silent") || hasCode(done.Findings, "inngest-crons-unproven") {
			t.Errorf("after the server lost them: %v", done.Findings)
		}
	})
}

// TestCronsOfADeletedApp: the server keeps starting the crons of a deleted app, and
// status reports it.
func TestCronsOfADeletedApp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		double, c, w := inBubble(t)
		defer double.Close()
		done, err := inngest.Refresh(t.Context(), inngest.RefreshOptions{Client: c, Worker: w}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.DeleteApp(t.Context(), done.App.ID); err != nil {
			t.Fatal(err)
		}
		status := func() *inngest.Report {
			t.Helper()
			look, err := inngest.Status(t.Context(), inngest.ReportOptions{Client: c, Worker: w})
			if err != nil {
				t.Fatal(err)
			}
			return look
		}
		if hasCode(status().Findings, "inngest-crons-orphaned") {
			t.Error("reported before they ran")
		}
		<-time.After(90 * time.Minute)
		if look := status(); !hasCode(look.Findings, "inngest-crons-orphaned") {
			t.Errorf("%v", look.Findings)
		}
	})
}
