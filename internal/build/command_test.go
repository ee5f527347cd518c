package build

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

func TestEnvironment(t *testing.T) {
	e := environment{"A=1", "B=x=y", "A=2", "C="}
	if got := e.get("A") + e.get("B") + e.get("C") + e.get("D"); got != "2x=y" {
		t.Errorf("got %q", got)
	}
	if d := cmp.Diff(environment{"B=x=y", "C="}, e.without("A", "X")); d != "" {
		t.Error(d)
	}
	if e.with("Z=1"); len(e) != 4 {
		t.Error("with changed its receiver")
	}
}

func TestWithheld(t *testing.T) {
	m := Options{Env: []string{"GH_TOKEN=a", "GITHUB_TOKEN=b", "GHCR_TOKEN=c", "NPM=d", "MINE=e"}, Withhold: []string{"MINE"}}.machine()
	if d := cmp.Diff(environment{"NPM=d"}, m.env()); d != "" {
		t.Error(d)
	}
	for secret, want := range map[string]string{
		"id=x,env=GITHUB_TOKEN":          "GITHUB_TOKEN=b",
		"type=env,id=x,src=GITHUB_TOKEN": "GITHUB_TOKEN=b",
		"id=GITHUB_TOKEN":                "GITHUB_TOKEN=b",
		"id=GITHUB_TOKEN,src=file":       "",
		"id=x,src=GITHUB_TOKEN":          "",
		"GITHUB_TOKEN":                   "",
		"id=x,\"env=GITHUB_TOKEN":        "",
	} {
		got := m.envFor(Request{Secrets: []string{secret}}).without("NPM")
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", secret, got, want)
		}
	}
}

func TestLookPath(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	for p, mode := range map[string]os.FileMode{filepath.Join(a, "tool"): 0o644, filepath.Join(b, "tool"): 0o755} {
		if err := os.WriteFile(p, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	e := environment{"PATH=" + strings.Join([]string{".", "", a, b}, string(os.PathListSeparator))}
	if got, want := e.lookPath("tool"), filepath.Join(b, "tool"); runtime.GOOS != "windows" && got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := e.lookPath("none"); got != "" {
		t.Errorf("got %q", got)
	}
}

// TestUntilEnd checks that an interrupted run never waits for a program longer
// than it takes to kill it.
func TestUntilEnd(t *testing.T) {
	failed := errors.New("exit status 1")
	for name, tt := range map[string]struct {
		ends   time.Duration // after the start; 0: never
		dies   time.Duration // after it was killed; 0: never
		err    error
		want   error
		took   time.Duration
		killed bool
	}{
		"succeeds":                      {ends: time.Second, took: time.Second},
		"fails":                         {ends: time.Second, err: failed, want: failed, took: time.Second},
		"leaves a child":                {ends: time.Second, err: exec.ErrWaitDelay, took: time.Second},
		"ends when asked to":            {ends: time.Minute + killAfter/2, want: pipeline.ErrInterrupted, took: time.Minute + killAfter/2, killed: true},
		"ignores that":                  {dies: killAfter / 8, want: pipeline.ErrInterrupted, took: time.Minute + killAfter + killAfter/8, killed: true},
		"a child keeps the output open": {want: pipeline.ErrInterrupted, took: time.Minute + killAfter + killAfter/4, killed: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Minute, func() { cancel(pipeline.ErrInterrupted) })
				ended := make(chan error, 1)
				after := func(d time.Duration) {
					if d > 0 {
						time.AfterFunc(d, func() { ended <- tt.err })
					}
				}
				after(tt.ends)
				start, killed := time.Now(), false
				err := untilEnd(ctx, ended, func() { killed = true; after(tt.dies) })
				if took := time.Since(start); !errors.Is(err, tt.want) || took != tt.took || killed != tt.killed {
					t.Errorf("%v after %s, killed: %t", err, took, killed)
				}
			})
		})
	}
}

