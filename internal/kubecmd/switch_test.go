package kubecmd

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubectl/pkg/util/podutils"

	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

const workersService = `---
apiVersion: v1
kind: Service
metadata: {name: worker}
spec:
  selector: {app: worker}
  ports: [{port: 3111}]
`

// newSwitchWorld makes a world whose worker has a Service in its manifest and runs
// at tag old.
func newSwitchWorld(t *testing.T) *world {
	w := newWorld(t, 1)
	w.write("k8s/worker.yaml", w.read("k8s/worker.yaml")+workersService)
	w.run(0, "rollout", "--tag", "old", "--no-inngest")
	return w
}

func (w *world) service() *corev1.Service {
	w.Helper()
	svc, err := w.kubes[0].CoreV1().Services(w.ns).Get(w.Context(), "worker", metav1.GetOptions{})
	if err != nil {
		w.Fatal(err)
	}
	return svc
}

// serving returns the images that the Service routes to.
func (w *world) serving() []string {
	w.Helper()
	pods, err := w.kubes[0].CoreV1().Pods(w.ns).List(w.Context(), metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: w.service().Spec.Selector})})
	if err != nil {
		w.Fatal(err)
	}
	var tags []string
	for i := range pods.Items {
		p := &pods.Items[i]
		if p.DeletionTimestamp == nil && podutils.IsPodReady(p) {
			tags = append(tags, imageref.Split(p.Spec.Containers[0].Image).Tag)
		}
	}
	slices.Sort(tags)
	return slices.Compact(tags)
}

// released fails if anything is still held.
func (w *world) released() {
	w.Helper()
	d, svc := w.deployment(0), w.service()
	if handover.Held(d) || d.Annotations[handover.Annotation] != "" || len(svc.Spec.Selector) != 1 || svc.Annotations[handover.Annotation] != "" {
		w.Errorf("still held: %+v %v", d.Spec.Strategy, svc.Spec.Selector)
	}
}

// decoded reads a result printed with -o json.
func decoded(t *testing.T, stdout string) (d struct {
	Strategy handover.Choice `json:"strategy"`
	Findings []struct{ Code string }
	Stages   []struct{ Name, Skipped string }
	Handover string
}) {
	t.Helper()
	if err := json.Unmarshal([]byte(stdout), &d); err != nil {
		t.Fatalf("%v\n%s", err, stdout)
	}
	return d
}

func TestSwitch(t *testing.T) {
	w := newSwitchWorld(t)
	before := w.deployment(0).Spec
	out, _ := w.run(0, "doctor", "--tag", "new", "--no-inngest", "--strategy", "auto", "-o", "json")
	if s := decoded(t, out).Strategy; s.Strategy != handover.StrategySwitch || len(s.Services) != 1 {
		t.Fatalf("%+v", s)
	}
	out, errs := w.run(0, "rollout", "--tag", "new", "--no-inngest", "--strategy", "switch", "-o", "json")
	if s := decoded(t, out).Strategy; s.Strategy != handover.StrategySwitch {
		t.Errorf("%+v\n%s", s, errs)
	}
	w.released()
	after := w.deployment(0).Spec
	if w.tag(0) != "new" || after.MinReadySeconds != before.MinReadySeconds || *after.ProgressDeadlineSeconds != *before.ProgressDeadlineSeconds ||
		after.Strategy.RollingUpdate.MaxSurge.String() != before.Strategy.RollingUpdate.MaxSurge.String() {
		t.Errorf("%s %+v", w.tag(0), after)
	}
	out, _ = w.run(0, "rollout", "--tag", "new", "--no-inngest", "--dry-run=server")
	if strings.Contains(out, "configured") {
		t.Error(out)
	}
	// The tag is already live: there is nothing to switch.
	out, _ = w.run(0, "rollout", "--tag", "new", "--no-inngest", "--strategy", "auto", "-o", "json")
	if s := decoded(t, out).Strategy; s.Strategy != handover.StrategyRolling {
		t.Errorf("%+v", s)
	}
}

