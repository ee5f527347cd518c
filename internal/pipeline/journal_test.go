package pipeline

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// envVictim makes the test binary the run that is killed.
const envVictim = "PIPELINE_TEST_JOURNAL"

func TestMain(m *testing.M) {
	if path := os.Getenv(envVictim); path != "" {
		victim(path)
		return
	}
	os.Exit(m.Run())
}

// victim runs a pipeline that stops in the middle of its stage "apply".
func victim(path string) {
	j := NewJournal(path, map[string]string{"tag": "t1"})
	Run(context.Background(), Pipeline{Name: "rollout", Journal: j, Stages: []Stage{{Name: "apply", Run: func(ctx context.Context, r *Reporter) error {
		if err := j.Keep("before", "old"); err != nil {
			return err
		}
		r.Changed()
		_, _ = os.Stdout.WriteString("changing\n")
		<-ctx.Done()
		return nil
	}}}}, Discard)
}

// kill starts a run on the journal and kills it during a change; alive is called
// before that.
func kill(t *testing.T, path string, alive func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), envVictim+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for s := bufio.NewScanner(out); s.Scan() && s.Text() != "changing"; {
	}
	alive()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the run was not killed")
	}
}

// once is a pipeline of one stage.
func once(j *Journal, run func(context.Context, *Reporter) error) Pipeline {
	return Pipeline{Name: "rollout", Journal: j, Stages: []Stage{{Name: "apply", Run: run, Undo: func(context.Context, *Reporter) error { return nil }}}}
}

func TestJournalOutlivesAKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "journal")
	kill(t, path, func() {
		if l, err := ReadLeftover(path); l != nil || err != nil {
			t.Errorf("a run in progress left %+v, %v", l, err)
		}
		j := NewJournal(path, nil)
		Run(t.Context(), once(j, func(context.Context, *Reporter) error { return nil }), Discard)
		if j.Leftover() != nil || j.Err() != nil {
			t.Errorf("a second run found %+v, %v", j.Leftover(), j.Err())
		}
	})
	l, err := ReadLeftover(path)
	if err != nil || l == nil {
		t.Fatal(l, err)
	}
	began, last := l.Last()
	if began.Run != "rollout" || began.Subject["tag"] != "t1" || last.State != "changing" || l.Stage() != "apply" || !l.Changing() || len(l.IDs()) != 1 {
		t.Errorf("%+v", l)
	}
	// An incomplete last line does not count, and does no harm.
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"time":"20`); err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	kill(t, path, func() {})
	if l, err = ReadLeftover(path); err != nil || len(l.IDs()) != 2 || len(l.Facts("before")) != 2 || string(l.Facts("before")[0]) != `"old"` {
		t.Errorf("%+v %v", l, err)
	}
}

// A state directory may be a copy of another machine's, or of a run that is
// merely suspended: only what is known to have ended counts as ended.
func TestIDsOfRunsThatHaveEnded(t *testing.T) {
	here := hostname()
	for name, tc := range map[string]struct {
		entry Entry
		ended bool
	}{
		"a process that is gone": {Entry{ID: "a", Host: here, PID: 1 << 30}, true},
		"this very process":      {Entry{ID: "a", Host: here, PID: os.Getpid()}, true},
		"a process that runs":    {Entry{ID: "a", Host: here, PID: os.Getppid()}, false},
		"another machine":        {Entry{ID: "a", Host: here + "2", PID: 1 << 30}, false},
		"an unknown machine":     {Entry{ID: "a", PID: 1 << 30}, false},
	} {
		if ids := (&Leftover{Entries: []Entry{tc.entry}}).IDs(); (len(ids) == 1) != tc.ended {
			t.Errorf("%s: %v", name, ids)
		}
	}
}

func TestJournalIsKeptAsLongAsThereIsSomethingToRestore(t *testing.T) {
	boom := errors.New("boom")
	fail := func(context.Context, *Reporter) error { return boom }
	changeAndFail := func(_ context.Context, r *Reporter) error { r.Changed(); return boom }
	refusal := []Check{{Name: "c", Run: func(context.Context, *Reporter) ([]*Finding, error) { return nil, boom }}}
	for name, tc := range map[string]struct {
		killed bool
		alter  func(*Pipeline)
		kept   bool
	}{
		"done":                                 {alter: func(*Pipeline) {}},
		"done after a kill":                    {killed: true, alter: func(*Pipeline) {}},
		"failed before a change":               {alter: func(p *Pipeline) { p.Stages[0].Run = fail }},
		"failed before a change, after a kill": {killed: true, kept: true, alter: func(p *Pipeline) { p.Stages[0].Run = fail }},
		"refused":                              {alter: func(p *Pipeline) { p.Checks = refusal }},
		"refused after a kill":                 {killed: true, kept: true, alter: func(p *Pipeline) { p.Checks = refusal }},
		"restored after a kill":                {killed: true, alter: func(p *Pipeline) { p.Stages[0].Run = changeAndFail }},
		"left because undoing failed":          {kept: true, alter: func(p *Pipeline) { p.Stages[0].Run, p.Stages[0].Undo = changeAndFail, fail }},
		"left as requested":                    {alter: func(p *Pipeline) { p.Stages[0].Run, p.KeepChanges = changeAndFail, true }},
		"left as requested, after a kill":      {killed: true, kept: true, alter: func(p *Pipeline) { p.Stages[0].Run, p.KeepChanges = changeAndFail, true }},
		"left to somebody else": {killed: true, alter: func(p *Pipeline) {
			p.Stages[0].Run, p.Stages[0].Undo = changeAndFail, fail
			p.Cleanup = func(context.Context, *Reporter) error { p.Journal.Settle(); return nil }
		}},
		"left because undoing failed, after a kill": {killed: true, kept: true, alter: func(p *Pipeline) { p.Stages[0].Run, p.Stages[0].Undo = changeAndFail, fail }},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "journal")
			if tc.killed {
				text := `{"run":"rollout","id":"a","subject":{"tag":"t1"}}` + "\n" + `{"fact":"before","data":"old"}` + "\n"
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			j := NewJournal(path, nil)
			p := once(j, func(_ context.Context, r *Reporter) error { r.Changed(); return nil })
			tc.alter(&p)
			Run(t.Context(), p, Discard)
			if (j.Leftover() != nil) != tc.killed || j.Err() != nil {
				t.Errorf("found %+v, %v", j.Leftover(), j.Err())
			}
			l, err := ReadLeftover(path)
			if err != nil || (l != nil) != tc.kept {
				t.Fatalf("left %+v, %v", l, err)
			}
			if tc.killed && tc.kept && !strings.Contains(string(l.Facts("before")[0]), "old") {
				t.Errorf("%+v", l)
			}
		})
	}
}

func TestARunContinuesWithoutItsJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	j := NewJournal(filepath.Join(path, "journal"), nil)
	if out := Run(t.Context(), once(j, func(context.Context, *Reporter) error { return j.Keep("x", 1) }), Discard); out.End != Done || j.Err() == nil {
		t.Error(out.End, j.Err())
	}
}