// TestRunEndsWithTheContext checks that a program which ignores the interrupt is
// killed together with its children.
func TestRunEndsWithTheContext(t *testing.T) {
	sh := environment(os.Environ()).lookPath("sh")
	if sh == "" {
		t.Fatal("no sh")
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := environment(os.Environ()).run(ctx, "", []string{sh, "-c", "trap '' INT TERM; echo ready; sleep 600 & wait; sleep 600"}, pw, io.Discard)
		pw.CloseWithError(io.EOF)
		done <- err
	}()
	buf := make([]byte, 6)
	if _, err := io.ReadFull(pr, buf); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, pr) }()
	cancel(pipeline.ErrInterrupted)
	if err := <-done; !errors.Is(err, pipeline.ErrInterrupted) { // this would hang if it were not killed
		t.Errorf("err = %v", err)
	}
}

func TestOutputSays(t *testing.T) {
	sh := environment(os.Environ()).lookPath("sh")
	_, err := environment(os.Environ()).output(t.Context(), sh, "-c", "echo >&2 one; echo >&2 'ERROR: \033[1mtwo\033[0m'; echo >&2; exit 3")
	x, ok := errors.AsType[*exec.ExitError](err)
	if err == nil || err.Error() != "two" || !ok || x.ExitCode() != 3 {
		t.Errorf("err = %v", err)
	}
	out, err := environment(os.Environ()).output(t.Context(), sh, "-c", "pwd; echo out")
	if err != nil || !strings.HasSuffix(out, "\nout\n") {
		t.Errorf("out = %q, %v", out, err)
	}
}

func TestTail(t *testing.T) {
	var w tail
	w.max = 5
	for _, s := range []string{"abc", "", "defg", "0123456789"} {
		if n, err := io.WriteString(&w, s); err != nil || n != len(s) {
			t.Fatal(n, err)
		}
	}
	if w.String() != "56789" {
		t.Errorf("kept %q", w.String())
	}
}

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"\x1b[31mred\x1b[0m":               "red",
		"10%\r50%\r100%":                   "100%",
		"line\r\n":                         "line",
		"a\tb\x00c\x07":                    "a\tbc",
		"\x1b]0;title\x07text":             "text",
		"evil \u202etxt.exe\u2066":         "evil txt.exe",
		"ünï \xff\xfe code":                "ünï \ufffd code",
		"\x1b[2K\x1b[1Gstep \u009b31mdone": "step done",
	} {
		if got := plain(in); got != want {
			t.Errorf("plain(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestLogTail(t *testing.T) {
	var l logTail
	var said []string
	for _, s := range []string{"a", "b\nc\n", "\n", strings.Repeat("x", 2*maxLogLine), "\nend"} {
		l.write(0, s, func(line string) { said = append(said, line) })
	}
	l.write(1, " of one", nil)
	l.write(2, " of two\n", nil)
	long := strings.Repeat("x", maxLogLine)
	if d := cmp.Diff([]string{"ab", "c", "", long, " of two", "end", " of one"}, l.kept()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"ab", "c", long}, said); d != "" {
		t.Error(d)
	}
	for range 2 * maxLogLines {
		l.write(0, "y\n", nil)
	}
	if got := l.kept(); len(got) != maxLogLines+1 || slices.Contains(got, "endy") {
		t.Errorf("%d lines kept: %q", len(got), got)
	}
}

// TestRunLeftChild checks that it is not a failure if a program ends successfully
// but leaves a process that keeps the output open, and that an interrupted run
// does not wait for that process.
func TestRunLeftChild(t *testing.T) {
	e := environment(os.Environ())
	sh := e.lookPath("sh")
	ctx, cancel := context.WithCancelCause(t.Context())
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- e.run(ctx, "", []string{sh, "-c", "setsid sleep 600 & echo left"}, pw, io.Discard) }()
	buf := make([]byte, 5)
	if _, err := io.ReadFull(pr, buf); err != nil {
		t.Fatal(err)
	}
	cancel(pipeline.ErrInterrupted)
	if err := <-done; !errors.Is(err, pipeline.ErrInterrupted) {
		t.Errorf("err = %v", err)
	}
}