// Somebody else's image is a rollout's to take, and does not prevent a switch.
func TestSwitchAfterSetImage(t *testing.T) {
	w := newSwitchWorld(t)
	w.byHand("newer")
	w.until(func() bool {
		d := w.deployment(0)
		return d.Status.ObservedGeneration == d.Generation && d.Status.UpdatedReplicas == 1 && d.Status.Replicas == 1 &&
			slices.Equal(w.serving(), []string{"newer"})
	})
	out, _ := w.run(0, "rollout", "--tag", "new", "--no-inngest", "-o", "json")
	if s := decoded(t, out).Strategy; s.Strategy != handover.StrategySwitch || w.tag(0) != "new" {
		t.Errorf("%+v, runs %s", s, w.tag(0))
	}
	w.released()
}

// A version that fails the proof has not served a request: the exit code is 4, and
// everything is restored.
func TestSwitchThatFailsBeforeIt(t *testing.T) {
	w := newSwitchWorld(t)
	file := w.read("k8s/worker.yaml")
	for _, args := range [][]string{
		{"--tag", "crash"},
		{"--tag", "new", "--probe-expect", "what no page has"},
	} {
		_, errs := w.run(4, append([]string{"rollout", "--no-inngest", "--strategy", "switch"}, args...)...)
		if !strings.Contains(errs, "served no request") || w.tag(0) != "old" || w.read("k8s/worker.yaml") != file {
			t.Errorf("%v: %s\n%s", args, w.tag(0), errs)
		}
		w.released()
	}
}

func TestSwitchWhereItIsNotPossible(t *testing.T) {
	w := newWorld(t, 1)
	w.run(0, "rollout", "--tag", "old", "--no-inngest", "--strategy", "auto") // the first rollout
	out, _ := w.run(3, "rollout", "--tag", "new", "--no-inngest", "--strategy", "switch", "-o", "json")
	if d := decoded(t, out); len(d.Findings) == 0 || !slices.ContainsFunc(d.Findings, func(f struct{ Code string }) bool { return f.Code == "switch-impossible" }) {
		t.Errorf("%+v", d)
	}
	out, _ = w.run(0, "rollout", "--tag", "new", "--no-inngest", "--strategy", "auto", "-o", "json")
	if s := decoded(t, out).Strategy; s.Strategy != handover.StrategyRolling || !strings.Contains(s.Reason, "no Service") || w.tag(0) != "new" {
		t.Errorf("%+v", s)
	}
	w.run(2, "rollout", "--tag", "new", "--strategy", "sideways")
}

// TestKilledAtEveryStageOfASwitch: wherever a run is killed, one proven version continues
// to serve, status shows what is held, and the next run completes it.
func TestKilledAtEveryStageOfASwitch(t *testing.T) {
	t.Parallel()
	roll := func(tag string, more ...string) []string {
		return append([]string{"rollout", "--no-inngest", "--tag", tag}, more...)
	}
	resume, undo, other := []string{"rollout", "--no-inngest", "--resume"}, []string{"undo", "--no-inngest"}, roll("newer")
	again := roll("new", "--strategy", "switch")
	for _, one := range []struct {
		at    string
		serve string // before the next run starts
		stage handover.Stage
		then  []string
		code  int
		runs  string
	}{
		{"note apply", "old", handover.Applied, again, 0, "new"},
		{"note apply", "old", handover.Applied, other, 0, "newer"},
		{"note apply", "old", handover.Applied, undo, 0, "old"},
		{"note hold", "old", "", again, 0, "new"},
		{"note hold", "old", "", undo, 0, "old"},
		{"note hold", "old", "", other, 0, "newer"},
		{"stage-finished watch", "old", handover.Proving, resume, 0, "new"},
		{"stage-finished watch", "old", handover.Proving, undo, 0, "old"},
		{"stage-finished watch", "old", handover.Proving, other, 0, "newer"},
		{"stage-started switch", "old", handover.Proving, again, 0, "new"},
		{"note switch", "new", handover.Switched, resume, 0, "new"},
		{"note switch", "new", handover.Switched, undo, 0, "old"},
		{"note switch", "new", handover.Switched, again, 0, "new"},
		{"stage-started release", "new", handover.Switched, resume, 0, "new"},
		{"note release", "new", handover.Released, again, 0, "new"},
		{"note release", "new", handover.Released, other, 0, "newer"},
		{"stage-finished release", "new", handover.NotHeld, again, 0, "new"},
	} {
		t.Run(fmt.Sprintf("%s, then %s", one.at, strings.Join(one.then, " ")), func(t *testing.T) {
			w := newSwitchWorld(t)
			w.kill(one.at, again...)
			if got := w.serving(); len(got) != 1 || got[0] != one.serve {
				t.Errorf("%v serve", got)
			}
			w.out.Reset()
			w.try("status", "--no-inngest", "-o", "json")
			stage := one.stage
			if stage == handover.NotHeld {
				stage = ""
			}
			if d := decoded(t, w.out.String()); one.stage != "" && d.Handover != string(stage) {
				t.Errorf("status says %q, want %q", d.Handover, stage)
			}
			_, errs := w.run(one.code, one.then...)
			w.released()
			if w.tag(0) != one.runs {
				t.Errorf("runs %s", w.tag(0))
			}
			if kept, err := filepath.Glob(filepath.Join(w.state, "sbw/journal/*")); err != nil || len(kept) > 0 {
				t.Errorf("journals are left: %q %v", kept, err)
			}
			if t.Failed() {
				t.Logf("%s", errs)
			}
		})
	}
}

