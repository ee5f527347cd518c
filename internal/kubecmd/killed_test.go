package kubecmd

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/rollout"
)

// These variables make the test binary run a command and kill itself at a certain point,
// given as KIND STAGE of an event. After that nothing is printed or cleaned up, as if
// the machine had lost power.
const (
	envKilledAt   = "SBW_TEST_KILLED_AT"
	envKilledDir  = "SBW_TEST_KILLED_DIR"
	envKilledArgs = "SBW_TEST_KILLED_ARGS"
	// envKilledStop makes it stop (SIGSTOP) instead, once. Then it ends by itself.
	envKilledStop = "SBW_TEST_KILLED_STOP"
)

// TestKilledChild is the process that other tests kill, not a test.
func TestKilledChild(t *testing.T) {
	at, args := os.Getenv(envKilledAt), strings.Fields(os.Getenv(envKilledArgs))
	if at == "" {
		return
	}
	env := &cli.Env{Plugin: "kubectl sbw", In: strings.NewReader(""), Out: io.Discard, Err: io.Discard, Getenv: os.Getenv, Dir: os.Getenv(envKilledDir)}
	k := &factory{env: env, flags: genericclioptions.NewConfigFlags(true)}
	cache, kubeconfig := filepath.Join(env.Dir, "cache"), os.Getenv("KUBECONFIG")
	k.flags.CacheDir, k.flags.KubeConfig = &cache, &kubeconfig
	var o *rolloutOptions
	read := func(_ context.Context, got *rolloutOptions) error {
		o = got
		return nil
	}
	command, run := newRollout(k, read), rollout.NewRollout
	switch args[0] {
	case "undo":
		command, run = newUndo(k, read), rollout.NewUndo
	case "restart":
		command, run = newRestart(k, read), rollout.NewRestart
	}
	command.SetArgs(args[1:])
	command.SetContext(t.Context())
	if err := command.Execute(); err != nil {
		t.Fatal(err)
	}
	r := run(o.Target, o.Options, func(error) {})
	stops := os.Getenv(envKilledStop) != ""
	out := pipeline.Run(t.Context(), r.Pipeline, pipeline.SinkFunc(func(e pipeline.Event) {
		if fmt.Sprintf("%s %s", e.Kind, e.Stage) != at {
			return
		}
		if stops {
			at = "" // only once
			if err := suspend(); err != nil {
				t.Error(err)
			}
			return
		}
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Kill()
		}
		if err != nil {
			t.Error(err)
			return
		}
		select {} // the signal is on its way
	}))
	if stops && at == "" {
		if out.Err != nil {
			t.Fatal(out.All())
		}
		return
	}
	t.Fatalf("there was no event %q: %v", at, out.Err)
}

// kill runs a command that is ended by SIGKILL at the given point.
func (w *world) kill(at string, args ...string) {
	w.Helper()
	cmd := exec.CommandContext(w.Context(), os.Args[0], "-test.run=^TestKilledChild$")
	cmd.Env = w.environ(envKilledAt+"="+at, envKilledDir+"="+w.dir, envKilledArgs+"="+strings.Join(args, " "))
	out, err := cmd.CombinedOutput()
	if state := cmd.ProcessState; err == nil || state == nil || state.Exited() {
		w.Fatalf("%s %v was not killed: %v\n%s", at, args, err, out)
	}
}

// TestKilledAtEveryStage: wherever a run is killed, the next one reports it, does not
// have to wait for its lock, and succeeds: it continues, or restores the previous state
// of the cluster and every byte of the manifest.
func TestKilledAtEveryStage(t *testing.T) {
	w := newWorld(t, 1)
	w.run(0, "rollout", "--tag", "old", "--no-inngest")
	old := w.read("k8s/worker.yaml")
	w.run(0, "rollout", "--tag", "new", "--no-inngest")
	before := w.read("k8s/worker.yaml")

	rollout, undo := []string{"rollout", "--no-inngest", "--tag", "newer"}, []string{"undo", "--no-inngest"}
	bad := []string{"rollout", "--no-inngest", "--tag", "crash"}
	for _, one := range []struct {
		at     string
		killed []string
		then   []string
		code   int
		runs   string // afterwards
	}{
		{"note undo", undo, undo, 0, "old"}, // it goes back to the same revision as the first one
		{"note manifest", undo, undo, 0, "old"},
		{"stage-started stamp", rollout, rollout, 0, "newer"}, // it has the lock, nothing else
		{"note stamp", rollout, undo, 0, "new"},               // the file is written, the cluster is unchanged
		{"note stamp", rollout, bad, 4, "new"},
		{"note apply", rollout, rollout, 0, "newer"},
		{"note apply", rollout, undo, 0, "new"},
		{"table watch", rollout, bad, 4, "new"},
		{"stage-started probe", rollout, undo, 0, "new"},
		{"stage-started settle", rollout, bad, 4, "new"},
		{"stage-finished settle", rollout, undo, 0, "new"}, // everything is done but was not reported
	} {
		w.kill(one.at, one.killed...)
		_, errs := w.run(one.code, one.then...)
		if w.tag(0) != one.runs || !strings.Contains(errs, "explain run-killed") || !strings.Contains(errs, "whose process has ended") {
			t.Errorf("%v killed at %s, then %v: runs %s\n%s", one.killed, one.at, one.then, w.tag(0), errs)
		}
		file := w.read("k8s/worker.yaml")
		switch {
		case one.runs == "new" && file != before, one.runs == "old" && file != old, one.runs == "newer" && !strings.Contains(file, w.deployment(0).Spec.Template.Spec.Containers[0].Image):
			t.Errorf("%v killed at %s, then %v: the manifest is\n%s", one.killed, one.at, one.then, file)
		}
		if kept, err := filepath.Glob(filepath.Join(w.state, "sbw/journal/*")); err != nil || len(kept) > 0 {
			t.Errorf("%v killed at %s, then %v: journals are left: %q %v", one.killed, one.at, one.then, kept, err)
		}
		if one.runs != "new" {
			w.run(0, "rollout", "--no-inngest", "--tag", "new")
		}
		if t.Failed() {
			return
		}
	}
	if w.read("k8s/worker.yaml") != before {
		t.Error(w.read("k8s/worker.yaml"))
	}
}

// TestKilledThenChangedByAnother: what somebody changed after a run was killed belongs
// to them, even if the image is still the killed run's. A run that fails later goes back
// to their state, and an undo does not restore the older one.
func TestKilledThenChangedByAnother(t *testing.T) {
	w := newWorld(t, 1)
	w.run(0, "rollout", "--tag", "old", "--no-inngest")
	w.kill("table watch", "rollout", "--no-inngest", "--tag", "new")
	w.patch(0, `{"spec":{"template":{"spec":{"containers":[{"name":"worker","env":[{"name":"HOTFIX","value":"1"}]}]}}}}`)
	_, errs := w.run(4, "rollout", "--no-inngest", "--tag", "crash", "--force")
	c := w.deployment(0).Spec.Template.Spec.Containers[0]
	if w.tag(0) != "new" || len(c.Env) != 1 || !strings.Contains(errs, "somebody else has changed") {
		t.Errorf("runs %s with %v\n%s", w.tag(0), c.Env, errs)
	}
}
