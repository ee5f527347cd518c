package inngest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/client"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/inngest/wire"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/inngestd"
	"github.com/joelhooks/gh-sbw/internal/sandbox/npmworkers"
)

// TestKilledMidStep kills a worker in its second step: with 2 retries the run
// finishes on the replacement without executing the first step again.
func TestKilledMidStep(t *testing.T) {
	eachWorker(t, func(t *testing.T, sdk string, argv []string) {
		k := newKit(t, inngestd.Options{})
		old := k.pod(sdk, argv, env{"SLOW_MS": "600000"})
		k.set(clusterURL, old)
		app := k.mustRefresh(k.options(old)).App
		k.send("approval/requested")
		k.began(old, "slow")

		steps, err := inngest.RunningSteps(k.ctx, k.client(), app)
		if err != nil || len(steps) != 1 {
			t.Fatalf("%v %v", steps, err)
		}
		e := steps[0]
		if e.Slug != "system-bus-cluster-approval-request" || e.Step != "step after first" || e.Retries != 2 || e.Attempt != 0 || e.Risk() != judge.Delayed {
			t.Errorf("%+v", e)
		}
		findings := judge.JudgeRestart(steps, judge.RestartOptions{Now: time.Now()})
		if len(findings) != 1 || findings[0].Severity != pipeline.Note {
			t.Errorf("%v", findings)
		}

		fresh := k.pod(sdk, argv, nil)
		k.set(clusterURL, fresh)
		old.Kill()
		r := k.run("system-bus-cluster-approval-request", model.Completed)
		if r.Error != "" {
			t.Errorf("a completed run has the error %q", r.Error)
		}
		for _, l := range fresh.Lines() {
			if l.Step == "first" {
				t.Error("the finished first step ran again")
			}
			if l.Step == "slow" && l.Attempt != 1 {
				t.Errorf("slow ran as attempt %d", l.Attempt)
			}
		}
	})
}

// TestLost kills a worker in the only step of a function without retries. The
// loss is predicted, the run is lost, detected, and started again.
func TestLost(t *testing.T) {
	for _, sdk := range []string{npmworkers.SDK3, npmworkers.SDK4} {
		t.Run(sdk, func(t *testing.T) {
			k := newKit(t, inngestd.Options{})
			old := k.pod(sdk, nil, env{"SLOW_MS": "600000"})
			k.set(clusterURL, old)
			app := k.mustRefresh(k.options(old)).App
			if unsafe := judge.ZeroRetryFindings(app.Functions, nil); len(unsafe) != 1 || unsafe[0].Where != "system-bus-cluster-voice-missed-call" {
				t.Errorf("unsafe: %v", unsafe)
			}
			window := judge.Window{From: time.Now().Add(-time.Second)}
			k.send("voice/missed")
			k.began(old, "call")
			steps, err := inngest.RunningSteps(k.ctx, k.client(), app)
			if err != nil {
				t.Fatal(err)
			}
			findings := judge.JudgeRestart(steps, judge.RestartOptions{Now: time.Now()})
			if len(findings) != 1 || findings[0].Code != "inngest-step-killed" || findings[0].Severity != pipeline.Error {
				t.Fatalf("%v", findings)
			}
			_, err = inngest.WaitIdle(k.ctx, inngest.WaitIdleOptions{Client: k.client(), App: app, Timeout: 100 * time.Millisecond, Poll: 10 * time.Millisecond, MaxStepLoss: time.Hour}, nil)
			wantCode(t, err, "inngest-not-idle")

			fresh := k.pod(sdk, nil, nil)
			k.set(clusterURL, fresh)
			old.Kill()
			k.run("system-bus-cluster-voice-missed-call", model.Failed)
			window.To = time.Now().Add(time.Second)
			lost, err := inngest.FindLost(k.ctx, k.client(), app, window)
			if err != nil || len(lost) != 1 || !judge.IsUnreachable(lost[0].Error) {
				t.Fatalf("lost: %+v %v", lost, err)
			}
			if f := judge.LostFinding(lost); f.Code != "inngest-runs-lost" || len(f.Evidence) != 1 {
				t.Errorf("%v", f)
			}
			look, err := inngest.Status(k.ctx, inngest.ReportOptions{Client: k.client(), Worker: k.forward(fresh, clusterURL, signingKey), App: app.Name})
			if err != nil || !hasCode(look.Findings, "inngest-sdk-unreachable") {
				t.Errorf("status: %v %v", look.Findings, err)
			}
			again, err := inngest.RerunLost(k.ctx, k.client(), app, lost, nil)
			if err != nil || len(again) != 1 {
				t.Fatalf("%v %v", again, err)
			}
			if r := k.run("system-bus-cluster-voice-missed-call", model.Completed); r.ID != again[0].Run {
				t.Errorf("%s completed, want %s", r.ID, again[0].Run)
			}
			if _, err := inngest.WaitIdle(k.ctx, inngest.WaitIdleOptions{Client: k.client(), App: app, Poll: 10 * time.Millisecond}, nil); err != nil {
				t.Error(err)
			}
		})
	}
}

