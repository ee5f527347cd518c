package handover_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
)

func TestProveThenSwitch(t *testing.T) {
	b := newBench(t, "")
	applied := b.apply("x/w:2")
	if p := b.decide(); p.Stage != handover.Applied || p.New != "" || b.pins() != [2]string{} {
		t.Fatalf("%+v %v", p, b.pins())
	}
	if err := b.run.Hold(t.Context(), b.origin(), names); err != nil {
		t.Fatal(err)
	}
	b.ready(applied)
	fresh := b.version()
	if p := b.decide(); p.Stage != handover.Proving || p.New != fresh || fresh == b.old || b.pins() != [2]string{b.old, b.old} {
		t.Fatalf("%+v %v", p, b.pins())
	}
	if n := b.running(); n["x/w:1"] != 2 || n["x/w:2"] != 2 {
		t.Fatal(n)
	}
	if err := b.run.Switch(t.Context(), fresh, nil); err != nil {
		t.Fatal(err)
	}
	if p := b.decide(); p.Stage != handover.Switched || b.pins() != [2]string{fresh, fresh} {
		t.Fatalf("%+v %v", p, b.pins())
	}
	if err := b.run.SwitchBack(t.Context()); err != nil || b.pins() != [2]string{b.old, b.old} {
		t.Fatal(err, b.pins())
	}
	if err := b.run.Switch(t.Context(), fresh, nil); err != nil {
		t.Fatal(err)
	}
	if err := b.run.Release(t.Context(), false, b.watching()); err != nil {
		t.Fatal(err)
	}
	b.clean()
	b.complete()
	if n := b.running(); n["x/w:1"] != 0 || n["x/w:2"] != 2 {
		t.Fatal(n)
	}
	if out := b.kubectl("diff", "-f", b.file); out != "" {
		t.Error(out)
	}
	if out := b.kubectl("apply", "-f", b.file); strings.Contains(out, "configured") {
		t.Error(out)
	}
}

