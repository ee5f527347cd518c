package inngest_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/sandbox/inngestd"
	"github.com/joelhooks/gh-sbw/internal/sandbox/npmworkers"
)

// dead is proof that nothing is left behind a URL.
func dead(urls ...string) inngest.LivenessFunc {
	return func(_ context.Context, apps []model.App) (map[string]judge.Worker, error) {
		all := map[string]judge.Worker{}
		for _, a := range apps {
			if slices.ContainsFunc(urls, func(u string) bool { return strings.HasPrefix(a.URL, u) }) {
				all[a.ID] = judge.Worker{Liveness: judge.Dead, Proof: "its Service does not exist"}
			}
		}
		return all, nil
	}
}

// TestPrune deletes what rules call stale, and nothing else.
func TestPrune(t *testing.T) {
	k := newKit(t, inngestd.Options{KeyedByURL: true}) // as servers before 1.15
	p := k.pod(npmworkers.SDK3, nil, nil)
	k.set(clusterURL, p)
	k.set("http://system-bus-worker-old:3111", p)
	for _, at := range []string{"http://system-bus-worker-old:3111", hostURL} {
		o := k.options(p)
		o.Worker = k.forward(p, at, signingKey)
		if at == hostURL {
			h := k.pod(npmworkers.SDK3, nil, env{"INNGEST_APP_ID": "system-bus-host"})
			k.set(hostURL, h)
			o.Worker, o.App = k.forward(h, at, signingKey), "system-bus-host"
		}
		k.mustRefresh(o)
	}
	o := k.options(p)
	done := k.mustRefresh(o)
	if len(done.Stale) != 1 || done.Stale[0].Rule != judge.OtherURL || len(done.Pruned) != 0 || len(k.apps()) != 3 {
		t.Fatalf("stale %v, pruned %v, %d apps", done.Stale, done.Pruned, len(k.apps()))
	}
	if len(done.Findings) != 1 || done.Findings[0].Code != "inngest-stale-apps" {
		t.Errorf("findings %v", done.Findings)
	}
	o.Prune = true
	done = k.mustRefresh(o)
	if len(done.Pruned) != 0 || !hasCode(done.Findings, "inngest-stale-in-use") || len(k.apps()) != 3 {
		t.Fatalf("without proof: pruned %v, findings %v", done.Pruned, done.Findings)
	}
	o.Liveness = dead("http://system-bus-worker-old:3111")
	plan, err := inngest.PlanRefresh(k.ctx, o)
	if err != nil || len(plan.Stale) != 1 || !plan.Stale[0].Prunable() || len(k.apps()) != 3 {
		t.Fatalf("the plan: %+v %v", plan, err)
	}
	done = k.mustRefresh(o)
	if len(done.Stale) != 0 {
		t.Errorf("what was deleted is stale again: %v", done.Stale)
	}
	if len(done.Pruned) != 1 || done.Pruned[0].App.URL != "http://system-bus-worker-old:3111/api/inngest" {
		t.Errorf("pruned %v", done.Pruned)
	}
	left := k.apps()
	if len(left) != 2 || k.app("system-bus-host").URL != hostURL+"/api/inngest" || k.app("system-bus-cluster").URL != clusterURL+"/api/inngest" {
		t.Errorf("left %v", left)
	}
}

// TestPruneNoUI: a server that cannot delete apps keeps them, and nothing else fails.
func TestPruneNoUI(t *testing.T) {
	k := newKit(t, inngestd.Options{NoUI: true})
	own := k.cluster(env{"FUNCTIONS": "approval-request,napper"})
	k.mustRefresh(k.options(own))
	const idleURL = "http://idle:3111"
	idle := k.pod(npmworkers.SDK3, nil, env{"INNGEST_APP_ID": "idle", "FUNCTIONS": "napper"})
	k.set(idleURL, idle)
	k.mustRefresh(inngest.RefreshOptions{Client: k.client(), Worker: k.forward(idle, idleURL, signingKey), App: "idle", Poll: 5 * time.Millisecond})
	idle.Kill()
	o := k.options(own)
	o.Prune, o.Liveness = true, dead(idleURL)
	done := k.mustRefresh(o)
	if len(done.Pruned) != 0 || len(done.Stale) != 1 || !strings.Contains(done.Stale[0].Kept, "--no-ui") || !hasCode(done.Findings, "inngest-stale-in-use") {
		t.Errorf("pruned %v, stale %v, findings %v", done.Pruned, done.Stale, done.Findings)
	}
}

