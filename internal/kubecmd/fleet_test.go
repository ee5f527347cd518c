package kubecmd

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// fleet runs a command in several contexts and reads its result.
func (w *world) fleet(code int, args ...string) rolloutDocument {
	w.Helper()
	out, _ := w.run(code, append(args, "--no-inngest", "-o", "json")...)
	var res rolloutDocument
	if err := json.Unmarshal([]byte(out), &res); err != nil {
		w.Fatalf("%v\n%s", err, out)
	}
	if res.ExitCode != code {
		w.Errorf("exit code %d in the result of exit code %d", res.ExitCode, code)
	}
	return res
}

// ends returns a line "CONTEXT: END, runs TAG" per context; the tag is the cluster's.
func (w *world) ends(res rolloutDocument) []string {
	w.Helper()
	var all []string
	for _, c := range res.Contexts {
		all = append(all, c.Context+": "+c.End+", runs "+w.tag(map[string]int{"eu": 0, "us": 1}[c.Context]))
	}
	return all
}

func (w *world) wantEnds(res rolloutDocument, want ...string) {
	w.Helper()
	if diff := cmp.Diff(want, w.ends(res)); diff != "" {
		w.Errorf("%s\n%s", diff, w.errs)
	}
}

// TestSeveralClusters follows the life of a worker in two clusters.
func TestSeveralClusters(t *testing.T) {
	w := newWorld(t, 2)
	w.run(0, "rollout", "--contexts", "eu,us", "--tag", "old", "--no-inngest")
	if w.tag(0) != "old" || w.tag(1) != "old" {
		t.Fatalf("run %s and %s", w.tag(0), w.tag(1))
	}
	if n := strings.Count(w.errs.String(), "stamp: k8s/worker.yaml"); n != 1 {
		t.Errorf("stamped %d times\n%s", n, w.errs)
	}
	for _, want := range []string{"wave 1: started", "wave 2: started", "eu/watch: started", "us/probe: done"} {
		if !strings.Contains(w.errs.String(), want) {
			t.Errorf("%q is not reported:\n%s", want, w.errs)
		}
	}
	old := w.read("k8s/worker.yaml")

	// A bad tag: the first cluster is restored on its own, the second is not touched,
	// and the file is restored. The second's controller may still write the status.
	untouched := func() string {
		d := w.deployment(1)
		return fmt.Sprint(d.Generation, d.Labels, d.Annotations)
	}
	before := untouched()
	out, _ := w.run(4, "rollout", "--contexts", "*", "--tag", "crash", "--no-inngest")
	for _, want := range []string{"CONTEXT", "eu        w:old   restored      ", "us        w:old   not-started   -"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if untouched() != before || w.read("k8s/worker.yaml") != old || w.tag(0) != "old" {
		t.Errorf("us was touched, or the manifest was left:\n%s", w.read("k8s/worker.yaml"))
	}
	if _, errs := w.out.String(), w.errs.String(); !strings.Contains(errs, "eu: ") || strings.Contains(errs, "us/lock") {
		t.Error(errs)
	}

	// Both at once, and one refuses: nothing is changed anywhere.
	w.pause(1, true)
	res := w.fleet(3, "rollout", "--contexts", "*", "--tag", "new", "--wave-size", "2")
	w.wantEnds(res, "eu: not-started, runs old", "us: refused, runs old")
	if len(res.Findings) == 0 || !strings.HasPrefix(res.Findings[0].What, "us: ") || res.Findings[0].Code != "paused" || w.read("k8s/worker.yaml") != old {
		t.Errorf("%+v\n%s", res.Findings, w.read("k8s/worker.yaml"))
	}
	w.pause(1, false)

	// A dry run prints what would happen and changes nothing.
	out, _ = w.run(0, "rollout", "--contexts", "*", "--tag", "new", "--no-inngest", "--dry-run=server")
	if want := "# context eu\ndeployment.apps/worker configured (server dry run)\n# context us\ndeployment.apps/worker configured (server dry run)\n"; out != want {
		t.Errorf("%q", out)
	}
	if w.tag(0) != "old" || w.read("k8s/worker.yaml") != old {
		t.Error("the dry run changed something")
	}

	// Both at once, and both succeed.
	res = w.fleet(0, "rollout", "--contexts", "us,eu", "--tag", "new", "--wave-size", "2")
	w.wantEnds(res, "us: done, runs new", "eu: done, runs new")
	if res.Manifest == nil || res.Manifest.Restored || !strings.Contains(w.read("k8s/worker.yaml"), ":new@sha256:") {
		t.Errorf("manifest %+v\n%s", res.Manifest, w.read("k8s/worker.yaml"))
	}
	if out, _ = w.run(0, "doctor", "--contexts", "*", "--no-inngest"); strings.Count(out, "done") != 2 {
		t.Errorf("doctor printed\n%s", out)
	}
}

// TestOneClusterOfSeveralFails: the manifest stays as long as a cluster runs
// what it names, whether the failing one comes first or last.
func TestOneClusterOfSeveralFails(t *testing.T) {
	w := newWorld(t, 2)
	w.fleet(0, "rollout", "--contexts", "*", "--tag", "old")
	w.restrict(1)
	res := w.fleet(4, "rollout", "--contexts", "eu,us", "--tag", "new", "--timeout", "5s")
	w.wantEnds(res, "eu: done, runs new", "us: restored, runs old")
	if res.End != "restored" || res.Manifest == nil || res.Manifest.Restored || !strings.Contains(w.read("k8s/worker.yaml"), ":new@") {
		t.Errorf("%s, manifest %+v\n%s", res.End, res.Manifest, w.read("k8s/worker.yaml"))
	}
	if !strings.Contains(w.errs.String(), "`kubectl sbw rollout --contexts us --tag new` continues the rollout") {
		t.Errorf("the next step is not reported:\n%s", w.errs)
	}
	// One failure is allowed: the next wave starts anyway.
	res = w.fleet(4, "rollout", "--contexts", "us,eu", "--tag", "newer", "--max-failures", "1", "--timeout", "5s")
	w.wantEnds(res, "us: restored, runs old", "eu: done, runs newer")
	if !strings.Contains(w.read("k8s/worker.yaml"), ":newer@") {
		t.Error(w.read("k8s/worker.yaml"))
	}
}

// TestInterruptedInSeveralClusters: every cluster in progress is restored, the next
// waves are not started, and the file is restored.
func TestInterruptedInSeveralClusters(t *testing.T) {
	w := newWorld(t, 2)
	w.fleet(0, "rollout", "--contexts", "*", "--tag", "old")
	old := w.read("k8s/worker.yaml")
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			<-tick.C
			if w.now(0) == "slow" && w.now(1) == "slow" {
				cancel(pipeline.ErrInterrupted)
			}
		}
	}()
	out, errs := w.runContext(ctx, 130, "rollout", "--contexts", "*", "--tag", "slow", "--no-inngest", "--wave-size", "2", "-o", "json")
	cancel(nil)
	<-done
	var res rolloutDocument
	if err := json.Unmarshal([]byte(out), &res); err != nil {
		t.Fatal(err)
	}
	w.wantEnds(res, "eu: restored, runs old", "us: restored, runs old")
	if res.ExitCode != 130 || w.read("k8s/worker.yaml") != old || !strings.Contains(errs, "was interrupted") {
		t.Errorf("exit %d\n%s\n%s", res.ExitCode, w.read("k8s/worker.yaml"), errs)
	}
}
