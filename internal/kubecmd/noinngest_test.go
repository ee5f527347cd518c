package kubecmd

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/receipt"
)

// configure writes .sbw.yaml with additional lines for the worker.
func (w *world) configure(lines string) {
	w.Helper()
	w.write(".sbw.yaml", fmt.Sprintf(`workers:
  worker:
    deploy: {manifest: k8s/worker.yaml, namespace: %s, deployment: worker, container: worker, timeout: 30s}
%s`, w.ns, lines))
}

// stagesRun returns the stages in a document that were not skipped.
func stagesRun(t *testing.T, stdout string) (names []string) {
	t.Helper()
	for _, s := range decoded(t, stdout).Stages {
		if s.Skipped == "" {
			names = append(names, s.Name)
		}
	}
	return names
}

// A worker that registers nothing and answers no probe can be deployed with a few lines
// of configuration: no stage uses Inngest, and the output says why.
func TestWorkerWithoutInngestAndProbe(t *testing.T) {
	w := newWorld(t, 1)
	w.configure("    inngest: none\n    probe: none\n")
	out, errs := w.run(0, "rollout", "--tag", "old", "-o", "json")
	if got, want := stagesRun(t, out), []string{"preflight", "lock", "stamp", "apply", "watch", "probe", "settle"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for _, want := range []string{"Inngest is not used (inngest: none)", "no pod is probed (probe: none)"} {
		if !strings.Contains(errs, want) {
			t.Errorf("%q is not in\n%s", want, errs)
		}
	}
	w.run(0, "rollout", "--tag", "new")
	w.run(0, "doctor", "--tag", "new")
	w.run(0, "rollout", "--tag", "newer", "--dry-run=server")
	w.run(0, "undo")
	if w.tag(0) != "old" {
		t.Errorf("after the undo %s runs", w.tag(0))
	}
	out, _ = w.run(0, "status", "-o", "json")
	var s struct {
		NoInngest string
		Well      bool
		Probes    []any
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil || !s.Well || s.NoInngest != "inngest: none" || len(s.Probes) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
	for _, args := range [][]string{{"refresh"}, {"functions"}, {"runs"}, {"rollout", "--tag", "new", "--wait-idle"}, {"rollout", "--tag", "new", "--probe-path", "/x"}} {
		w.run(2, args...)
	}
}

// status probes the pods of a worker without Inngest as a rollout does.
func TestStatusProbesWithoutInngest(t *testing.T) {
	w := newWorld(t, 1)
	w.configure(fmt.Sprintf("    inngest: none\n    probe: {port: %d, path: /healthz, expect: ok}\n", w.page.port))
	w.run(0, "rollout", "--tag", "old")
	if s, codes := w.status(0); !s.Well || len(codes) > 0 || len(s.Probes) != 1 || s.Probes[0].Status != 200 {
		t.Errorf("%v %+v", codes, s)
	}
	if s, codes := w.status(1, "--probe-expect", "what no page has"); s.Well || !slices.Equal(codes, []string{"error probe-expect"}) {
		t.Errorf("%v %+v", codes, s)
	}
	if s, codes := w.status(0, "--probe", "none"); !s.Well || len(codes) > 0 || len(s.Probes) > 0 {
		t.Errorf("%v %+v", codes, s)
	}
	// A port that the container does not declare is reported before anything is changed.
	w.write("k8s/worker.yaml", strings.Replace(w.read("k8s/worker.yaml"), "          readinessProbe", "          ports: [{containerPort: 3838}]\n          readinessProbe", 1))
	out, _ := w.run(0, "doctor", "--tag", "old", "-o", "json")
	if !slices.ContainsFunc(decoded(t, out).Findings, func(f struct{ Code string }) bool { return f.Code == "probe-port" }) {
		t.Error(out)
	}
}

// TestHookAfterTheProof: the hook gets a receipt of the new version. The configuration
// decides whether its failure fails the rollout, and the hook runs again after a
// restoration.
func TestHookAfterTheProof(t *testing.T) {
	w := newSwitchWorld(t)
	seen := filepath.Join(w.dir, "seen")
	hook := func(script, more string) {
		w.configure(fmt.Sprintf("    inngest: none\n    probe: {port: %d}\n    hooks: {proven: [sh, -c, %q, hook, '{tag}']%s}\n", w.page.port, script, more))
	}
	receipts := func() (all []receipt.Receipt) {
		for line := range strings.Lines(w.read("seen")) {
			var r receipt.Receipt
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			all = append(all, r)
		}
		w.write("seen", "")
		return all
	}
	hook("cat >> "+seen, "")
	for _, tag := range []string{"new", "newer"} {
		strategy := map[string]string{"new": "rolling", "newer": "switch"}[tag]
		out, _ := w.run(0, "rollout", "--tag", tag, "--strategy", strategy, "-o", "json")
		if !slices.Contains(stagesRun(t, out), "hook") {
			t.Error(out)
		}
		if all := receipts(); len(all) != 1 || all[0].Image.Tag != tag || all[0].Target == nil || all[0].Target.Namespace != w.ns || all[0].Command != "rollout" {
			t.Errorf("%+v", all)
		}
	}

	// By default, its failure is a warning.
	hook("cat >> "+seen+"; exit 7", "")
	out, _ := w.run(0, "rollout", "--tag", "new", "-o", "json")
	if !slices.ContainsFunc(decoded(t, out).Findings, func(f struct{ Code string }) bool { return f.Code == "hook-failed" }) || w.tag(0) != "new" {
		t.Error(out)
	}
	receipts()

	// If it is required, the previous version is restored, and the hook runs again.
	hook("cat >> "+seen+"; exit 7", ", provenRequired: true")
	for _, strategy := range []string{"rolling", "switch"} {
		w.run(4, "rollout", "--tag", "old", "--strategy", strategy)
		w.released()
		if all := receipts(); w.tag(0) != "new" || len(all) != 2 || all[0].Image.Tag != "old" || all[1].Image.Tag != "new" || all[1].Command != "restore" {
			t.Errorf("%s: %s %+v", strategy, w.tag(0), all)
		}
	}

	// A hook that does not exist is reported before anything is changed.
	w.configure("    inngest: none\n    hooks: {proven: [./no-such-program], provenRequired: true}\n")
	w.run(3, "rollout", "--tag", "old")
}

// TestChoiceIsNamed: without --worker, the worker that was chosen is printed.
func TestChoiceIsNamed(t *testing.T) {
	w := newWorld(t, 1)
	w.configure("  system-bus-worker: {deploy: {namespace: " + w.ns + "}}\n  other: {}\n")
	for _, args := range [][]string{{"rollout", "--tag", "old"}, {"doctor"}, {"status"}, {"undo"}, {"status", "--contexts", "*"}, {"refresh"}, {"history"}} {
		w.out.Reset()
		w.errs.Reset()
		w.try(args...)
		if got := strings.Count(w.errs.String(), "worker system-bus-worker, the default of .sbw.yaml"); got != 1 {
			t.Errorf("%v: named %d times\n%s", args, got, w.errs)
		}
	}
	if _, errs := w.run(3, "rollout", "--tag", "no-such-tag", "--worker", "worker", "--no-inngest"); strings.Contains(errs, "the default of") {
		t.Error(errs)
	}
}