// Somebody on another machine has no journal: the marks in the cluster are enough.
func TestKilledAndFoundBySomebodyElse(t *testing.T) {
	w := newSwitchWorld(t)
	for _, one := range []struct {
		at   string
		then []string
		runs string
	}{
		{"stage-finished watch", []string{"undo", "--no-inngest"}, "old"},
		{"stage-finished watch", []string{"rollout", "--no-inngest", "--resume"}, "new"},
		{"note switch", []string{"undo", "--no-inngest"}, "old"},
		{"note switch", []string{"rollout", "--no-inngest", "--resume"}, "new"},
	} {
		w.kill(one.at, "rollout", "--no-inngest", "--tag", "new", "--strategy", "switch")
		w.state = t.TempDir()
		// The lock of the other machine's run expires; the test does not wait for that.
		if err := w.kubes[0].CoordinationV1().Leases(w.ns).Delete(t.Context(), "sbw-deployment-worker", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		_, errs := w.run(0, one.then...)
		w.released()
		if w.tag(0) != one.runs {
			t.Errorf("killed at %s, then %v: runs %s\n%s", one.at, one.then, w.tag(0), errs)
		}
		w.run(0, "rollout", "--no-inngest", "--tag", "old")
	}
}

// If somebody restarts or changes the Deployment while the old pods finish their work, its
// controller terminates the pods that the Services route to. The Services then route to
// the old version again, which is still there, and the change is left alone.
func TestSomebodyChangesTheTemplateDuringTheDrain(t *testing.T) {
	t.Parallel()
	for what, patch := range map[string]string{
		"restart":  `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}}}}}`,
		"variable": `{"spec":{"template":{"spec":{"containers":[{"name":"worker","env":[{"name":"A","value":"b"}]}]}}}}`,
	} {
		t.Run(what, func(t *testing.T) {
			w := newSwitchWorld(t)
			_, out := w.runInterrupted("drain", func(context.CancelCauseFunc) {
				if _, err := w.kubes[0].AppsV1().Deployments(w.ns).Patch(w.Context(), "worker", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "another"}); err != nil {
					t.Error(err)
				}
			}, "rollout", "--no-inngest", "--tag", "new", "--strategy", "switch", "--bake", "10m")
			if out.End != pipeline.Left || !slices.Contains(codes(out), workload.CodeSuperseded) {
				t.Errorf("%v %v: %v", out.End, codes(out), out.Err)
			}
			if got := w.serving(); !slices.Equal(got, []string{"old"}) {
				t.Errorf("%v serve", got)
			}
			// The next run completes it.
			w.run(0, "undo", "--no-inngest")
			w.released()
			if got := w.serving(); len(got) != 1 {
				t.Errorf("%v serve", got)
			}
		})
	}
}
