//go:build linux

package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func shell(name, script string) Spec {
	return Spec{Name: name, Path: "/bin/sh", Args: []string{"-c", script}}
}

func TestStartOnceFindStop(t *testing.T) {
	set := Set{Dir: t.TempDir()}
	spec := shell("sleeper", "exec sleep 1000")
	for i, want := range []bool{true, false} {
		started, err := set.Start(t.Context(), spec)
		if err != nil || started != want {
			t.Fatalf("start %d: %v, %v; want %v", i, started, err, want)
		}
	}
	if _, ok := set.Running("sleeper"); !ok {
		t.Fatal("the daemon was not found running")
	}
	if names, err := set.Names(); err != nil || len(names) != 1 || names[0] != "sleeper" {
		t.Errorf("names %v, %v", names, err)
	}
	for range 2 { // Stopping a daemon twice is not an error.
		if err := set.Stop(t.Context(), "sleeper", time.Minute); err != nil {
			t.Fatal(err)
		}
		if _, ok := set.Running("sleeper"); ok {
			t.Fatal("the daemon is still running")
		}
	}
}

func TestStopKillsADaemonThatIgnoresSIGTERM(t *testing.T) {
	set := Set{Dir: t.TempDir()}
	if _, err := set.Start(t.Context(), shell("deaf", `trap "" TERM; echo deaf; while :; do sleep 1000; done`)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = set.Stop(context.Background(), "deaf", 0) })
	if err := set.Await(t.Context(), "deaf", logged(set, "deaf", "deaf")); err != nil {
		t.Fatal(err)
	}
	pid, _ := set.Running("deaf")
	if err := set.Stop(t.Context(), "deaf", 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if _, err := readStat(pid); err == nil {
		if st, _ := readStat(pid); st.state != 'Z' {
			t.Error("the daemon is still alive")
		}
	}
}

// logged returns a check that succeeds once the daemon's log contains a text.
func logged(set Set, name, text string) func(context.Context) error {
	return func(context.Context) error {
		b, err := os.ReadFile(set.Log(name))
		if err == nil && !strings.Contains(string(b), text) {
			err = errors.New("the text is not in the log yet")
		}
		return err
	}
}

func TestAnotherVersionIsRestarted(t *testing.T) {
	set := Set{Dir: t.TempDir()}
	spec := shell("server", "exec sleep 1000")
	t.Cleanup(func() { _ = set.Stop(context.Background(), "server", 0) })
	var pids []int
	for _, version := range []string{"1", "2", "2"} {
		spec.Version = version
		if _, err := set.Start(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
		pid, ok := set.Running("server")
		if !ok {
			t.Fatal("the daemon is not running")
		}
		pids = append(pids, pid)
	}
	if pids[0] == pids[1] || pids[1] != pids[2] {
		t.Errorf("pids %v of versions 1, 2, 2", pids)
	}
}

// A pid file that has outlived its process must not match an unrelated
// process.
func TestStalePidFile(t *testing.T) {
	set := Set{Dir: t.TempDir()}
	for name, text := range map[string]string{
		"stranger": fmt.Sprintf(`{"pid":%d,"start":1}`, os.Getpid()),
		"gone":     `{"pid":4194304,"start":1}`,
		"torn":     `{"pid":`,
	} {
		if err := os.WriteFile(filepath.Join(set.Dir, name+".pid"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if pid, ok := set.Running(name); ok {
			t.Errorf("%s: was matched with process %d", name, pid)
		}
		if err := set.Stop(t.Context(), name, time.Second); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAwaitReportsWhyADaemonEnded(t *testing.T) {
	set := Set{Dir: t.TempDir()}
	if _, err := set.Start(t.Context(), shell("broken", "echo no such flag; exit 1")); err != nil {
		t.Fatal(err)
	}
	err := set.Await(t.Context(), "broken", func(context.Context) error { return errors.New("refused") })
	if err == nil || !strings.Contains(err.Error(), "no such flag") {
		t.Errorf("%v", err)
	}
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	set := Set{Dir: t.TempDir()}
	if _, err := set.Start(t.Context(), shell("slow", "exec sleep 1000")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = set.Stop(context.Background(), "slow", 0) })
	ctx, cancel := context.WithCancel(t.Context())
	refused := errors.New("refused")
	err := set.Await(ctx, "slow", func(context.Context) error { cancel(); return refused })
	if !errors.Is(err, context.Canceled) || !errors.Is(err, refused) {
		t.Errorf("%v", err)
	}
}

func TestParseStat(t *testing.T) {
	line := "42 (a) b (c)) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 1000 10 18446744073709551615\n"
	st, err := parseStat([]byte(line))
	if err != nil || st != (stat{state: 'S', ppid: 7, start: 12345}) {
		t.Errorf("%+v, %v", st, err)
	}
	for _, bad := range []string{"", "42", "42 (a) S 7", "42 (a S 7 42"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
