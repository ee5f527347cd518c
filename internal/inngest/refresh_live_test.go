package inngest_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/inngestd"
	"github.com/joelhooks/gh-sbw/internal/sandbox/npmworkers"
)

// TestRefresh registers through an address that is not the worker's own, as a
// port-forward's is, and finds the Service's URL on the server.
func TestRefresh(t *testing.T) {
	eachWorker(t, func(t *testing.T, sdk string, argv []string) {
		k := newKit(t, inngestd.Options{})
		p := k.pod(sdk, argv, nil)
		k.set(clusterURL, p)
		o := k.options(p)
		done := k.mustRefresh(o)
		if done.App.URL != clusterURL+"/api/inngest" {
			t.Errorf("registered at %s", done.App.URL)
		}
		want := []string{
			"system-bus-cluster-approval-request", "system-bus-cluster-queue-observer",
			"system-bus-cluster-queue-observer-failure", "system-bus-cluster-voice-missed-call",
		}
		if got := done.App.Slugs(); !slices.Equal(got, want) {
			t.Errorf("functions %v", got)
		}
		if len(done.Diff.Added) != 4 || !done.Modified {
			t.Errorf("first refresh: %v, modified %v", done.Diff, done.Modified)
		}
		if d := judge.Compare(done.App.Functions, done.Served.Functions); !d.Empty() {
			t.Errorf("the server's list and the worker's differ: %v", d)
		}
		again := k.mustRefresh(o)
		if len(again.Diff.Kept) != 4 || !again.Diff.Empty() || again.Modified {
			t.Errorf("second refresh: %v, modified %v", again.Diff, again.Modified)
		}
		o.Resync = true
		if full := k.mustRefresh(o); !full.Modified || full.App.ID != done.App.ID {
			t.Errorf("resync: modified %v, app %s, was %s", full.Modified, full.App.ID, done.App.ID)
		}

		k.send("approval/requested")
		if r := k.run("system-bus-cluster-approval-request", model.Completed); r.Ended.IsZero() || r.Started.Before(r.Queued.Truncate(time.Millisecond)) {
			t.Errorf("times of %+v", r)
		}
	})
}

