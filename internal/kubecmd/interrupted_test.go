//go:build unix

package kubecmd

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster/lock"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// suspend stops this process until somebody continues it.
func suspend() error { return syscall.Kill(syscall.Getpid(), syscall.SIGSTOP) }

// A command is one that replaces pods, and what it leaves behind.
type command struct {
	name  string
	begin func(*testing.T) *world
	args  []string
	// stages are its stages in order. From kept on, the new version stays.
	stages []string
	kept   string
	before string // the tag that runs before and after it
	after  string
}

func twice(t *testing.T) *world {
	w := newSwitchWorld(t)
	w.run(0, "rollout", "--tag", "new", "--no-inngest")
	return w
}

var commands = []command{
	{"switch", newSwitchWorld, []string{"rollout", "--tag", "new", "--no-inngest", "--strategy", "switch"},
		[]string{"lock", "stamp", "apply", "hold", "watch", "probe", "prove", "switch", "drain", "release", "settle"}, "drain", "old", "new"},
	{"restart", newSwitchWorld, []string{"restart", "--no-inngest", "--strategy", "rolling"},
		[]string{"lock", "image", "apply", "watch", "probe", "settle"}, "settle", "old", "old"},
	{"undo", twice, []string{"undo", "--no-inngest"},
		[]string{"lock", "undo", "manifest", "watch", "probe", "settle"}, "manifest", "new", "old"},
}

// clean fails if a run has left its lock or its journal.
func (w *world) clean() {
	w.Helper()
	name := lock.Name(workload.Ref{Kind: workload.Deployment, Namespace: w.ns, Name: "worker"})
	if _, err := w.kubes[0].CoordinationV1().Leases(w.ns).Get(w.Context(), name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		w.Errorf("the lock is left: %v", err)
	}
	if kept, err := filepath.Glob(filepath.Join(w.state, "sbw/journal/*")); err != nil || len(kept) > 0 {
		w.Errorf("a journal is left: %v %v", kept, err)
	}
}

// TestInterruptedInEveryStage: Ctrl-C, SIGTERM or a closed terminal ends each command in
// order, whichever stage it is in: what was there before is there again, unless the new
// version is already proven, and nothing is held. If a switch has already happened, the same
// command finishes it.
func TestInterruptedInEveryStage(t *testing.T) {
	t.Parallel()
	for _, c := range commands {
		t.Run(c.name, func(t *testing.T) {
			w := c.begin(t)
			for _, stage := range c.stages {
				before, file := w.deployment(0), w.read("k8s/worker.yaml")
				_, out := w.runInterrupted(stage, func(cancel context.CancelCauseFunc) { cancel(pipeline.ErrInterrupted) }, c.args...)
				if out.ExitCode() != int(pipeline.Interrupted) {
					t.Fatalf("%s: exit code %d: %v", stage, out.ExitCode(), out.All())
				}
				stays := slices.Index(c.stages, stage) >= slices.Index(c.stages, c.kept)
				now := w.deployment(0)
				if stays && c.name == "switch" { // the old pods may still have work, so both versions stay
					w.run(0, c.args...)
				}
				w.clean()
				w.released()
				want := c.before
				if stays {
					want = c.after
				}
				if same := verdict.SameTemplate(before.Spec.Template.DeepCopy(), now.Spec.Template.DeepCopy()); w.tag(0) != want || same == stays {
					t.Errorf("%s: runs %s (the same template: %t), want %s; ended %s: %v", stage, w.tag(0), same, want, out.End.Word(), out.All())
				}
				if left := out.End == pipeline.Left; left != stays {
					t.Errorf("%s: ended %s", stage, out.End.Word())
				}
				if !stays && w.read("k8s/worker.yaml") != file {
					t.Errorf("%s: the file is %s", stage, w.read("k8s/worker.yaml"))
				}
				if stays {
					w = c.begin(t) // a fresh one for the next stage
				}
				if t.Failed() {
					return
				}
			}
		})
	}
}

// TestSuspendedForLonger: a process that was stopped for longer than its timeout looks again
// before it judges, and succeeds.
func TestSuspendedForLonger(t *testing.T) {
	type suspended struct {
		command
		*world
		*exec.Cmd
		out strings.Builder
	}
	all := make([]suspended, len(commands))
	for i, c := range commands {
		s := &all[i]
		s.command, s.world = c, c.begin(t)
		s.Cmd = exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledChild$")
		s.Env = s.environ(envKilledAt+"=table watch", envKilledStop+"=yes", envKilledDir+"="+s.dir,
			envKilledArgs+"="+strings.Join(append(slices.Clone(c.args), "--timeout", "20s"), " "))
		s.Stdout, s.Stderr = &s.out, &s.out
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		var status syscall.WaitStatus
		if _, err := syscall.Wait4(s.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
			t.Fatalf("%s did not stop: %v %v\n%s", c.name, err, status, &s.out)
		}
	}
	<-time.After(21 * time.Second) // longer than their timeout: that is what this is about
	for i := range all {
		s := &all[i]
		if err := s.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		if err := s.Wait(); err != nil || s.tag(0) != s.after {
			t.Errorf("%s: %v, runs %s\n%s", s.name, err, s.tag(0), &s.out)
		}
		s.clean()
		s.released()
	}
}

// TestAClosedPipeStopsNoRun: `kubectl sbw … 2>&1 | head -1`: each command goes on to its end,
// and records it.
func TestAClosedPipeStopsNoRun(t *testing.T) {
	t.Parallel()
	for _, c := range commands {
		t.Run(c.name, func(t *testing.T) {
			w := c.begin(t)
			receipts := func() int {
				all, err := filepath.Glob(filepath.Join(w.state, "sbw/receipts/worker/*"))
				if err != nil {
					t.Fatal(err)
				}
				return len(all)
			}
			had := receipts()
			read, write, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), os.Args[0], append(slices.Clone(c.args), "--cache-dir", filepath.Join(w.dir, "cache"))...)
			cmd.Dir = w.dir
			cmd.Env = w.environ(asPlugin + "=1")
			cmd.Stdout, cmd.Stderr = write, write
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if err := write.Close(); err != nil {
				t.Fatal(err)
			}
			bufio.NewScanner(read).Scan()
			if err := read.Close(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // its state says how it ended
			if code := cmd.ProcessState.ExitCode(); code != 0 && code != 1 || w.tag(0) != c.after {
				t.Errorf("%s, runs %s", cmd.ProcessState, w.tag(0))
			}
			if receipts() != had+1 {
				t.Errorf("%d receipts, want %d", receipts(), had+1)
			}
			w.clean()
			w.released()
		})
	}
}
