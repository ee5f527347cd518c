//go:build unix

package ui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/term"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/ui/vt"
)

// live is a UI on a real pseudo-terminal whose redrawing the test drives.
type live struct {
	t     *testing.T
	ctx   context.Context
	term  *vt.Terminal
	clock *clock
	ticks chan time.Time
	ui    *UI
}

func newLive(t *testing.T, cols, rows int, o Options) *live {
	t.Helper()
	tt, err := vt.Open(cols, rows, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tt.Close() })
	l := &live{t: t, ctx: t.Context(), term: tt, clock: newClock(), ticks: make(chan time.Time)}
	o.Mode, o.Err, o.Now, o.Ticks = Live, tt.TTY, l.clock.Now, l.ticks
	o.Size = func() (int, int) {
		w, h, err := term.GetSize(int(tt.TTY.Fd()))
		if err != nil {
			return 0, 0
		}
		return w, h
	}
	l.ui = New(o)
	t.Cleanup(func() { _ = l.ui.Stop() })
	return l
}

func (l *live) emit(events ...pipeline.Event) {
	for _, e := range events {
		l.ui.Emit(e)
	}
}

// draw redraws at a time, and returns the screen that has text on it.
func (l *live) draw(seconds float64, text string) string {
	l.t.Helper()
	l.clock.set(seconds)
	l.ticks <- l.clock.Now()
	l.ticks <- l.clock.Now() // the first has been dealt with
	return l.waitFor(text, ansi.ResetModeSynchronizedOutput)
}

func (l *live) wait(text string) string {
	l.t.Helper()
	return l.waitFor(text, "")
}

// waitFor waits for text on the screen after a write that ends so: a terminal
// may show the beginning of a write before its end has come.
func (l *live) waitFor(text, end string) string {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.ctx, 2*time.Minute)
	defer cancel()
	screen, err := l.term.Wait(ctx, func(s string, raw []byte) bool {
		return strings.Contains(s, text) && strings.HasSuffix(string(raw), end)
	})
	if err != nil {
		l.t.Fatalf("waiting for %q: %v", text, err)
	}
	return screen
}

func (l *live) close(o pipeline.Outcome, text string) string {
	l.t.Helper()
	if err := l.ui.Close(o); err != nil {
		l.t.Fatal(err)
	}
	return l.waitFor(text, ansi.ResetModeSynchronizedOutput)
}

// tidy checks what is true of every screen: no line of the live view goes beyond
// the window. The lines above it, which stay in the scrollback, may.
func (l *live) tidy(above ...string) {
	l.t.Helper()
	for _, row := range l.term.Wrapped() {
		if !slices.ContainsFunc(above, func(line string) bool { return strings.HasPrefix(line, row) }) {
			l.t.Errorf("a line goes beyond the window: %s", row)
		}
	}
}

func (l *live) screen(want []string, got string) {
	l.t.Helper()
	l.tidy()
	if diff := cmp.Diff(strings.Join(want, "\n"), got); diff != "" {
		l.t.Errorf("screen (-want +got):\n%s", diff)
	}
}

var publish = pipeline.Pipeline{
	Checks: []pipeline.Check{{}},
	Stages: []pipeline.Stage{{Name: "build"}, {Name: "push"}, {Name: "tag"}},
}

// intoPush are the events of a publish up to the midst of its push.
func intoPush() []pipeline.Event {
	return []pipeline.Event{
		started(0, "preflight"),
		counted(0, "preflight", "identity", 1, 1),
		counted(0, "preflight", "builder", 1, 1),
		finished(1, "preflight", 1, nil),
		started(1, "build"),
		counted(1, "build", "steps", 9, 9),
		finished(4, "build", 3, nil),
		said(4, pipeline.Noted, "build", "7 of 9 steps from the cache"),
		started(4, "push"),
		moved(4, "push", "sha256:aaaa", 0, 20_000_000, ""),
		moved(4, "push", "sha256:bbbb", 0, 4_000_000, ""),
		moved(4, "push", "sha256:cccc", 4_000_000, 4_000_000, "mounted"),
		moved(6, "push", "sha256:aaaa", 4_000_000, 20_000_000, ""),
		moved(6, "push", "sha256:bbbb", 4_000_000, 4_000_000, ""),
	}
}

