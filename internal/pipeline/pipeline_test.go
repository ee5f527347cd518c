package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// stage makes a stage that logs its calls.
func stage(log *[]string, name string, changes bool, fail error, undo error) Stage {
	return Stage{
		Name: name,
		Run: func(_ context.Context, r *Reporter) error {
			*log = append(*log, name)
			if changes {
				r.Changed()
			}
			return fail
		},
		Undo: func(context.Context, *Reporter) error {
			*log = append(*log, "undo "+name)
			return undo
		},
	}
}

func TestEnds(t *testing.T) {
	boom := errors.New("boom")
	refusal := Check{Name: "c", Run: func(context.Context, *Reporter) ([]*Finding, error) {
		return []*Finding{{Code: "x", Severity: Error, What: "no"}}, nil
	}}
	warning := Check{Name: "w", Run: func(context.Context, *Reporter) ([]*Finding, error) {
		return []*Finding{{Code: "x", Severity: Warning, What: "hm"}}, nil
	}}
	for name, tc := range map[string]struct {
		make func(log *[]string) Pipeline
		end  End
		log  string
	}{
		"done": {func(l *[]string) Pipeline {
			return Pipeline{Checks: []Check{warning}, Stages: []Stage{stage(l, "a", true, nil, nil), stage(l, "b", false, nil, nil)}}
		}, Done, "a b"},
		"refused": {func(l *[]string) Pipeline {
			return Pipeline{Checks: []Check{warning, refusal}, Stages: []Stage{stage(l, "a", true, nil, nil)}}
		}, RefusedByPreflight, ""},
		"strict": {func(l *[]string) Pipeline {
			return Pipeline{Strict: true, Checks: []Check{warning}, Stages: []Stage{stage(l, "a", true, nil, nil)}}
		}, RefusedByPreflight, ""},
		"failed before a change": {func(l *[]string) Pipeline {
			return Pipeline{Stages: []Stage{stage(l, "a", false, nil, nil), stage(l, "b", false, boom, nil), stage(l, "c", true, nil, nil)}}
		}, Unchanged, "a b"},
		"restored in reverse": {func(l *[]string) Pipeline {
			return Pipeline{Stages: []Stage{stage(l, "a", true, nil, nil), stage(l, "b", false, nil, nil), stage(l, "c", true, boom, nil)}}
		}, Restored, "a b c undo c undo a"},
		"left when undoing fails": {func(l *[]string) Pipeline {
			return Pipeline{Stages: []Stage{stage(l, "a", true, nil, nil), stage(l, "b", true, boom, errors.New("stuck"))}}
		}, Left, "a b undo b undo a"},
		"left when nothing undoes": {func(l *[]string) Pipeline {
			s := stage(l, "a", true, boom, nil)
			s.Undo = nil
			return Pipeline{Stages: []Stage{s}}
		}, Left, "a"},
		"a change that was refused": {func(l *[]string) Pipeline {
			return Pipeline{Stages: []Stage{{Name: "a", Run: func(_ context.Context, r *Reporter) error {
				r.Changed()
				r.Refused()
				return boom
			}}}}
		}, Unchanged, ""},
		"the second of two changes was refused": {func(l *[]string) Pipeline {
			s := stage(l, "a", true, nil, nil)
			run := s.Run
			s.Run = func(ctx context.Context, r *Reporter) error {
				_ = run(ctx, r)
				r.Changed()
				r.Refused()
				return boom
			}
			return Pipeline{Stages: []Stage{s}}
		}, Restored, "a undo a"},
		"only a file, which is restored": {func(l *[]string) Pipeline {
			s := stage(l, "a", true, nil, nil)
			s.Local = true
			return Pipeline{Stages: []Stage{s, stage(l, "b", false, boom, nil)}}
		}, Unchanged, "a b undo a"},
		"a file that cannot be restored": {func(l *[]string) Pipeline {
			s := stage(l, "a", true, nil, boom)
			s.Local = true
			return Pipeline{Stages: []Stage{s, stage(l, "b", false, boom, nil)}}
		}, Left, "a b undo a"},
		"a file and something else": {func(l *[]string) Pipeline {
			s := stage(l, "a", true, nil, nil)
			s.Local = true
			return Pipeline{Stages: []Stage{s, stage(l, "b", true, boom, nil)}}
		}, Restored, "a b undo b undo a"},
		"left when asked": {func(l *[]string) Pipeline {
			return Pipeline{KeepChanges: true, Stages: []Stage{stage(l, "a", true, boom, nil)}}
		}, Left, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			var log []string
			out := Run(t.Context(), tc.make(&log), Discard)
			if out.End != tc.end || out.ExitCode() != int(tc.end) {
				t.Errorf("end %v, exit %d; want %v", out.End, out.ExitCode(), tc.end)
			}
			if (out.Err == nil) != (tc.end == Done) {
				t.Errorf("error %v at end %v", out.Err, out.End)
			}
			if got := strings.Join(log, " "); got != tc.log {
				t.Errorf("ran %q, want %q", got, tc.log)
			}
		})
	}
}

