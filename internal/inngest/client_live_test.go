package inngest_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/client"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/inngest/wire"
	"github.com/joelhooks/gh-sbw/internal/sandbox/inngestd"
)

// olderServers maps versions to what their schemas do not have yet.
var olderServers = map[string][]string{
	"1.16":  {"RunTraceSpan.stepType"},
	"1.11":  {"Query.runTrace", "RunTraceSpan.stepType"},
	"1.6.3": {"Query.runTrace", "Function.configuration", "App.appVersion"},
	"1.4.6": {"Query.runTrace", "Function.configuration", "App.appVersion", "App.method", "App.externalID", "FunctionTrigger.condition", "FunctionRunV2.eventName"},
}

// TestVersions reads the same apps and runs from servers of several versions,
// and from one without GraphQL.
func TestVersions(t *testing.T) {
	kits := map[string]*kit{"newest": newKit(t, inngestd.Options{}), "--no-ui": newKit(t, inngestd.Options{NoUI: true})}
	for version, without := range olderServers {
		kits[version] = newKit(t, inngestd.Options{Without: without})
	}
	var first []model.App
	for _, version := range []string{"newest", "1.16", "1.11", "1.6.3", "1.4.6", "--no-ui"} {
		t.Run(version, func(t *testing.T) {
			k := kits[version]
			k.t = t
			p := k.cluster(env{"FUNCTIONS": "approval-request,parallel,napper"})
			app := k.mustRefresh(k.options(p)).App
			if app.Functions[2].Concurrency[0].Limit != 2 || app.Functions[0].Retries != 2 {
				t.Errorf("functions %+v", app.Functions)
			}
			apps := k.apps()
			if first == nil {
				first = apps
			}
			ignore := cmpopts.IgnoreFields(model.App{}, "Checksum", "Method")
			if diff := cmp.Diff(first, apps, ignore); diff != "" {
				t.Errorf("apps (-newest +%s):\n%s", version, diff)
			}
			k.send("approval/requested")
			r := k.run("system-bus-cluster-approval-request", model.Completed)
			if r.Started.IsZero() || r.Ended.Before(r.Started) || r.AppID != app.ID {
				t.Errorf("run %+v", r)
			}
			k.send("nap/wanted")
			k.until("the nap", func() bool {
				runs, err := inngest.Detailed(k.ctx, k.client(), client.RunFilter{Apps: []string{app.ID}, Status: []model.RunStatus{model.Running}})
				if err != nil {
					t.Fatal(err)
				}
				return len(runs) == 1 && runs[0].Step == "nap"
			})
			nap := k.run("system-bus-cluster-napper", model.Running)
			if err := k.client().CancelRun(k.ctx, nap.ID); err != nil {
				t.Error(err)
			}
			if err := k.client().CancelRun(k.ctx, nap.ID); err != nil {
				t.Errorf("cancelling again: %v", err)
			}
			if err := k.client().CancelRun(k.ctx, r.ID); err == nil {
				t.Error("an ended run was cancelled")
			}
			if id, err := k.client().Rerun(k.ctx, r.ID); err != nil || id == r.ID || id == "" {
				t.Errorf("rerun %q %v", id, err)
			}
		})
	}
}

// TestNoUI: operations that need GraphQL fail with an error that names the
// cause and the remedy.
func TestNoUI(t *testing.T) {
	k := newKit(t, inngestd.Options{NoUI: true, Backoff: inngestd.Scaled(10000)})
	h, err := k.client().Health(k.ctx)
	if err != nil || h.GraphQL || h.Kind != "cloud" {
		t.Errorf("%+v %v", h, err)
	}
	p := k.cluster(env{"FUNCTIONS": "thrower,approval-request"})
	k.mustRefresh(k.options(p))
	k.send("throw/wanted")
	if r := k.run("system-bus-cluster-thrower", model.Failed); r.Error != "thrown on purpose" {
		t.Errorf("error %q", r.Error)
	}
	wantCode(t, k.client().DeleteApp(k.ctx, "x"), "inngest-no-ui")
	slash, err := client.New(client.Options{
		Server: wire.Endpoint{BaseURL: k.url}, Key: wire.NewSigningKey(signingKey), Apps: []string{"team/worker"},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = slash.Apps(k.ctx)
	wantCode(t, err, "inngest-no-ui")
	_, err = k.clientWith("").Apps(k.ctx)
	wantCode(t, err, "inngest-key-needed")
	_, err = k.clientWith(otherKey).Apps(k.ctx)
	wantCode(t, err, "inngest-key-refused")
}

// TestPaging lists more runs than the server returns at once.
func TestPaging(t *testing.T) {
	k := newKit(t, inngestd.Options{})
	p := k.cluster(env{"FUNCTIONS": "zero,queue-observer"})
	app := k.mustRefresh(k.options(p)).App
	const many = 450
	for range many {
		k.send("v4/zero")
	}
	started := time.Now()
	runs, err := k.client().Runs(k.ctx, client.RunFilter{})
	if err != nil || len(runs) != many {
		t.Fatalf("%d runs, %v", len(runs), err)
	}
	t.Logf("%d runs listed in %s", many, time.Since(started))
	if !slices.IsSortedFunc(runs, func(a, b model.Run) int { return b.Queued.Compare(a.Queued) }) {
		t.Error("not the newest first")
	}
	for _, limit := range []int{1, 99, 100, 101, 399, 400, 401, 450, 9999} {
		runs, err := k.client().Runs(k.ctx, client.RunFilter{Limit: limit})
		if err != nil || len(runs) != min(limit, many) {
			t.Errorf("limit %d: %d runs, %v", limit, len(runs), err)
		}
	}
	k.until("their end", func() bool {
		runs, err := k.client().Runs(k.ctx, client.RunFilter{Apps: []string{app.ID}, Status: []model.RunStatus{model.Completed}})
		if err != nil {
			t.Fatal(err)
		}
		return len(runs) == many
	})
	ended, err := k.client().Runs(k.ctx, client.RunFilter{Status: []model.RunStatus{model.Completed}, ByEnd: true, Since: time.Now().Add(-time.Hour)})
	if err != nil || len(ended) != many {
		t.Errorf("by end: %d runs, %v", len(ended), err)
	}
	if got := fmt.Sprint(app.Functions[2].Concurrency); got != "[2]" {
		t.Errorf("concurrency %s", got)
	}
}