func TestLiveRun(t *testing.T) {
	l := newLive(t, 80, 24, Options{Style: Style{Program: "gh sbw"}})
	fmt.Fprintln(l.term.TTY, "$ gh sbw publish")
	l.ui.Plan(publish)
	l.emit(started(0, "preflight"), counted(0, "preflight", "identity", 1, 1), counted(0, "preflight", "builder", 0, 1), counted(0, "preflight", "tag", 0, 1))
	l.screen([]string{
		"$ gh sbw publish",
		"  ⠴ preflight   0.5s  1 of 3  builder, tag",
		"    ⠴ builder   0.5s",
		"    ⠴ tag       0.5s",
		"  · build",
		"  · push",
		"  · tag",
	}, l.draw(0.5, "preflight   0.5s"))
	if _, y, visible := l.term.Cursor(); visible || y != 1 {
		t.Errorf("the cursor is in row %d, shown: %v; want it hidden on the frame's first row", y, visible)
	}

	l.emit(intoPush()...)
	l.screen([]string{
		"$ gh sbw publish",
		"build: 7 of 9 steps from the cache",
		"  ✓ preflight   1.0s  2 of 2",
		"  ✓ build       3.0s  9 of 9",
		"  ⠋ push        2.0s  12.0 MB of 28.0 MB  ━━━━━━━───────────  4.0 MB/s  4s left",
		"    · sha256:aaaa ━━──────────   4.0 MB of 20.0 MB",
		"    ✓ sha256:bbbb   4.0 MB",
		"    ✓ sha256:cccc   4.0 MB  mounted",
		"  · tag",
	}, l.draw(6, "12.0 MB"))

	// What stays is a record, and the cursor below it.
	l.emit(moved(8, "push", "sha256:aaaa", 20_000_000, 20_000_000, ""), finished(8, "push", 4, nil), started(8, "tag"), finished(8, "tag", 0.2, nil))
	l.screen([]string{
		"$ gh sbw publish",
		"build: 7 of 9 steps from the cache",
		"  ✓ preflight   1.0s  █████▊",
		"  ✓ build       3.0s       █████████████████▌",
		"  ✓ push        4.0s                         ███████████████████████▍",
		"  ✓ tag         0.2s                                                █▏",
		"✓ publish: done in 8.2s",
	}, l.close(outcomeOf(pipeline.Done, nil, 8.2, record1("preflight", 0, 1), record1("build", 1, 3), record1("push", 4, 4), record1("tag", 8, 0.2)), "done in 8.2s"))
	if x, y, visible := l.term.Cursor(); x != 0 || y != 7 || !visible {
		t.Errorf("after the run the cursor is at %d,%d, shown: %v", x, y, visible)
	}
}

// TestLiveRollout: the pods' table, a failure, and what a person sees last.
func TestLiveRollout(t *testing.T) {
	l := newLive(t, 80, 24, Options{Style: Style{Program: "kubectl sbw"}, Next: map[pipeline.End]string{pipeline.Restored: "fix the image, publish it under a new tag"}})
	crash := &pipeline.Finding{Code: "pod-crash", Severity: pipeline.Error, What: "container bus exits with 1", Why: "exec format error",
		Evidence: []string{"\x1b[31mexec /worker: exec format error\x1b[0m\nsecond"}}
	l.emit(started(0, "watch rollout"),
		said(0, pipeline.Detailed, "watch rollout", "0 of 1 pods ready"),
		tabled(0, "watch rollout", pipeline.Table{Header: []string{"POD", "SET", "READY", "AGE", "REASON"}, Rows: [][]string{
			{"bus-6f-x2x", "old", "1/1", "9d", ""},
			{"bus-7c-q9q", "new", "0/1", "2s", "CrashLoopBackOff"},
		}}))
	l.screen([]string{
		"  ⠋ watch rollout   2.0s  0 of 1 pods ready",
		"    POD         SET  READY  AGE  REASON",
		"    bus-6f-x2x  old  1/1    9d",
		"    bus-7c-q9q  new  0/1    2s   CrashLoopBackOff",
	}, l.draw(2, "CrashLoop"))
	l.emit(finished(3, "watch rollout", 3, crash), started(3, "undo apply"), finished(5, "undo apply", 2, nil))
	l.screen([]string{
		"  ✗ watch rollout   3.0s  container bus exits with 1",
		"  ✓ undo apply      2.0s",
	}, l.draw(5, "undo apply"))
	o := outcomeOf(pipeline.Restored, crash, 5, record1("watch rollout", 0, 3), record1("undo apply", 3, 2))
	o.Name, o.Stages[0].Error = "rollout", "x"
	l.screen([]string{
		"  ✗ watch rollout   3.0s  ████████████████████████████▊",
		"  ✓ undo apply      2.0s                              ███████████████████▏",
		"error: container bus exits with 1",
		"  why:   exec format error",
		"  │ exec /worker: exec format error",
		"  │ second",
		"  more:  kubectl sbw explain pod-crash",
		"✗ rollout failed at watch rollout after 5.0s: what was changed has been restored",
		"  next: fix the image, publish it under a new tag",
	}, l.close(o, "next:"))
}

