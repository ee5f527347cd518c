package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// shared is a buffer that several goroutines can write to, like stderr.
type shared struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// captured runs a stage during which a library and a child process write, and returns what
// was printed.
func captured(t *testing.T, mode OutputMode) string {
	t.Helper()
	var errs shared
	env := &Env{Plugin: "kubectl sbw", Err: &errs, Mode: mode}
	release := env.captureStderr()
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	fmt.Fprintln(os.Stderr, "before")
	p := pipeline.Pipeline{Name: "rollout", Stages: []pipeline.Stage{{Name: "watch", Run: func(ctx context.Context, _ *pipeline.Reporter) error {
		log.Print("Unsolicited response")
		child := exec.CommandContext(ctx, "go", "env", "-no-such-flag")
		child.Stderr = os.Stderr
		if err := child.Run(); err == nil {
			t.Error("the child printed nothing")
		}
		return nil
	}}}}
	if _, err := env.Run(t.Context(), p, nil); err != nil {
		t.Fatal(err)
	}
	release()
	return errs.String()
}

func TestCapturedStderrIsPrinted(t *testing.T) {
	for _, c := range []struct {
		name     string
		mode     OutputMode
		log, end bool
	}{
		{"plain", OutputMode{}, false, true},
		{"--quiet", OutputMode{Quiet: true}, false, false},
		{"--verbose", OutputMode{Verbose: true}, true, true},
		{"-v", OutputMode{Logs: true}, true, true},
		{"--events", OutputMode{Events: true}, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := captured(t, c.mode)
			for text, want := range map[string]bool{"before": true, "-no-such-flag": true, "Unsolicited response": c.log, "watch": c.end} {
				if strings.Contains(got, text) != want {
					t.Errorf("%q: %v, want %v, in\n%s", text, !want, want, got)
				}
			}
			for line := range strings.Lines(got) {
				var r struct{ V int }
				if err := json.Unmarshal([]byte(line), &r); c.mode.Events && (err != nil || r.V != 1) {
					t.Errorf("no JSON line: %q", line)
				}
			}
		})
	}
}

// TestEverythingIsPrintedAtTheEnd: the last output of a child is not lost when the process
// ends, and later output goes to the original stderr.
func TestEverythingIsPrintedAtTheEnd(t *testing.T) {
	var errs shared
	env := &Env{Err: &errs}
	before := os.Stderr
	release := env.captureStderr()
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	long := strings.Repeat("x", 60<<10) // nearly the capacity of a pipe
	fmt.Fprint(os.Stderr, long)
	release()
	if got := errs.String(); got != long || os.Stderr != before {
		t.Errorf("%d of %d bytes were printed; standard error is restored: %v", len(got), len(long), os.Stderr == before)
	}
}

// TestEventsOutsideOfARunAreLines: findings outside of a run are JSON lines, too.
func TestEventsOutsideOfARunAreLines(t *testing.T) {
	var errs bytes.Buffer
	env := &Env{Err: &errs, Mode: OutputMode{Events: true}}
	env.Warn("cannot save the receipt", os.ErrPermission)
	if err := env.Notef("no %s", "runs"); err != nil {
		t.Fatal(err)
	}
	if err := env.fail(pipeline.AsFindings("read", os.ErrNotExist)); err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for line := range strings.Lines(errs.String()) {
		var r struct{ Kind string }
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		kinds = append(kinds, r.Kind)
	}
	if got := strings.Join(kinds, " "); got != "finding note outcome" {
		t.Errorf("kinds %s in\n%s", got, errs.String())
	}
}

// TestAnInterruptIsAnswered before everything has been restored.
func TestAnInterruptIsAnswered(t *testing.T) {
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) { answered(t, sig) })
	}
}

func answered(t *testing.T, sig os.Signal) {
	t.Helper()
	// Under nohup, SIGHUP is ignored until somebody asks for it.
	other := make(chan os.Signal, 1)
	signal.Notify(other, sig)
	defer signal.Stop(other)
	var errs shared
	env := &Env{Plugin: "kubectl sbw", Err: &errs}
	ctx, stop := withSignals(t.Context(), env)
	defer stop()
	p := pipeline.Pipeline{Name: "rollout", Stages: []pipeline.Stage{{Name: "watch", Run: func(ctx context.Context, _ *pipeline.Reporter) error {
		self, err := os.FindProcess(os.Getpid())
		if err != nil {
			return err
		}
		if err := self.Signal(sig); err != nil {
			return err
		}
		<-ctx.Done()
		for !strings.Contains(errs.String(), "a second interrupt") { // another goroutine prints it
			select {
			case <-t.Context().Done():
				return t.Context().Err()
			case <-time.After(10 * time.Millisecond):
			}
		}
		return context.Cause(ctx)
	}}}}
	if out, _ := env.Run(ctx, p, nil); !out.Interrupted || out.ExitCode() != int(pipeline.Interrupted) {
		t.Errorf("%+v", out)
	}
}

// TestKustomizeWarnsOnce: a run builds a kustomization several times.
func TestKustomizeWarnsOnce(t *testing.T) {
	var b bytes.Buffer
	s := &capturedStderr{env: &Env{Err: &b}, warned: map[string]bool{}}
	for _, text := range []string{"# Warning: 'bases' is deprecated.\n", "log in at x\n# Warning: 'bases' is deprecated.\n", "# Warning: 'vars' is deprecated.\nlog in at x\n", "# Warning: 'bases' is deprecated.\n"} {
		if n, err := s.Write([]byte(text)); n != len(text) || err != nil {
			t.Fatal(n, err)
		}
	}
	if want := "# Warning: 'bases' is deprecated.\nlog in at x\n# Warning: 'vars' is deprecated.\nlog in at x\n"; b.String() != want {
		t.Errorf("shown:\n%s", b.String())
	}
}