func TestRefreshKeys(t *testing.T) {
	eachWorker(t, func(t *testing.T, sdk string, argv []string) {
		k := newKit(t, inngestd.Options{})
		good := k.pod(sdk, argv, nil)
		bad := k.pod(sdk, argv, env{"INNGEST_SIGNING_KEY": otherKey})
		k.set(clusterURL, bad)

		o := k.options(bad)
		o.Worker = k.forward(bad, clusterURL, otherKey)
		_, err := inngest.Refresh(k.ctx, o, nil)
		wantCode(t, err, "inngest-wrong-signing-key")

		k.set(clusterURL, good)
		o.Worker = k.forward(good, clusterURL, otherKey)
		_, err = inngest.Refresh(k.ctx, o, nil)
		wantCode(t, err, "worker-key-refused")
		if apps := k.apps(); len(apps) != 0 {
			t.Errorf("a refused refresh registered %+v", apps)
		}

		o.Worker, o.App = k.forward(good, clusterURL, ""), ""
		_, err = inngest.Refresh(k.ctx, o, nil)
		wantCode(t, err, "worker-key-needed")

		// Where the app is known, an unsigned registration is still possible.
		o.App = "system-bus-cluster"
		done, err := inngest.Refresh(k.ctx, o, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(done.Findings) != 1 || done.Findings[0].Code != "worker-key-needed" || done.Findings[0].Severity != pipeline.Warning {
			t.Errorf("findings %v", done.Findings)
		}
		if len(k.app("system-bus-cluster").Functions) != 4 {
			t.Errorf("functions %v", k.app("system-bus-cluster").Slugs())
		}

		// A worker that will not show its functions still reports its name.
		shy := k.pod(sdk, argv, env{"INNGEST_ALLOW_IN_BAND_SYNC": "0"})
		k.set(clusterURL, shy)
		o.Worker, o.App = k.forward(shy, clusterURL, signingKey), ""
		done, err = inngest.Refresh(k.ctx, o, nil)
		if err != nil || done.App.Name != "system-bus-cluster" || !hasCode(done.Findings, "worker-no-in-band") {
			t.Errorf("%+v %v", done, err)
		}
		o.App = "another"
		_, err = inngest.Refresh(k.ctx, o, nil)
		wantCode(t, err, "inngest-app-mismatch")
	})
}

// TestRefreshServerKind asks one server and lets the worker register with
// another, of the other kind.
func TestRefreshServerKind(t *testing.T) {
	for _, sdk := range []string{npmworkers.SDK3, npmworkers.SDK4} {
		t.Run(sdk, func(t *testing.T) {
			asked, other := newKit(t, inngestd.Options{Kind: "dev"}), newKit(t, inngestd.Options{})
			p := other.pod(sdk, nil, nil)
			_, err := inngest.Refresh(asked.ctx, asked.options(p), nil)
			f := wantCode(t, err, "inngest-server-kind")
			if !strings.Contains(f.Why, "Expected server kind cloud, got dev") {
				t.Errorf("why: %s", f.Why)
			}
			if apps := other.apps(); len(apps) != 0 {
				t.Errorf("registered %v", apps)
			}
		})
	}
}

// TestRefreshOtherServer lets the worker register with a server of the right
// kind that is not the one that was asked.
func TestRefreshOtherServer(t *testing.T) {
	asked, other := newKit(t, inngestd.Options{}), newKit(t, inngestd.Options{})
	o := asked.options(other.pod(npmworkers.SDK3, nil, nil))
	o.Timeout = 200 * time.Millisecond
	_, err := inngest.Refresh(asked.ctx, o, nil)
	f := wantCode(t, err, "inngest-not-registered")
	if !strings.Contains(f.Why, "Successfully registered") {
		t.Errorf("why: %s", f.Why)
	}
}

func TestRefreshGuards(t *testing.T) {
	k := newKit(t, inngestd.Options{})
	full := k.cluster(nil)
	k.mustRefresh(k.options(full))
	before := k.app("system-bus-cluster")

	less := k.cluster(env{"FUNCTIONS": "approval-request"})
	o := k.options(less)
	rep := pipeline.NewReporter("refresh", pipeline.Discard)
	_, err := inngest.Refresh(k.ctx, o, rep)
	f := wantCode(t, err, "inngest-functions-removed")
	if !strings.Contains(f.What, "system-bus-cluster-voice-missed-call") || rep.HasChanged() {
		t.Errorf("%v, changed %v", f, rep.HasChanged())
	}
	if now := k.app("system-bus-cluster"); !slices.Equal(now.Slugs(), before.Slugs()) {
		t.Errorf("a refused refresh left %v", now.Slugs())
	}
	o.AllowRemoval = true
	done := k.mustRefresh(o)
	if len(done.Diff.Removed) != 3 || !slices.Equal(done.App.Slugs(), []string{"system-bus-cluster-approval-request"}) {
		t.Errorf("%v, functions %v", done.Diff, done.App.Slugs())
	}

	none := k.cluster(env{"FUNCTIONS": ""})
	_, err = inngest.Refresh(k.ctx, k.options(none), nil)
	wantCode(t, err, "inngest-no-functions")

	other := k.cluster(env{"INNGEST_APP_ID": "something-else"})
	_, err = inngest.Refresh(k.ctx, k.options(other), nil)
	wantCode(t, err, "inngest-app-mismatch")

	elsewhere := k.cluster(env{"INNGEST_SERVE_HOST": "http://localhost:3111"})
	_, err = inngest.Refresh(k.ctx, k.options(elsewhere), nil)
	wantCode(t, err, "inngest-serve-url")

	o = k.options(full)
	o.Expect = func([]model.Function) []string {
		return []string{"approval-request", "voice-missed-call", "queue-observer", "brand-new"}
	}
	_, err = inngest.Refresh(k.ctx, o, nil)
	f = wantCode(t, err, "inngest-catalog-mismatch")
	if !strings.Contains(f.Why, "missing: brand-new") {
		t.Errorf("why: %s", f.Why)
	}
}

// TestSideBySide keeps a host worker and a cluster worker registered through
// twenty refreshes, with the cluster's functions changing from one to the next.
func TestSideBySide(t *testing.T) {
	k := newKit(t, inngestd.Options{})
	host := k.pod(npmworkers.SDK4, nil, env{"INNGEST_APP_ID": "system-bus-host", "INNGEST_SERVE_ORIGIN": hostURL})
	k.set(hostURL, host)
	hostOptions := inngest.RefreshOptions{Client: k.client(), Worker: k.forward(host, hostURL, signingKey), App: "system-bus-host", Poll: 5 * time.Millisecond}
	k.mustRefresh(hostOptions)
	hostBefore := k.app("system-bus-host")

	sets := []string{"approval-request,voice-missed-call", "approval-request,voice-missed-call,napper", "approval-request,napper,parallel"}
	var pods []*npmworkers.Process
	for _, set := range sets {
		pods = append(pods, k.pod(npmworkers.SDK3, nil, env{"FUNCTIONS": set}))
	}
	for i := range 20 {
		p := pods[i%len(pods)]
		k.set(clusterURL, p)
		o := k.options(p)
		o.AllowRemoval, o.Prune = true, true
		done := k.mustRefresh(o)
		if len(done.Pruned) != 0 || len(done.Foreign) != 1 || done.Foreign[0].Name != "system-bus-host" {
			t.Fatalf("refresh %d: pruned %v, foreign %v", i, done.Pruned, done.Foreign)
		}
		var want []string
		for _, f := range strings.Split(sets[i%len(sets)], ",") {
			want = append(want, "system-bus-cluster-"+f)
		}
		slices.Sort(want)
		if got := k.app("system-bus-cluster"); !slices.Equal(got.Slugs(), want) || got.URL != clusterURL+"/api/inngest" {
			t.Fatalf("refresh %d: %v at %s", i, got.Slugs(), got.URL)
		}
		if len(k.apps()) != 2 {
			t.Fatalf("refresh %d: %d apps", i, len(k.apps()))
		}
	}
	if now := k.app("system-bus-host"); fmt.Sprint(now) != fmt.Sprint(hostBefore) {
		t.Errorf("the host's app was touched:\n%v\n%v", hostBefore, now)
	}
	if ds := judge.Duplicates(k.apps()); len(ds) == 0 {
		t.Error("functions in both apps are not seen")
	}
}

// TestOldPodRegistersLate lets the old pod overwrite the new registration, as
// one does that ends slowly.
func TestOldPodRegistersLate(t *testing.T) {
	k := newKit(t, inngestd.Options{})
	serve := env{"INNGEST_SERVE_HOST": clusterURL}
	old := k.pod(npmworkers.SDK3, nil, serve)
	k.set(clusterURL, old)
	k.mustRefresh(k.options(old))

	serve["FUNCTIONS"] = "approval-request,voice-missed-call,queue-observer,napper"
	fresh := k.pod(npmworkers.SDK3, nil, serve)
	k.set(clusterURL, fresh)
	o := k.options(fresh)
	done := k.mustRefresh(o)
	if len(done.Diff.Added) != 1 {
		t.Fatalf("%v", done.Diff)
	}

	req, _ := http.NewRequestWithContext(k.ctx, http.MethodPut, old.URL()+"/api/inngest", nil)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if len(k.app("system-bus-cluster").Functions) != 4 {
		t.Fatal("the old pod did not overwrite the registration")
	}
	old.Kill()

	verify := inngest.VerifyOptions{Client: o.Client, Worker: o.Worker, Want: model.Wanted{App: o.App, URL: o.Worker.URL()}, Timeout: 200 * time.Millisecond, Poll: 5 * time.Millisecond}
	_, err = inngest.Verify(k.ctx, verify, nil)
	wantCode(t, err, "inngest-registration-differs")

	verify.Repair, verify.Timeout = true, time.Minute
	v, err := inngest.Verify(k.ctx, verify, nil)
	if err != nil || v.Repaired != 1 || len(v.App.Functions) != 5 {
		t.Errorf("%+v %v", v, err)
	}
}

// TestLossIsSeenThoughTheNewPodWasFaster: a new pod registers itself seconds
// after its start, so that the server's list has no loss to show any more.
func TestLossIsSeenThoughTheNewPodWasFaster(t *testing.T) {
	k := newKit(t, inngestd.Options{})
	old := k.cluster(env{"FUNCTIONS": "approval-request,napper"})
	before := k.mustRefresh(k.options(old)).App.Functions

	fresh := k.cluster(env{"FUNCTIONS": "approval-request,parallel"})
	o := k.options(fresh)
	o.AllowRemoval = true
	k.mustRefresh(o)
	o.AllowRemoval, o.Before = false, before
	_, err := inngest.Refresh(k.ctx, o, nil)
	if f := wantCode(t, err, "inngest-functions-removed"); !strings.Contains(f.What, "napper") {
		t.Errorf("%v", f)
	}
	o.AllowRemoval = true
	if done := k.mustRefresh(o); len(done.Diff.Added) != 1 || len(done.Diff.Removed) != 1 || len(done.Diff.Kept) != 1 {
		t.Errorf("against what was before: %v", done.Diff)
	}
}

// TestLossOfAWorkerThatShowsNothing is reported when it has happened, since it could
// not be foreseen.
func TestLossOfAWorkerThatShowsNothing(t *testing.T) {
	k := newKit(t, inngestd.Options{})
	k.mustRefresh(k.options(k.cluster(env{"FUNCTIONS": "approval-request,napper"})))
	shy := k.cluster(env{"FUNCTIONS": "approval-request", "INNGEST_ALLOW_IN_BAND_SYNC": "0"})
	_, err := inngest.Refresh(k.ctx, k.options(shy), nil)
	if f := wantCode(t, err, "inngest-functions-removed"); !strings.Contains(f.What, "1 registered function disappeared: system-bus-cluster-napper") {
		t.Errorf("%v", f)
	}
}