// TestLiveEvidence: what is reported between a failure and the undo has no end
// of its own, and is over when the next stage starts.
func TestLiveEvidence(t *testing.T) {
	l := newLive(t, 80, 24, Options{})
	l.ui.Plan(pipeline.Pipeline{Stages: []pipeline.Stage{{Name: "apply"}, {Name: "probe"}}})
	l.emit(started(0, "apply"), finished(2, "apply", 2, errors.New("no")), said(2, pipeline.Detailed, "evidence", "logs of bus-1"))
	l.screen([]string{
		"  ✗ apply      2.0s  no",
		"  ⠋ evidence   1.0s  logs of bus-1",
		"  · probe",
	}, l.draw(3, "logs of"))
	l.emit(started(4, "undo apply"), pipeline.Event{Kind: pipeline.Found}, pipeline.Event{Kind: pipeline.Progressed}, pipeline.Event{Kind: pipeline.Tabled})
	l.screen([]string{
		"  ✗ apply        2.0s  no",
		"  ✓ evidence     2.0s",
		"  ⠋ undo apply   1.0s",
		"  · probe",
	}, l.draw(5, "undo apply"))
}

// TestLiveWidths: nothing goes beyond the window, at any width, with long and
// with wide names, and the least height still shows what is going on.
func TestLiveWidths(t *testing.T) {
	long := strings.Repeat("long-name-", 12)
	wide := strings.Repeat("日本語", 30) + "👩‍🚀❤️"
	var rows [][]string
	for i := range 12 {
		rows = append(rows, []string{fmt.Sprintf("pod-%d-%s", i, long), "new", wide, "0/1", "Unschedulable: " + long})
	}
	for _, cols := range []int{24, 40, 80, 200} {
		for _, height := range []int{2, 5, 24} {
			t.Run(fmt.Sprintf("%dx%d", cols, height), func(t *testing.T) {
				l := newLive(t, cols, height, Options{Style: Style{Color: true}})
				l.ui.Plan(publish)
				l.emit(intoPush()...)
				l.emit(
					moved(6, "push", long, 1, 0, wide),
					moved(6, "push", wide, 1, 3_000_000_000, "retry"),
					counted(6, "push", wide, 0, 1), counted(6, "push", long, 0, 3),
					said(6, pipeline.Detailed, "push", wide),
					tabled(6, "push", pipeline.Table{Title: wide, Header: []string{"POD", "SET", "NODE", "READY", "REASON"}, Rows: rows}),
					started(6, wide), said(6, pipeline.Detailed, wide, long),
				)
				screen := l.draw(7, "1.0s")
				l.tidy("build: 7 of 9 steps from the cache")
				if n := strings.Count(screen, "\n") + 1; n > height {
					t.Errorf("%d lines", n)
				}
				if strings.Count(screen, "push") != 1 && height > 2 {
					t.Errorf("the running stage is not there once:\n%s", screen)
				}
			})
		}
	}
}

