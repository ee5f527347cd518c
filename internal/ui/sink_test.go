package ui

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// clock is a clock that stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// at is the time so many seconds after the beginning.
func at(seconds float64) time.Time {
	return newClock().now.Add(time.Duration(seconds * float64(time.Second)))
}

func (c *clock) set(seconds float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = at(seconds)
}

// buffer is a writer that may be read meanwhile.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func started(s float64, stage string) pipeline.Event {
	return pipeline.Event{Time: at(s), Kind: pipeline.StageStarted, Stage: stage}
}

func finished(s float64, stage string, took float64, err error) pipeline.Event {
	return pipeline.Event{Time: at(s), Kind: pipeline.StageFinished, Stage: stage, Duration: time.Duration(took * float64(time.Second)), Err: err}
}

func moved(s float64, stage, item string, done, total int64, state string) pipeline.Event {
	return pipeline.Event{Time: at(s), Kind: pipeline.Progressed, Stage: stage, Progress: &pipeline.Progress{Item: item, Done: done, Total: total, Unit: pipeline.Bytes, State: state}}
}

func counted(s float64, stage, item string, done, total int64) pipeline.Event {
	return pipeline.Event{Time: at(s), Kind: pipeline.Progressed, Stage: stage, Progress: &pipeline.Progress{Item: item, Done: done, Total: total}}
}

func said(s float64, kind pipeline.Kind, stage, text string) pipeline.Event {
	return pipeline.Event{Time: at(s), Kind: kind, Stage: stage, Text: text}
}

func tabled(s float64, stage string, t pipeline.Table) pipeline.Event {
	return pipeline.Event{Time: at(s), Kind: pipeline.Tabled, Stage: stage, Table: &t}
}

var (
	platform = &pipeline.Finding{
		Code: "image-platform", Severity: pipeline.Error,
		What: "ghcr.io/acme/bus:a6de1e0 is linux/amd64", Why: "every node that the pod may land on is linux/arm64",
		Fix: "gh sbw publish --platform linux/arm64", Where: "k8s/bus.yaml:22",
	}
	dirty = &pipeline.Finding{Code: "git-dirty", Severity: pipeline.Warning, What: "the tree has changes that are not committed"}
)

func outcomeOf(end pipeline.End, err error, took float64, stages ...pipeline.StageRecord) pipeline.Outcome {
	return pipeline.Outcome{Name: "publish", End: end, Err: err, Started: at(0), Duration: time.Duration(took * float64(time.Second)), Stages: stages}
}

func record1(name string, from, took float64) pipeline.StageRecord {
	return pipeline.StageRecord{Name: name, Started: at(from), Duration: time.Duration(took * float64(time.Second))}
}

// show emits events and closes; the ticker never ticks.
func show(t *testing.T, o Options, events []pipeline.Event, end *pipeline.Outcome) string {
	t.Helper()
	var out buffer
	o.Err, o.Now = &out, newClock().Now
	o.Ticks = make(chan time.Time)
	u := New(o)
	for _, e := range events {
		u.Emit(e)
	}
	var err error
	if end != nil {
		err = u.Close(*end)
	} else {
		err = u.Stop()
	}
	if err != nil {
		t.Fatalf("Close: %v", err)
	}
	return out.String()
}

func lines(l ...string) string { return strings.Join(l, "\n") + "\n" }