func hasCode(all []*pipeline.Finding, code string) bool {
	for _, f := range all {
		if string(f.Code) == code {
			return true
		}
	}
	return false
}

// TestSleepingIsIdle: a sleeping run is RUNNING, but a restart does not affect
// it.
func TestSleepingIsIdle(t *testing.T) {
	k := newKit(t, inngestd.Options{})
	p := k.cluster(env{"FUNCTIONS": "napper,inviter", "NAP": "1h"})
	app := k.mustRefresh(k.options(p)).App
	k.send("nap/wanted")
	k.send("invite/wanted")
	k.until("both wait", func() bool {
		runs, err := inngest.Detailed(k.ctx, k.client(), client.RunFilter{Status: []model.RunStatus{model.Running}})
		if err != nil {
			t.Fatal(err)
		}
		steps := map[string]bool{}
		for _, r := range runs {
			if !r.Ended.IsZero() {
				t.Fatalf("a running run has an end: %+v", r)
			}
			steps[r.Step] = true
		}
		return steps["nap"] && steps["answer"]
	})
	steps, err := inngest.RunningSteps(k.ctx, k.client(), app)
	if err != nil || len(steps) != 0 {
		t.Errorf("%v %v", steps, err)
	}
	inFlight, err := inngest.InFlight(k.ctx, k.client(), app)
	if err != nil || inFlight["system-bus-cluster-napper"] != (judge.InFlight{Begun: 1}) || inFlight["system-bus-cluster-inviter"] != (judge.InFlight{Begun: 1}) {
		t.Errorf("%v %v", inFlight, err)
	}

	// If their functions disappeared, these runs would be lost, and that is
	// reported.
	less := k.cluster(env{"FUNCTIONS": "inviter"})
	_, err = inngest.Refresh(k.ctx, k.options(less), nil)
	if f := wantCode(t, err, "inngest-functions-removed"); !strings.Contains(f.Why, "system-bus-cluster-napper has 1 run in flight") {
		t.Errorf("why: %s", f.Why)
	}
}

func TestConfirmRun(t *testing.T) {
	eachWorker(t, func(t *testing.T, sdk string, argv []string) {
		k := newKit(t, inngestd.Options{Backoff: inngestd.Scaled(10000)})
		p := k.pod(sdk, argv, env{"FUNCTIONS": "approval-request,thrower"})
		k.set(clusterURL, p)
		app := k.mustRefresh(k.options(p)).App
		o := inngest.ConfirmOptions{
			Client: k.client(), App: app, Key: wire.NewEventKey(eventKey), Event: client.Event{Name: "approval/requested"},
			Poll: 10 * time.Millisecond, Timeout: time.Minute,
		}
		done, err := inngest.ConfirmRun(k.ctx, o, nil)
		if err != nil || len(done.Runs) != 1 || done.Runs[0].Status != model.Completed || done.Runs[0].Slug != "system-bus-cluster-approval-request" {
			t.Fatalf("%+v %v", done, err)
		}
		o.Event.Name = "throw/wanted"
		_, err = inngest.ConfirmRun(k.ctx, o, nil)
		if f := wantCode(t, err, "inngest-confirm-failed"); !strings.Contains(f.Why, "thrown on purpose") {
			t.Errorf("why: %s", f.Why)
		}
		o.Event.Name = "nobody/listens"
		_, err = inngest.ConfirmRun(k.ctx, o, nil)
		if f := wantCode(t, err, "inngest-confirm-event"); !strings.Contains(f.Fix, "approval/requested, throw/wanted") {
			t.Errorf("fix: %s", f.Fix)
		}
		o.Event.Name, o.Key = "approval/requested", wire.NewEventKey("wrong-and-secret")
		_, err = inngest.ConfirmRun(k.ctx, o, nil)
		if f := wantCode(t, err, "inngest-event-key"); strings.Contains(f.Error(), "wrong-and-secret") {
			t.Errorf("the key is in %v", f)
		}
	})
}
