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

// What this test binary is to do in place of testing: run a command and kill
// itself at a point of it, which is KIND STAGE of an event. Nothing of it comes
// to anybody's ears after that, as with a machine that loses power.
const (
	envKilledAt   = "SBW_TEST_KILLED_AT"
	envKilledDir  = "SBW_TEST_KILLED_DIR"
	envKilledArgs = "SBW_TEST_KILLED_ARGS"
)

// TestKilledChild is not a test but the process that other tests kill.
func TestKilledChild(t *testing.T) {
	at, args := os.Getenv(envKilledAt), strings.Fields(os.Getenv(envKilledArgs))
	if at == "" {
		return
	}
	env := &cli.Env{Plugin: "kubectl sbw", In: strings.NewReader(""), Out: io.Discard, Err: io.Discard, Getenv: os.Getenv, Dir: os.Getenv(envKilledDir)}
	k := &factory{env: env, flags: genericclioptions.NewConfigFlags(true)}
	cache := filepath.Join(env.Dir, "cache")
	k.flags.CacheDir = &cache
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
	out := pipeline.Run(t.Context(), r.Pipeline, pipeline.SinkFunc(func(e pipeline.Event) {
		if fmt.Sprintf("%s %s", e.Kind, e.Stage) != at {
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
	t.Fatalf("there was no event %q: %v", at, out.Err)
}

// kill runs a command that ends by SIGKILL at a point of it.
func (w *world) kill(at string, args ...string) {
	w.Helper()
	cmd := exec.CommandContext(w.Context(), os.Args[0], "-test.run=^TestKilledChild$")
	cmd.Env = append(os.Environ(), envKilledAt+"="+at, envKilledDir+"="+w.dir, envKilledArgs+"="+strings.Join(args, " "))
	out, err := cmd.CombinedOutput()
	if state := cmd.ProcessState; err == nil || state == nil || state.Exited() {
		w.Fatalf("%s %v was not killed: %v\n%s", at, args, err, out)
	}
}

// TestKilledAtEveryStage: whatever point a run is killed at, the next one says
// so, needs not wait for its lock, and ends well: it goes on, or goes back to
// what was before, in the cluster and in every byte of the manifest.
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
		runs   string // then
	}{
		{"note undo", undo, undo, 0, "old"}, // it goes where the first one went
		{"note manifest", undo, undo, 0, "old"},
		{"stage-started stamp", rollout, rollout, 0, "newer"}, // it has the lock, and no more
		{"note stamp", rollout, undo, 0, "new"},               // the file is written, the cluster as it was
		{"note stamp", rollout, bad, 4, "new"},
		{"note apply", rollout, rollout, 0, "newer"},
		{"note apply", rollout, undo, 0, "new"},
		{"table watch", rollout, bad, 4, "new"},
		{"stage-started probe", rollout, undo, 0, "new"},
		{"stage-started settle", rollout, bad, 4, "new"},
		{"stage-finished settle", rollout, undo, 0, "new"}, // all is done but nobody heard of it
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
		if kept, err := filepath.Glob(filepath.Join(w.dir, "state/sbw/journal/*")); err != nil || len(kept) > 0 {
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

// TestKilledThenChangedByAnother: what somebody has changed since a run was killed
// is theirs, although the image is still the killed run's. A run that fails later
// goes back to that, and an undo does not take the older state for its own.
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