func TestPlainLines(t *testing.T) {
	pods := func(rows ...[]string) pipeline.Table {
		return pipeline.Table{Title: "pods", Header: []string{"NAME", "SET", "READY", "AGE", "REASON"}, Rows: rows}
	}
	cases := []struct {
		name    string
		opts    Options
		events  []pipeline.Event
		outcome *pipeline.Outcome
		want    string
	}{
		{
			name: "a good run",
			events: []pipeline.Event{
				started(0, "preflight"),
				counted(0, "preflight", "identity", 0, 1),
				counted(1, "preflight", "identity", 1, 1),
				finished(1, "preflight", 1, nil),
				started(1, "push"),
				moved(1, "push", "sha256:aa", 0, 2_000_000, ""),
				moved(2, "push", "sha256:aa", 2_000_000, 2_000_000, ""),
				moved(2, "push", "sha256:bb", 1_500_000, 1_500_000, "mounted"),
				said(2, pipeline.Noted, "push", "a6de1e0 is sha256:cc"),
				said(2, pipeline.Detailed, "push", "not shown"),
				finished(3, "push", 2, nil),
			},
			outcome: ptr(outcomeOf(pipeline.Done, nil, 3, record1("preflight", 0, 1), record1("push", 1, 2))),
			want: lines(
				"12:00:00 preflight: started",
				"12:00:01 preflight: done in 1.0s (1 of 1)",
				"12:00:01 push: started",
				"12:00:02 push: a6de1e0 is sha256:cc",
				"12:00:03 push: done in 2.0s (3.5 MB in 2 parts)",
				"  + preflight   1.0s  ################",
				"  + push        2.0s                  ################################",
				"+ publish: done in 3.0s",
			),
		},
		{
			name: "verbose shows details and what became of each part",
			opts: Options{Verbose: true},
			events: []pipeline.Event{
				started(0, "push"),
				said(0, pipeline.Detailed, "push", "asking for a token"),
				moved(1, "push", "sha256:bb", 5, 5, "exists"),
			},
			want: lines(
				"12:00:00 push: started",
				"12:00:00 push: asking for a token",
				"12:00:01 push: sha256:bb: exists",
			),
		},
		{
			name: "refused: the finding is shown once",
			opts: Options{Style: Style{Program: "kubectl sbw"}, Next: map[pipeline.End]string{pipeline.RefusedByPreflight: "fix it and run again"}},
			events: []pipeline.Event{
				started(0, "preflight"),
				{Time: at(1), Kind: pipeline.Found, Stage: "preflight", Finding: dirty},
				{Time: at(1), Kind: pipeline.Found, Stage: "preflight", Finding: platform},
				finished(1, "preflight", 1, errors.Join(platform)),
			},
			outcome: &pipeline.Outcome{
				Name: "rollout", End: pipeline.RefusedByPreflight, Refused: true, Err: errors.Join(platform), Duration: time.Second, Started: at(0),
				Stages: []pipeline.StageRecord{{Name: "preflight", Started: at(0), Duration: time.Second, Error: "x"}},
			},
			want: lines(
				"12:00:00 preflight: started",
				"12:00:01 preflight: warning: the tree has changes that are not committed",
				"           more:  kubectl sbw explain git-dirty",
				"12:00:01 preflight: error: ghcr.io/acme/bus:a6de1e0 is linux/amd64",
				"           why:   every node that the pod may land on is linux/arm64",
				"           fix:   gh sbw publish --platform linux/arm64",
				"           where: k8s/bus.yaml:22",
				"           more:  kubectl sbw explain image-platform",
				"12:00:01 preflight: failed after 1.0s: ghcr.io/acme/bus:a6de1e0 is linux/amd64",
				"x rollout was refused at preflight after 1.0s: nothing was changed",
				"  next: fix it and run again",
			),
		},
		{
			name: "rows are shown when they change in more than age",
			events: []pipeline.Event{
				started(0, "watch rollout"),
				tabled(0, "watch rollout", pods([]string{"bus-1", "old", "1/1", "9d", ""})),
				tabled(1, "watch rollout", pods([]string{"bus-1", "old", "1/1", "9d1s", ""}, []string{"bus-2", "new", "0/1", "1s", "ContainerCreating"})),
				tabled(2, "watch rollout", pods([]string{"bus-1", "old", "1/1", "9d2s", ""}, []string{"bus-2", "new", "0/1", "2s", "ContainerCreating"})),
				tabled(3, "watch rollout", pods([]string{"bus-2", "new", "1/1", "3s", ""})),
			},
			want: lines(
				"12:00:00 watch rollout: started",
				"12:00:00 watch rollout: pods bus-1: set old, ready 1/1, age 9d",
				"12:00:01 watch rollout: pods bus-2: set new, ready 0/1, age 1s, reason ContainerCreating",
				"12:00:03 watch rollout: pods bus-2: set new, ready 1/1, age 3s",
				"         pods bus-1: gone",
			),
		},
		{
			name: "skipped, and a run that failed and was put back",
			events: []pipeline.Event{
				started(0, "wait idle"),
				{Time: at(0), Kind: pipeline.StageFinished, Stage: "wait idle", Text: "not asked for"},
				started(0, "probe"),
				finished(4, "probe", 4, errors.New("no answer\x1b[2J from \x00 pod")),
			},
			outcome: ptr(outcomeOf(pipeline.Restored, errors.New("no answer\x1b[2J from \x00 pod"), 5,
				pipeline.StageRecord{Name: "wait idle", Started: at(0), Skipped: "not asked for"},
				pipeline.StageRecord{Name: "probe", Started: at(0), Duration: 4 * time.Second, Error: "no answer"},
				record1("undo apply", 4, 1),
			)),
			want: lines(
				"12:00:00 wait idle: started",
				"12:00:00 wait idle: skipped: not asked for",
				"12:00:00 probe: started",
				"12:00:04 probe: failed after 4.0s: no answer from ␀ pod",
				"  - wait idle    0.0s  not asked for",
				"  x probe        4.0s  ######################################",
				"  + undo apply   1.0s                                        #########",
				"error: probe",
				"  why:   no answer from ␀ pod",
				"  more:  internal",
				"x publish failed at probe after 5.0s: what was changed has been restored",
			),
		},
		{
			name: "interrupted before anything",
			events: []pipeline.Event{
				started(0, "push"),
				finished(1, "push", 1, pipeline.ErrInterrupted),
			},
			outcome: &pipeline.Outcome{
				Name: "publish", End: pipeline.Unchanged, Interrupted: true, Err: pipeline.ErrInterrupted, Started: at(0), Duration: time.Second,
				Stages: []pipeline.StageRecord{{Name: "push", Started: at(0), Duration: time.Second, Error: "interrupted"}},
			},
			want: lines(
				"12:00:00 push: started",
				"12:00:01 push: failed after 1.0s: interrupted",
				"x publish was interrupted at push after 1.0s: nothing was changed",
			),
		},
		{
			name:    "quiet is silent about a good run",
			opts:    Options{Mode: Quiet},
			events:  []pipeline.Event{started(0, "push"), said(1, pipeline.Noted, "push", "x"), finished(1, "push", 1, nil)},
			outcome: ptr(outcomeOf(pipeline.Done, nil, 1)),
			want:    "",
		},
		{
			name: "quiet shows warnings, the error and the end",
			opts: Options{Mode: Quiet},
			events: []pipeline.Event{
				{Time: at(1), Kind: pipeline.Found, Stage: "preflight", Finding: dirty},
				started(0, "push"),
			},
			outcome: ptr(outcomeOf(pipeline.Left, platform, 1, pipeline.StageRecord{Name: "push", Error: "x"})),
			want: lines(
				"warning: the tree has changes that are not committed",
				"  more:  git-dirty",
				"error: ghcr.io/acme/bus:a6de1e0 is linux/amd64",
				"  why:   every node that the pod may land on is linux/arm64",
				"  fix:   gh sbw publish --platform linux/arm64",
				"  where: k8s/bus.yaml:22",
				"  more:  image-platform",
				"x publish failed at push after 1.0s: what was changed is left as it is",
			),
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.opts.ASCII = true
			got := show(t, c.opts, c.events, c.outcome)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }

// TestPlainSignsOfLife: a transfer reports how far it is, a silent stage that it
// is still there.
func TestPlainSignsOfLife(t *testing.T) {
	var out buffer
	c := newClock()
	ticks := make(chan time.Time)
	u := New(Options{Err: &out, Now: c.Now, Ticks: ticks, Style: Style{ASCII: true}})
	// The second of two ticks is only taken when the first has been dealt with.
	tick := func(s float64) {
		c.set(s)
		ticks <- c.Now()
		ticks <- c.Now()
	}
	u.Emit(started(0, "push"))
	u.Emit(moved(0, "push", "a", 0, 20_000_000, ""))
	for i := range 4 {
		u.Emit(moved(float64(i), "push", "a", int64(i)*2_000_000, 20_000_000, ""))
	}
	tick(3)
	tick(6)
	tick(7)
	u.Emit(moved(8, "push", "a", 20_000_000, 20_000_000, ""))
	u.Emit(finished(8, "push", 8, nil))
	u.Emit(started(8, "watch rollout"))
	u.Emit(said(9, pipeline.Detailed, "watch rollout", "0 of 2 pods ready"))
	tick(20)
	tick(28)
	tick(29)
	tick(49)
	if err := u.Stop(); err != nil {
		t.Fatal(err)
	}
	want := lines(
		"12:00:00 push: started",
		"12:00:06 push: 6.0 MB of 20.0 MB, 1.0 MB/s, 14s left",
		"12:00:08 push: done in 8.0s (20.0 MB)",
		"12:00:08 watch rollout: started",
		"12:00:28 watch rollout: still going after 20.0s: 0 of 2 pods ready",
		"12:00:49 watch rollout: still going after 41.0s: 0 of 2 pods ready",
	)
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestEventLines(t *testing.T) {
	evil := "a\x1b[31mb\u009b2J\u202ec"
	got := show(t, Options{Mode: Events, Next: map[pipeline.End]string{pipeline.Left: "look"}}, []pipeline.Event{
		started(0, "push"),
		moved(0.00, "push", "aa", 0, 10, ""),
		moved(0.05, "push", "aa", 1, 10, ""), // too soon
		moved(0.11, "push", "aa", 2, 10, ""),
		moved(0.12, "push", "aa", 2, 10, "retry"),
		moved(0.13, "push", "aa", 10, 10, "retry"),
		said(1, pipeline.Noted, "push", evil),
		{Time: at(1), Kind: pipeline.Found, Stage: "push", Finding: platform},
		tabled(1, "push", pipeline.Table{Title: "pods", Header: []string{"A"}, Rows: [][]string{{"<1>"}}}),
		finished(2, "push", 2, platform),
		{Time: at(2), Kind: pipeline.StageFinished, Stage: "tag", Text: "nothing to do"},
	}, &pipeline.Outcome{
		Name: "publish", End: pipeline.Left, Err: platform, Started: at(0), Duration: 2 * time.Second,
		Stages:   []pipeline.StageRecord{{Name: "push", Started: at(0), Duration: 2 * time.Second, Error: "x"}},
		UndoErrs: []error{errors.New("undo push: no")},
	})
	want := lines(
		`{"v":1,"time":"2026-03-04T12:00:00Z","kind":"stage-started","stage":"push"}`,
		`{"v":1,"time":"2026-03-04T12:00:00Z","kind":"progress","stage":"push","progress":{"item":"aa","done":0,"total":10,"unit":"bytes"}}`,
		`{"v":1,"time":"2026-03-04T12:00:00.11Z","kind":"progress","stage":"push","progress":{"item":"aa","done":2,"total":10,"unit":"bytes"}}`,
		`{"v":1,"time":"2026-03-04T12:00:00.12Z","kind":"progress","stage":"push","progress":{"item":"aa","done":2,"total":10,"unit":"bytes","state":"retry"}}`,
		`{"v":1,"time":"2026-03-04T12:00:00.13Z","kind":"progress","stage":"push","progress":{"item":"aa","done":10,"total":10,"unit":"bytes","state":"retry"}}`,
		`{"v":1,"time":"2026-03-04T12:00:01Z","kind":"note","stage":"push","text":"a\u001b[31mb\u009b2J\u202ec"}`,
		`{"v":1,"time":"2026-03-04T12:00:01Z","kind":"finding","stage":"push","finding":{"code":"image-platform","severity":"error","what":"ghcr.io/acme/bus:a6de1e0 is linux/amd64","why":"every node that the pod may land on is linux/arm64","fix":"gh sbw publish --platform linux/arm64","where":"k8s/bus.yaml:22"}}`,
		`{"v":1,"time":"2026-03-04T12:00:01Z","kind":"table","stage":"push","table":{"title":"pods","header":["A"],"rows":[["<1>"]]}}`,
		`{"v":1,"time":"2026-03-04T12:00:02Z","kind":"stage-finished","stage":"push","seconds":2,"error":"k8s/bus.yaml:22: ghcr.io/acme/bus:a6de1e0 is linux/amd64: every node that the pod may land on is linux/arm64; gh sbw publish --platform linux/arm64"}`,
		`{"v":1,"time":"2026-03-04T12:00:02Z","kind":"stage-finished","stage":"tag","seconds":0,"skipped":"nothing to do"}`,
		`{"v":1,"time":"2026-03-04T12:00:00Z","kind":"outcome","outcome":{"name":"publish","end":"left","exitCode":5,"seconds":2,"stages":[{"name":"push","started":"2026-03-04T12:00:00Z","seconds":2,"error":"x"}],"findings":[{"code":"image-platform","severity":"error","what":"ghcr.io/acme/bus:a6de1e0 is linux/amd64","why":"every node that the pod may land on is linux/arm64","fix":"gh sbw publish --platform linux/arm64","where":"k8s/bus.yaml:22"}],"undoErrors":["undo push: no"],"next":"look"}}`,
	)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	for line := range strings.Lines(got) {
		var r record
		if err := json.Unmarshal([]byte(line), &struct {
			V    *int
			Text *string
		}{&r.V, &r.Text}); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if strings.Contains(line, `"note"`) && r.Text != evil {
			t.Errorf("text %q came back as %q", evil, r.Text)
		}
	}
}

func TestFail(t *testing.T) {
	cases := []struct {
		mode Mode
		err  error
		want string
	}{
		{Plain, pipeline.UsageErrorf("tag-missing", "give one: --tag a6de1e0", "--tag is required"),
			lines("error: --tag is required", "  fix:   give one: --tag a6de1e0", "  more:  gh sbw explain tag-missing")},
		{Live, errors.New("EOF"), lines("error: reading", "  why:   EOF", "  more:  gh sbw explain internal")},
		{Events, pipeline.UsageErrorf("tag-missing", "x", "--tag is required"),
			lines(`{"v":1,"time":"2026-03-04T12:00:00Z","kind":"outcome","outcome":{"end":"usage","exitCode":2,"seconds":0,"findings":[{"code":"tag-missing","severity":"error","what":"--tag is required","fix":"x"}]}}`)},
	}
	for _, c := range cases {
		var out buffer
		u := New(Options{Mode: c.mode, Err: &out, Now: newClock().Now, Style: Style{Program: "gh sbw"}})
		if err := u.Fail(pipeline.AsFindings("reading", c.err)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, out.String()); diff != "" {
			t.Errorf("mode %d (-want +got):\n%s", c.mode, diff)
		}
	}
}

// stuck is a reader that does not read, until it is let go.
type stuck struct {
	free chan struct{}
	b    buffer
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.free
	return s.b.Write(p)
}

// TestEmitDoesNotWait: a writer that does not get on neither holds up the work
// nor lets memory grow without end.
func TestEmitDoesNotWait(t *testing.T) {
	out := &stuck{free: make(chan struct{})}
	u := New(Options{Mode: Events, Err: out, Now: newClock().Now, Ticks: make(chan time.Time)})
	long := strings.Repeat("x", 64<<10)
	for range 4 * backlog / len(long) {
		u.Emit(said(0, pipeline.Detailed, "build", long))
	}
	u.Emit(said(0, pipeline.Noted, "build", "kept"))
	close(out.free)
	if err := u.Stop(); err != nil {
		t.Fatal(err)
	}
	got := out.b.String()
	if len(got) > 3*backlog {
		t.Errorf("%d bytes were kept, the limit is %d", len(got), backlog)
	}
	if !strings.Contains(got, `"text":"kept"`) {
		t.Error("a note was lost")
	}
}

func TestEmitFromManyGoroutines(t *testing.T) {
	for _, mode := range []Mode{Plain, Live, Events, Quiet} {
		var out buffer
		ticks := make(chan time.Time)
		u := New(Options{Mode: mode, Err: &out, Now: newClock().Now, Ticks: ticks})
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				r := pipeline.NewReporter(fmt.Sprintf("stage %d", g%3), u)
				for i := range 200 {
					r.Progress(pipeline.Progress{Item: fmt.Sprint(i % 9), Done: int64(i), Total: 200, Unit: pipeline.Bytes})
					r.Detailf("step %d", i)
					r.Notef("note %d", i)
					r.Table(pipeline.Table{Title: "t", Rows: [][]string{{fmt.Sprint(g), fmt.Sprint(i)}}})
				}
			})
		}
		if mode == Live {
			ticks <- time.Time{}
		}
		wg.Wait()
		o := outcomeOf(pipeline.Done, nil, 1)
		wg.Go(func() { u.Emit(started(0, "late")) })
		wg.Go(func() { _ = u.Stop() })
		if err := u.Close(o); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if mode != Quiet && strings.Count(out.String(), "note 199") != 8 {
			t.Errorf("mode %d: %d of 8 last notes", mode, strings.Count(out.String(), "note 199"))
		}
	}
}

// faulty fails to write.
type faulty struct{}

func (faulty) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestCloseReportsTheFault(t *testing.T) {
	u := New(Options{Err: faulty{}, Ticks: make(chan time.Time)})
	u.Emit(started(0, "x"))
	if err := u.Close(outcomeOf(pipeline.Done, nil, 1)); err == nil || err.Error() != "disk full" {
		t.Errorf("Close: %v", err)
	}
}
