package whole

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/sandbox/ghcr"
)

// event is a line of --events.
type event struct{ Kind, Stage, Text string }

// run is a publish in progress.
type run struct {
	t   *testing.T
	cmd *exec.Cmd

	mu          sync.Mutex
	interrupted bool
}

// interrupt presses Ctrl-C, once.
func (r *run) interrupt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.interrupted {
		r.interrupted = true
		if err := r.cmd.Process.Signal(syscall.SIGINT); err != nil {
			r.t.Error(err)
		}
	}
}

// wasInterrupted reports whether there was an interrupt.
func (r *run) wasInterrupted() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.interrupted
}

// publish runs the plugin to its end. begun is called when it has started, and seen for
// each event that it reports.
func (w *world) publish(t *testing.T, tag string, begun func(*run), seen func(*run, event)) (r *run, stderr string, code int) {
	t.Helper()
	cmd := w.command(w.plugin(), []string{"GHCR_TOKEN=" + token, "GHCR_USER=" + login}, "publish", tag, "--builder", "buildkit", "--events")
	pr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r = &run{t: t, cmd: cmd}
	if begun != nil {
		begun(r)
	}
	var output bytes.Buffer
	lines := bufio.NewScanner(io.TeeReader(pr, &output))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) == nil && seen != nil {
			seen(r, e)
		}
	}
	if err := errors.Join(lines.Err(), cmd.Wait()); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return r, output.String(), cmd.ProcessState.ExitCode()
}

// TestInterrupt presses Ctrl-C at each request of a publish, when each stage begins, and
// while a build step hangs until it is interrupted. TAG is always untouched or complete.
func TestInterrupt(t *testing.T) {
	w := newWorld(t)
	w.checkout(t, "")
	if _, out, code := w.publish(t, "before", nil, nil); code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	old := w.digestOf(t, "latest")
	ended := func(t *testing.T, interrupted bool, tag, out string, code int) {
		t.Helper()
		now, latest := w.digestOf(t, tag), w.digestOf(t, "latest")
		switch {
		case !interrupted:
			t.Errorf("the run was not interrupted: %s", out)
		case code != 130 && code != 0:
			t.Errorf("exit code %d: %s", code, out)
		case code == 0 && (now == "" || latest != now):
			t.Errorf("reported as done: %s is %q, latest %q", tag, now, latest)
		case latest != old && latest != now:
			t.Errorf("latest is %q", latest)
		}
		old = latest
	}
	for n := 1; ; n++ {
		tag := fmt.Sprintf("request-%d", n)
		count := 0
		r, out, code := w.publish(t, tag, func(r *run) {
			w.front.OnRequest(func(ghcr.Kind) {
				if count++; count == n {
					r.interrupt()
				}
			})
		}, nil)
		w.front.OnRequest(nil)
		if count < n {
			if n < 8 {
				t.Errorf("a publish was complete after %d requests", count)
			}
			old = w.digestOf(t, "latest") // this one was not interrupted
			break
		}
		ended(t, r.wasInterrupted(), tag, out, code)
	}
	for _, stage := range []string{"preflight", "build", "verify", "push"} {
		r, out, code := w.publish(t, "stage-"+stage, nil, func(r *run, e event) {
			if e.Kind == "stage-started" && e.Stage == stage {
				r.interrupt()
			}
		})
		ended(t, r.wasInterrupted(), "stage-"+stage, out, code)
	}
	leave := make(chan struct{})
	asked := make(chan struct{}, 1)
	never := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case asked <- struct{}{}:
		default:
		}
		select {
		case <-leave:
		case <-r.Context().Done():
		}
	}))
	defer never.Close()
	defer close(leave)
	w.checkout(t, "ADD "+never.URL+"/never /never\n")
	r, out, code := w.publish(t, "hanging", func(r *run) {
		go func() {
			<-asked
			r.interrupt()
		}()
	}, nil)
	ended(t, r.wasInterrupted(), "hanging", out, code)
	if code != 130 {
		t.Errorf("exit code %d", code)
	}
	if entries, err := os.ReadDir(w.home + "/tmp"); err != nil || len(entries) > 0 {
		t.Errorf("files were left behind: %v, %v", entries, err)
	}
}