// A release leaves the values and owners that an apply without a hold would have left.
func TestReleaseRestoresValuesAndOwners(t *testing.T) {
	const all = "  minReadySeconds: 1\n  progressDeadlineSeconds: 300\n  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}\n"
	for _, test := range []struct {
		name          string
		before, after string // fields of the manifest
		theirs        string // a patch by somebody else in between
	}{
		{"defaults", "", "", ""},
		{"named", all, all, ""},
		{"named from now on", "", all, ""},
		{"no longer named", all, "", ""},
		{"changed", "  minReadySeconds: 1\n", "  minReadySeconds: 2\n", ""},
		{"somebody else's", "", "", `{"spec":{"minReadySeconds":3,"progressDeadlineSeconds":77,"strategy":{"rollingUpdate":{"maxSurge":"50%"}}}}`},
		{"partly somebody else's", "  strategy: {rollingUpdate: {maxSurge: 1}}\n", "  strategy: {rollingUpdate: {maxSurge: 1}}\n",
			`{"spec":{"strategy":{"rollingUpdate":{"maxUnavailable":1}}}}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			results := map[bool]handover.Fields{}
			managers := map[bool]string{}
			for _, held := range []bool{false, true} {
				t.Run(map[bool]string{false: "plain", true: "held"}[held], func(t *testing.T) {
					b := newBenchHere(t, test.before)
					if test.theirs != "" {
						b.patch("deployment", test.theirs)
					}
					b.fields = test.after
					if !held {
						b.applyWith("x/w:2", nil)
					} else {
						b.switched()
						if err := b.run.Release(t.Context(), false, b.watching()); err != nil {
							t.Fatal(err)
						}
						b.clean()
					}
					d := b.deployment()
					results[held] = handover.Fields{MinReadySeconds: d.Spec.MinReadySeconds, ProgressDeadlineSeconds: d.Spec.ProgressDeadlineSeconds, Strategy: d.Spec.Strategy}
					managers[held] = owners(t, d) + "\n" + owners(t, b.service("worker"))
				})
			}
			if !reflect.DeepEqual(results[true], results[false]) {
				t.Errorf("held %s, plain %s", text(t, results[true]), text(t, results[false]))
			}
			if managers[true] != managers[false] {
				t.Errorf("held:\n%s\nplain:\n%s", managers[true], managers[false])
			}
		})
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// When a run is killed, the old version keeps serving. Anybody can go back from there,
// which leaves no trace of the hold.
func TestGoingBackFromEveryStage(t *testing.T) {
	for _, test := range []struct {
		name string
		get  func(*bench)
	}{
		{"no Service pinned", stages["paused"]},
		{"one Service pinned", stages["partly pinned"]},
		{"pinned", stages["pinned"]},
		{"applied and never Ready", stages["applied"]},
		{"ready", stages["ready"]},
		{"switched", func(b *bench) { b.switched() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, "  minReadySeconds: 1\n")
			before := b.deployment()
			test.get(b)
			if err := b.newRun().GoBack(t.Context(), b.watching()); err != nil {
				t.Fatal(err)
			}
			b.clean()
			b.complete()
			after := b.deployment()
			if n := b.running(); n["x/w:1"] != 2 || len(n) != 1 {
				t.Error(n)
			}
			if !reflect.DeepEqual(before.Spec, after.Spec) {
				t.Errorf("%s\n%s", text(t, before.Spec), text(t, after.Spec))
			}
			b.image("x/w:1")
			if out := b.kubectl("diff", "-f", b.file); out != "" {
				t.Error(out)
			}
		})
	}
}

// A run that is killed during the release is finished by the next one.
func TestReleasingTwice(t *testing.T) {
	b := newBench(t, "")
	b.switched()
	if _, err := b.run.ReleaseDeployment(t.Context()); err != nil {
		t.Fatal(err)
	}
	next := b.newRun()
	if p := b.decide(); p.Stage != handover.Released || !p.Automatic() {
		t.Fatalf("%+v", p)
	}
	for range 2 {
		if err := next.Release(t.Context(), false, b.watching()); err != nil {
			t.Fatal(err)
		}
	}
	b.clean()
}

func TestSomebodyElseHasChangedAService(t *testing.T) {
	b := newBench(t, "")
	b.ready(b.held("x/w:2"))
	b.patch("service", `{"spec":{"selector":{"tier":"theirs"}}}`)
	err := b.run.Switch(t.Context(), b.version(), nil)
	if code(err) != handover.CodeForeign || !errors.Is(err, handover.ErrForeign) || !strings.Contains(err.Error(), "somebody") {
		t.Fatal(err)
	}
	// The other Service did not stay on the new version alone.
	if svc := b.service("worker"); b.pins() != [2]string{b.old, b.old} || svc.Spec.Selector["tier"] != "theirs" {
		t.Fatal(b.pins(), svc.Spec.Selector)
	}
	// Going back removes the pin and keeps what is theirs.
	if err := b.run.GoBack(t.Context(), b.watching()); err != nil {
		t.Fatal(err)
	}
	if svc := b.service("worker"); len(svc.Spec.Selector) != 2 || svc.Spec.Selector["tier"] != "theirs" || svc.Annotations[handover.Annotation] != "" {
		t.Fatal(svc.Spec.Selector)
	}
}

func TestSomebodyElseHoldsAlready(t *testing.T) {
	b := newBench(t, "")
	b.held("x/w:2")
	origin := b.origin()
	origin.Run = "run2"
	if err := b.newRun().Hold(t.Context(), origin, []string{"worker"}); code(err) != handover.CodeForeign {
		t.Fatal(err)
	}
	if p := b.decide(); p.Run != "run1" {
		t.Fatalf("%+v", p)
	}
}

// If a Service cannot be held, the others are released again.
func TestHoldIsWhole(t *testing.T) {
	b := newBench(t, "")
	b.apply("x/w:2")
	if err := b.run.Hold(t.Context(), b.origin(), []string{"admin", "gone"}); err == nil {
		t.Fatal("a Service that is not there was held")
	}
	if n := b.running(); b.pins() != [2]string{} || len(n) != 1 {
		t.Fatal(b.pins(), n)
	}
	if err := b.run.GoBack(t.Context(), b.watching()); err != nil {
		t.Fatal(err)
	}
	b.clean()
}

// If somebody else rolls out a version, the hold is released, their template is not
// touched, and the Services always have a pod.
func TestSomebodyElseRollsOut(t *testing.T) {
	b := newBench(t, "")
	b.ready(b.held("x/w:2"))
	b.patch("deployment", `{"spec":{"template":{"spec":{"containers":[{"name":"worker","image":"x/w:theirs"}]}}}}`)
	p := b.decide()
	if p.Stage != handover.Disturbed || p.Action() != handover.Release || !p.ServicesFirst {
		t.Fatalf("%+v", p)
	}
	if err := b.run.GoBack(t.Context(), b.watching()); code(err) != handover.CodeForeign {
		t.Fatal(err)
	}
	if err := b.run.Release(t.Context(), p.ServicesFirst, b.watching()); err != nil {
		t.Fatal(err)
	}
	b.clean()
	b.complete()
	if n := b.running(); n["x/w:theirs"] != 2 || len(n) != 1 {
		t.Fatal(n)
	}
}

// A plain kubectl apply of a manifest that sets a held field breaks the hold.
func TestTheHoldIsBrokenWhileWaiting(t *testing.T) {
	b := newBench(t, "")
	applied := b.held("x/w:slow")
	b.patch("deployment", `{"spec":{"minReadySeconds":0}}`)
	o := b.watching()
	o.Applied = applied
	if _, err := b.run.Ready(t.Context(), o); code(err) != handover.CodeForeign || !strings.Contains(err.Error(), "somebody") {
		t.Fatal(err)
	}
	p := b.decide()
	if p.Stage != handover.Disturbed || !p.ServicesFirst {
		t.Fatalf("%+v", p)
	}
	if err := b.run.Release(t.Context(), true, b.watching()); err != nil {
		t.Fatal(err)
	}
	b.clean()
}

func TestNoSwitchToAVersionThatIsNotReady(t *testing.T) {
	b := newBench(t, "")
	b.held("x/w:slow")
	if err := b.run.Switch(t.Context(), b.version(), nil); code(err) != handover.CodeNoReady || b.pins() != [2]string{b.old, b.old} {
		t.Fatal(err, b.pins())
	}
	if err := b.run.Switch(t.Context(), "nonsense", nil); code(err) != handover.CodeNoReady {
		t.Fatal(err)
	}
}

// A version that crashes is distinguished from one that is merely slow, whether it is
// held or not.
func TestFailingBeforeTheSwitch(t *testing.T) {
	b := newBench(t, "")
	o := b.watching()
	o.Applied = b.held("x/w:missing")
	if _, err := b.run.Ready(t.Context(), o); code(err) != "image-not-found" {
		t.Fatal(err)
	}
	if b.pins() != [2]string{b.old, b.old} {
		t.Fatal(b.pins())
	}
}

// An autoscaler may change the scale during a hand-over: every pod of both versions
// exists afterwards.
func TestScaledWhileHeld(t *testing.T) {
	b := newBench(t, "")
	applied := b.held("x/w:2")
	b.ready(applied)
	b.patch("deployment", `{"spec":{"replicas":3}}`)
	o := b.watching()
	o.Applied = &workload.Workload{Deployment: b.deployment()}
	if r, err := b.run.Ready(t.Context(), o); err != nil || r.Verdict.Ready != 3 {
		t.Fatalf("%v %+v", err, r.Verdict)
	}
	if err := b.run.Switch(t.Context(), b.version(), nil); err != nil {
		t.Fatal(err)
	}
	if err := b.run.Release(t.Context(), false, b.watching()); err != nil {
		t.Fatal(err)
	}
	b.clean()
	if d := b.deployment(); *d.Spec.Replicas != 3 {
		t.Fatal(*d.Spec.Replicas)
	}
}

// Deployments that were never held stay as they are.
func TestNothingHeld(t *testing.T) {
	b := newBench(t, "")
	version := func() string { return b.deployment().ResourceVersion + b.service("worker").ResourceVersion }
	before := version()
	if w, err := b.run.ReleaseDeployment(t.Context()); w != nil || err != nil {
		t.Fatal(w, err)
	}
	for _, err := range []error{b.run.ReleaseServices(t.Context()), b.run.SwitchBack(t.Context()), b.run.GoBack(t.Context(), b.watching())} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if version() != before {
		t.Error("something was written")
	}
	if _, err := b.kube.AppsV1().Deployments(b.ns).Get(t.Context(), "worker", metav1.GetOptions{}); err != nil {
		t.Fatal(err)
	}
}

// What others do to a killed run's hand-over may interrupt the service (see freeze), but
// the next run ends it, and resumes only what a hand-over has paused.
func TestNothingStaysHeld(t *testing.T) {
	applyOld := func(b *bench) error { b.image("x/w:1"); return b.try("apply", "-f", b.file) }
	for name, one := range map[string]struct {
		fields, stage string
		other         func(*bench) error
	}{
		"the new ReplicaSet is deleted":                    {"", "switched", others["delete set"]},
		"the old template is applied":                      {"", "switched", applyOld},
		"the old template is applied without any history":  {"  revisionHistoryLimit: 0\n", "switched", applyOld},
		"all times are set before the Services are pinned": {"", "paused", others["set fields"]},
		"all times are set before the switch":              {"", "ready", others["set fields"]},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, one.fields)
			stages[one.stage](b)
			if err := one.other(b); err != nil {
				t.Fatal(err)
			}
			b.quiet()
			p := b.decide()
			var err error
			if slices.Contains(p.Choices, handover.GoBack) {
				err = b.run.GoBack(t.Context(), b.watching())
			} else {
				err = b.run.Release(t.Context(), p.ServicesFirst, b.watching())
			}
			if err != nil {
				t.Errorf("%+v: %v", p, err)
			}
			b.quiet()
			b.clean()
			if b.deployment().Spec.Paused {
				t.Error("it is still paused")
			}
		})
	}
}

// A mark that was copied back from a ReplicaSet does not make somebody else's pause ours.
func TestSomebodyElsesPause(t *testing.T) {
	b := newBench(t, "")
	b.switched()
	text := b.deployment().Annotations[handover.Annotation]
	if err := b.run.Release(t.Context(), false, b.watching()); err != nil {
		t.Fatal(err)
	}
	b.kubectl("annotate", "deployment/worker", handover.Annotation+"="+text)
	b.kubectl("rollout", "pause", "deployment/worker")
	if p := b.decide(); p.Stage != handover.NotHeld {
		t.Errorf("%+v", p)
	}
	if err := b.run.Thaw(t.Context()); err != nil || !b.deployment().Spec.Paused {
		t.Error("somebody else's pause was ended", err)
	}
}