// TestLiveResize: in mid-run the window gets narrower and wider, lower and
// higher; one frame is left, and what was printed above it.
func TestLiveResize(t *testing.T) {
	once := func(t *testing.T, screen string, words ...string) {
		t.Helper()
		for _, w := range words {
			if n := strings.Count(screen, w); n != 1 {
				t.Errorf("%q is on the screen %d times:\n%s", w, n, screen)
			}
		}
	}
	resize := map[string]func(l *live, cols int) error{
		"cut off": func(l *live, cols int) error { return l.term.Resize(cols, 24) },
		"reflow":  func(l *live, cols int) error { return l.term.Reflow(cols) },
	}
	for name, to := range resize {
		t.Run(name, func(t *testing.T) {
			l := newLive(t, 80, 24, Options{})
			fmt.Fprintln(l.term.TTY, "above")
			l.emit(intoPush()...)
			l.emit(said(6, pipeline.Noted, "push", "kept"))
			l.draw(6, "12.0 MB")
			for i, cols := range []int{40, 30, 80, 25, 200} {
				if err := to(l, cols); err != nil {
					t.Fatal(err)
				}
				l.emit(said(7, pipeline.Noted, "push", fmt.Sprintf("mark %d.", i)))
				screen := l.draw(7+float64(i)/10, fmt.Sprintf("mark %d.", i))
				l.tidy()
				once(t, screen, "above", "kept", "preflight", "sha256:aaaa", "sha256:bbbb", "sha256:cccc")
			}
			screen := l.close(outcomeOf(pipeline.Done, nil, 8, record1("preflight", 0, 1), record1("push", 4, 4)), "done in 8.0s")
			once(t, screen, "above", "kept", "mark 4.", "preflight", "push   ")
		})
	}
	t.Run("lower", func(t *testing.T) {
		l := newLive(t, 80, 24, Options{})
		l.emit(intoPush()...)
		l.draw(6, "sha256:cccc")
		if err := l.term.Resize(80, 4); err != nil {
			t.Fatal(err)
		}
		l.emit(moved(7, "push", "sha256:aaaa", 8_000_000, 20_000_000, ""))
		screen := l.draw(7, "16.0 MB")
		once(t, screen, "push", "16.0 MB")
		if n := strings.Count(screen, "\n"); n > 3 {
			t.Errorf("%d lines:\n%s", n+1, screen)
		}
	})
}

// TestLiveKeys: what the terminal echoes of keys is gone with the next frame.
func TestLiveKeys(t *testing.T) {
	l := newLive(t, 80, 24, Options{})
	l.emit(intoPush()...)
	before := l.draw(6, "12.0 MB")
	l.term.Show("^Cabc")
	l.wait("^Cabc")
	l.emit(moved(6, "push", "sha256:aaaa", 5_000_000, 20_000_000, ""))
	after := l.draw(6, "13.0 MB")
	if strings.Contains(after, "^C") || strings.Contains(after, "abc") || strings.Count(before, "\n") != strings.Count(after, "\n") {
		t.Errorf("the echo is left:\n%s", after)
	}
}

// TestLiveHostileText: no text of a pod steers the terminal.
func TestLiveHostileText(t *testing.T) {
	const evil = "\x1b[2J\x1b[H\x1b]0;owned\x07\x1b[8m\u009b1;1Hx\r\n\x1b[?25h"
	l := newLive(t, 80, 60, Options{Verbose: true})
	fmt.Fprintln(l.term.TTY, "above")
	f := &pipeline.Finding{Code: "c" + evil, What: "what" + evil, Why: evil, Fix: evil, Where: evil, Evidence: []string{evil}}
	l.emit(
		started(0, "stage"+evil), said(0, pipeline.Noted, "stage", "note"+evil), said(0, pipeline.Detailed, "stage", "detail"+evil),
		moved(0, "stage", "item"+evil, 1, 3, evil), tabled(0, "stage", pipeline.Table{Title: evil, Header: []string{evil}, Rows: [][]string{{evil}}}),
		pipeline.Event{Time: at(0), Kind: pipeline.Found, Stage: evil, Finding: f},
	)
	fmt.Fprintln(l.ui.Log(), "log"+evil)
	if screen := l.draw(1, "log"); !strings.HasPrefix(screen, "above\n") {
		t.Errorf("screen:\n%s", screen)
	}
	o := outcomeOf(pipeline.Left, errors.New(evil), 1, record1(evil, 0, 1), record1("b"+evil, 0, 1))
	o.UndoErrs, o.Name = []error{errors.New(evil)}, "end"+evil
	if screen := l.close(o, "could be restored"); !strings.HasPrefix(screen, "above\n") {
		t.Errorf("screen:\n%s", screen)
	}
	for _, bad := range []string{"\x1b[2J", "\x1b[H", "\x1b]", "\x1b[8m", "\u009b"} {
		if strings.Contains(string(l.term.Raw()), bad) {
			t.Errorf("%q reached the terminal", bad)
		}
	}
}

// TestLiveStop: a panic's deferred Stop leaves the frame to be seen, and the
// cursor below it.
func TestLiveStop(t *testing.T) {
	l := newLive(t, 80, 24, Options{})
	l.emit(intoPush()...)
	l.draw(6, "sha256:cccc")
	if err := l.ui.Stop(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(l.term.TTY, "panic: x")
	screen := l.wait("panic: x")
	if !strings.HasSuffix(screen, "mounted\npanic: x") {
		t.Errorf("screen:\n%s", screen)
	}
	if _, _, visible := l.term.Cursor(); !visible {
		t.Error("the cursor is hidden")
	}
}
