package inngest_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/inngestd"
	"github.com/joelhooks/gh-sbw/internal/sandbox/npmworkers"
)

// TestConnectMode: the registration of a connected worker is left to the
// worker. It is awaited and compared, but never made by a PUT.
func TestConnectMode(t *testing.T) {
	k := newKit(t, inngestd.Options{})
	p := k.cluster(env{"FUNCTIONS": "approval-request,napper"})
	connect := func(functions ...string) {
		t.Helper()
		var all []string
		for id, event := range map[string]string{"approval-request": "approval/requested", "napper": "nap/wanted"} {
			retries := map[string]int{"approval-request": 2, "napper": 1}[id]
			if slices.Contains(functions, id) {
				all = append(all, fmt.Sprintf(`{"id":"system-bus-cluster-%[1]s","name":"%[1]s","triggers":[{"event":%[2]q}],
					"steps":{"step":{"id":"step","name":"step","runtime":{"url":"ws://w"},"retries":{"attempts":%[3]d}}}}`, id, event, retries))
			}
		}
		body := fmt.Sprintf(`{"appName":"system-bus-cluster","url":"ws://w","deployType":"connect","capabilities":{"connect":"v1"},"sdk":"js:v3.54.2","functions":[%s]}`, strings.Join(all, ","))
		req, err := http.NewRequestWithContext(k.ctx, http.MethodPost, k.url+"/fn/register", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+signingKey)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	connect("napper")
	rep := pipeline.NewReporter("refresh", pipeline.Discard)
	o := k.options(p)
	o.Timeout = 100 * time.Millisecond
	_, err := inngest.Refresh(k.ctx, o, rep)
	wantCode(t, err, "inngest-registration-differs")

	// A PUT does not repair it either, as it would after an old pod's late
	// registration.
	_, err = inngest.Verify(k.ctx, inngest.VerifyOptions{Client: o.Client, Worker: o.Worker, Want: model.Wanted{App: o.App, URL: o.Worker.URL()},
		Repair: true, Timeout: 100 * time.Millisecond, Poll: 5 * time.Millisecond}, rep)
	wantCode(t, err, "inngest-registration-differs")

	connect("approval-request", "napper")
	done, err := inngest.Refresh(k.ctx, o, rep)
	if err != nil || len(done.App.Functions) != 2 || !hasCode(done.Findings, "inngest-connect-mode") {
		t.Errorf("%+v %v", done, err)
	}
	if rep.HasChanged() || k.app("system-bus-cluster").Method != "CONNECT" {
		t.Errorf("changed %v, %+v", rep.HasChanged(), k.app("system-bus-cluster"))
	}
	look := inngest.ReportOptions{Client: o.Client, App: o.App, Worker: o.Worker}
	if r, err := inngest.Status(k.ctx, look); err != nil || !r.OK() || !hasCode(r.Findings, "inngest-connect-mode") {
		t.Errorf("%+v %v", r, err)
	}
	p.Kill() // a worker that only dials does not serve anything
	if done, err = inngest.Refresh(k.ctx, o, rep); err != nil || len(done.App.Functions) != 2 || done.Served == nil {
		t.Errorf("%+v %v", done, err)
	}

	// When nothing is connected and nothing is served, no run makes progress.
	k.double.Disconnect(o.App)
	_, err = inngest.Refresh(k.ctx, o, rep)
	wantCode(t, err, "inngest-not-connected")
	if r, err := inngest.Status(k.ctx, look); err != nil || r.OK() || !hasCode(r.Findings, "inngest-not-connected") {
		t.Errorf("%+v %v", r, err)
	}

	// When nothing is connected and a worker serves, it has left connect mode.
	p = k.cluster(env{"FUNCTIONS": "approval-request,napper"})
	o = k.options(p)
	o.Timeout = 100 * time.Millisecond
	plan, err := inngest.PlanRefresh(k.ctx, o)
	if err != nil || !hasCode(plan.Findings, "inngest-left-connect") || rep.HasChanged() {
		t.Errorf("%+v %v", plan, err)
	}
	o.Timeout = time.Minute
	connect("approval-request", "napper")
	if _, err := inngest.PlanRefresh(k.ctx, o); err != nil || k.app("system-bus-cluster").Method != "CONNECT" {
		t.Errorf("%+v %v", k.app("system-bus-cluster"), err)
	}
	k.double.Disconnect(o.App)
	o.Timeout = 2 * time.Second
	if done, err = inngest.Refresh(k.ctx, o, rep); err != nil || !done.Modified || !done.Diff.Empty() {
		t.Errorf("%+v %v", done, err)
	}
	if a := k.app("system-bus-cluster"); a.Method != "SERVE" || a.URL != clusterURL+"/api/inngest" {
		t.Errorf("%+v", a)
	}
}

// TestStatus checks the verdict for a healthy system and for a broken one.
func TestStatus(t *testing.T) {
	k := newKit(t, inngestd.Options{})
	p := k.cluster(env{"FUNCTIONS": "approval-request,queue-observer"})
	k.mustRefresh(k.options(p))
	o := inngest.ReportOptions{Client: k.client(), Worker: k.forward(p, clusterURL, signingKey)}
	look, err := inngest.Status(k.ctx, o)
	if err != nil || !look.OK() || len(look.Findings) != 0 || look.App == nil || look.Want.App != "system-bus-cluster" || look.Served == nil {
		t.Fatalf("%+v %v", look, err)
	}

	more := k.pod(npmworkers.SDK3, nil, env{"FUNCTIONS": "approval-request,queue-observer,voice-missed-call"})
	o.Worker = k.forward(more, clusterURL, signingKey)
	look, err = inngest.Status(k.ctx, o)
	if err != nil || look.OK() || !hasCode(look.Findings, "inngest-registration-differs") || len(look.Diff.Added) != 1 {
		t.Errorf("%v %v", look.Findings, err)
	}
	k.set(clusterURL, more)
	k.mustRefresh(k.options(more))
	look, err = inngest.Status(k.ctx, o)
	if err != nil || look.OK() || !hasCode(look.Findings, "inngest-zero-retries") {
		t.Errorf("%v %v", look.Findings, err)
	}
	o.Allowed = map[string]string{"voice-missed-call": "losing it is the signal"}
	if look, err = inngest.Status(k.ctx, o); err != nil || !look.OK() || !hasCode(look.Findings, "inngest-zero-retries-allowed") {
		t.Errorf("%v %v", look.Findings, err)
	}
	more.Kill()
	look, err = inngest.Status(k.ctx, o)
	if err != nil || look.OK() || !hasCode(look.Findings, "worker-unreachable") || look.App == nil { // by its URL
		t.Errorf("%v %v", look.Findings, err)
	}
	o.App = "system-bus-cluster"
	if look, err = inngest.Status(k.ctx, o); err != nil || look.App == nil || !hasCode(look.Findings, "worker-unreachable") {
		t.Errorf("%v %v", look.Findings, err)
	}
}