// TestPruneGone deletes placeholders and apps with our functions whose Service is
// proven to be gone, but nothing that has had runs lately.
func TestPruneGone(t *testing.T) {
	k := newKit(t, inngestd.Options{})
	own := k.cluster(env{"FUNCTIONS": "approval-request,napper", "NAP": "1h"})
	k.mustRefresh(k.options(own))
	const loopsURL = "http://loops:3111"
	loops := k.pod(npmworkers.SDK3, nil, env{"INNGEST_APP_ID": "loops", "FUNCTIONS": "napper", "NAP": "1h"})
	k.set(loopsURL, loops)
	k.mustRefresh(inngest.RefreshOptions{Client: k.client(), Worker: k.forward(loops, loopsURL, signingKey), App: "loops", Poll: 5 * time.Millisecond})
	k.send("nap/wanted")
	var nap model.Run
	k.until("the nap", func() bool {
		nap = k.run("loops-napper", model.Running)
		return nap.Step == "nap"
	})
	resp, err := http.Post(k.url+"/v0/gql", "application/json", strings.NewReader(`{"query":"mutation{createApp(input:{url:\"http://nowhere:3999/api/inngest\"}){id}}"}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	loops.Kill()
	if len(k.apps()) != 3 {
		t.Fatalf("apps %v", k.apps())
	}

	o := k.options(own)
	o.Prune = true
	o.Liveness = dead("http://nowhere:3999")
	done := k.mustRefresh(o)
	if len(done.Pruned) != 1 || done.Pruned[0].Rule != judge.Placeholder || len(done.Foreign) != 1 {
		t.Fatalf("pruned %v, foreign %v", done.Pruned, done.Foreign)
	}
	o.Liveness = dead("http://nowhere:3999", loopsURL)
	done = k.mustRefresh(o)
	if len(done.Pruned) != 0 || !hasCode(done.Findings, "inngest-stale-in-use") || k.app("loops").Name == "" {
		t.Fatalf("pruned %v, findings %v", done.Pruned, done.Findings)
	}
	if err := k.client().CancelRun(k.ctx, nap.ID); err != nil {
		t.Fatal(err)
	}
	done = k.mustRefresh(o)
	if len(done.Pruned) != 0 || len(done.Stale) != 1 || !strings.Contains(done.Stale[0].Kept, "last day") {
		t.Fatalf("an app that ran today: pruned %v, stale %v", done.Pruned, done.Stale)
	}
	// One like it that has not had a run is deleted.
	const idleURL = "http://idle:3111"
	idle := k.pod(npmworkers.SDK3, nil, env{"INNGEST_APP_ID": "idle", "FUNCTIONS": "napper"})
	k.set(idleURL, idle)
	k.mustRefresh(inngest.RefreshOptions{Client: k.client(), Worker: k.forward(idle, idleURL, signingKey), App: "idle", Poll: 5 * time.Millisecond})
	idle.Kill()
	o.Liveness = dead("http://nowhere:3999", loopsURL, idleURL)
	done = k.mustRefresh(o)
	if len(done.Pruned) != 1 || done.Pruned[0].Rule != judge.WorkerGone || done.Pruned[0].App.Name != "idle" || len(k.apps()) != 2 {
		t.Errorf("pruned %v, apps %v", done.Pruned, k.apps())
	}
}