func TestAllFindingsAtOnce(t *testing.T) {
	shared := NewLazy(func(context.Context) (string, error) {
		return "", &Finding{Code: "shared", Severity: Error, What: "one cause"}
	})
	meet := make(chan struct{}) // both checks must be running at the same time
	check := func(i int) Check {
		return Check{Name: fmt.Sprint(i), Run: func(ctx context.Context, _ *Reporter) ([]*Finding, error) {
			select {
			case meet <- struct{}{}:
			case <-meet:
			}
			_, err := shared.Get(ctx)
			return []*Finding{{Code: Code(fmt.Sprint("own", i)), Severity: Error, What: "own"}}, err
		}}
	}
	out := Run(t.Context(), Pipeline{Checks: []Check{check(0), check(1)}}, Discard)
	var codes []string
	for _, f := range out.Findings {
		codes = append(codes, string(f.Code))
	}
	if want := []string{"own0", "shared", "own1"}; !slices.Equal(codes, want) {
		t.Errorf("findings %v, want %v", codes, want)
	}
}

func TestInterruptIsAFailureThatUndoes(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	undone := false
	p := Pipeline{Stages: []Stage{{
		Name: "apply",
		Run: func(ctx context.Context, r *Reporter) error {
			r.Changed()
			cancel(ErrInterrupted)
			<-ctx.Done()
			return ctx.Err()
		},
		Undo: func(ctx context.Context, _ *Reporter) error { undone = true; return ctx.Err() },
	}}}
	out := Run(ctx, p, Discard)
	if !undone || out.End != Restored || out.ExitCode() != 130 || !errors.Is(out.Err, ErrInterrupted) {
		t.Errorf("undone %v, end %v, exit %d, error %v", undone, out.End, out.ExitCode(), out.Err)
	}
}

func TestEvidenceIsKeptBeforeUndoing(t *testing.T) {
	var log []string
	s := stage(&log, "a", true, errors.New("boom"), nil)
	Run(t.Context(), Pipeline{
		Stages:    []Stage{s},
		OnFailure: func(_ context.Context, _ *Reporter, err error) { log = append(log, "evidence of "+err.Error()) },
		Cleanup:   func(context.Context, *Reporter) error { log = append(log, "cleanup"); return nil },
	}, Discard)
	if got := strings.Join(log, ", "); got != "a, evidence of boom, undo a, cleanup" {
		t.Error(got)
	}
}

func TestEventsDescribeTheRun(t *testing.T) {
	var mu sync.Mutex
	var kinds []string
	sink := SinkFunc(func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		kinds = append(kinds, e.Stage+":"+string(e.Kind))
	})
	Run(t.Context(), Pipeline{Stages: []Stage{{Name: "s", Run: func(_ context.Context, r *Reporter) error {
		r.Notef("hello")
		r.Skipped("nothing to do")
		return nil
	}}}}, sink)
	if got := strings.Join(kinds, " "); got != "s:stage-started s:note s:stage-finished" {
		t.Error(got)
	}
}

func TestAStageThatDoesNotRunIsNotMentioned(t *testing.T) {
	var log []string
	decided := false
	first := stage(&log, "first", true, nil, nil)
	run := first.Run
	first.Run = func(ctx context.Context, r *Reporter) error { decided = true; return run(ctx, r) }
	one, other := stage(&log, "one", true, nil, nil), stage(&log, "other", true, nil, nil)
	one.When, other.When = func() bool { return decided }, func() bool { return !decided }
	out := Run(t.Context(), Pipeline{Stages: []Stage{first, one, other, stage(&log, "last", false, errors.New("boom"), nil)}}, Discard)
	var names []string
	for _, s := range out.Stages {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, ", "); got != "first, one, last, undo one, undo first" || out.End != Restored {
		t.Error(got, out.End)
	}
}

func TestAsFindings(t *testing.T) {
	a, b := &Finding{Code: "a", What: "a"}, &Finding{Code: "b", What: "b"}
	got := AsFindings("x", errors.Join(a, fmt.Errorf("while: %w", errors.Join(b)), errors.New("plain")))
	if len(got) != 3 || got[0] != a || got[1] != b || got[2].Code != "internal" || got[2].Why != "plain" {
		t.Errorf("%+v", got)
	}
}

func TestAPanicInACheckIsAFinding(t *testing.T) {
	out := Run(t.Context(), Pipeline{Checks: []Check{{Name: "c", Run: func(context.Context, *Reporter) ([]*Finding, error) { panic("oh") }}}}, Discard)
	if out.End != RefusedByPreflight || len(out.Findings) != 1 || !strings.Contains(out.Findings[0].Why, "oh") {
		t.Errorf("%v %+v", out.End, out.Findings)
	}
}

// A restore or a clean-up that fails without an explanation has its own code, and one that
// explains itself keeps it.
func TestWhatCouldNotBeRestoredHasACode(t *testing.T) {
	own := &Finding{Code: "own", Severity: Error, What: "somebody else has it"}
	plain := errors.New("boom")
	failing := func(undo error) Stage {
		return Stage{Name: "apply", Run: func(_ context.Context, r *Reporter) error { r.Changed(); return plain },
			Undo: func(context.Context, *Reporter) error { return undo }}
	}
	for _, tt := range []struct {
		undo, clean error
		want        Code
	}{{plain, nil, CodeNotRestored}, {own, nil, "own"}, {nil, plain, CodeNotCleaned}} {
		out := Run(t.Context(), Pipeline{Stages: []Stage{failing(tt.undo)}, Cleanup: func(context.Context, *Reporter) error { return tt.clean }}, Discard)
		if len(out.UndoErrs) != 1 {
			t.Fatal(out.UndoErrs)
		}
		if found := AsFindings("x", out.UndoErrs[0]); len(found) != 1 || found[0].Code != tt.want {
			t.Errorf("%+v, want %s", found, tt.want)
		}
	}
}
