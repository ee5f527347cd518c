//go:build linux

// Package daemon keeps programs running after the command that started them
// has ended. Each program is detached and has a log and a file that identifies
// its process, so any later command can find, watch and stop it.
//
// A pid alone does not identify a process, because the kernel reuses the
// numbers. The file therefore holds the process's start time as well, so that
// a stale file after a crash or a reboot never stops an unrelated process.
package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Spec describes a program to run.
type Spec struct {
	Name string
	Path string
	// Arg0 is argv[0] if it differs from Path: a multi-call binary uses it to
	// choose its command.
	Arg0 string
	Args []string
	// Env is the whole environment; nil means the caller's.
	Env []string
	// Dir is the working directory; empty means the caller's.
	Dir string
	// Version identifies the program and its settings. A daemon that runs in
	// another version is restarted.
	Version string
}

// Set is a directory of daemons, which holds DIR/NAME.pid and DIR/NAME.log.
type Set struct{ Dir string }

// record is the content of a pid file.
type record struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks since boot: field 22 of /proc/PID/stat
	// Version is the Spec's.
	Version string `json:"version,omitempty"`
}

func (s Set) pidFile(name string) string { return filepath.Join(s.Dir, name+".pid") }

// Log returns the path of a daemon's log.
func (s Set) Log(name string) string { return filepath.Join(s.Dir, name+".log") }

// Start starts a daemon unless it is already running in this version, and
// reports whether it started it.
func (s Set) Start(ctx context.Context, spec Spec) (started bool, err error) {
	if r, ok := s.running(spec.Name); ok {
		if r.Version == spec.Version {
			return false, nil
		}
		const grace = 5 * time.Second
		if err := s.Stop(ctx, spec.Name, grace); err != nil {
			return false, err
		}
	}
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return false, err
	}
	log, err := os.OpenFile(s.Log(spec.Name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return false, err
	}
	defer log.Close()
	cmd := exec.Command(spec.Path, spec.Args...)
	if spec.Arg0 != "" {
		cmd.Args[0] = spec.Arg0
	}
	cmd.Env, cmd.Dir = spec.Env, spec.Dir
	cmd.Stdout, cmd.Stderr = log, log
	// In its own session it gets neither a terminal's hang-up nor the Ctrl-C
	// of the command that started it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return false, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	pid := cmd.Process.Pid
	st, err := readStat(pid)
	if err != nil {
		return false, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	// Wait reaps it while this command lives; init does so afterwards.
	go func() { _ = cmd.Wait() }()
	b, err := json.Marshal(record{PID: pid, Start: st.start, Version: spec.Version})
	if err != nil {
		return false, err
	}
	return true, os.WriteFile(s.pidFile(spec.Name), b, 0o644)
}

// Running returns the pid of a running daemon.
func (s Set) Running(name string) (pid int, ok bool) {
	r, ok := s.running(name)
	return r.PID, ok
}

func (s Set) running(name string) (record, bool) {
	b, err := os.ReadFile(s.pidFile(name))
	if err != nil {
		return record{}, false
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return record{}, false
	}
	st, err := readStat(r.PID)
	if err != nil || st.start != r.Start || st.state == 'Z' || st.state == 'X' {
		return record{}, false
	}
	return r, true
}

// Names lists the daemons that have a pid file, whether they run or not.
func (s Set) Names() ([]string, error) {
	files, err := filepath.Glob(filepath.Join(s.Dir, "*.pid"))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), ".pid"))
	}
	return names, nil
}

// Stop ends a daemon with SIGTERM, and with SIGKILL if it is still running
// after grace. It is not an error if the daemon is not running.
func (s Set) Stop(ctx context.Context, name string, grace time.Duration) error {
	if pid, ok := s.Running(name); ok {
		if err := Terminate(ctx, pid, grace); err != nil {
			return fmt.Errorf("stop %s (pid %d): %w", name, pid, err)
		}
	}
	if err := os.Remove(s.pidFile(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Terminate ends any process, including one that is not a child, with SIGTERM,
// and with SIGKILL after grace (immediately if grace is 0).
func Terminate(ctx context.Context, pid int, grace time.Duration) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if grace > 0 {
		if err := unix.PidfdSendSignal(fd, unix.SIGTERM, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
		if gone, err := waitGone(ctx, fd, grace); gone || err != nil {
			return err
		}
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	const killed = 10 * time.Second // a process in uninterruptible sleep may take a while
	gone, err := waitGone(ctx, fd, killed)
	if err == nil && !gone {
		err = errors.New("still alive after SIGKILL")
	}
	return err
}

// waitGone waits until the process behind a pidfd has ended, which the kernel
// reports by making the descriptor readable.
func waitGone(ctx context.Context, fd int, d time.Duration) (bool, error) {
	end := time.Now().Add(d)
	for {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		left := time.Until(end)
		if left <= 0 {
			return false, nil
		}
		// It waits in slices, so that a cancelled context is noticed.
		slice := min(left, 200*time.Millisecond)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(slice.Milliseconds())+1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return false, err
		}
		if n > 0 {
			return true, nil
		}
	}
}

type stat struct {
	state byte
	ppid  int
	start uint64
}

// readStat reads the fields of /proc/PID/stat that are needed here
// (proc_pid_stat(5)). The command's name, in parentheses, may itself contain
// spaces and parentheses.
func readStat(pid int) (stat, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	return parseStat(b)
}

func parseStat(b []byte) (stat, error) {
	i := bytes.LastIndexByte(b, ')')
	f := strings.Fields(string(b[i+1:]))
	if i < 0 || len(f) < 20 {
		return stat{}, fmt.Errorf("not a /proc/PID/stat line: %q", b)
	}
	ppid, err := strconv.Atoi(f[1])
	if err != nil {
		return stat{}, err
	}
	start, err := strconv.ParseUint(f[19], 10, 64)
	if err != nil {
		return stat{}, err
	}
	return stat{state: f[0][0], ppid: ppid, start: start}, nil
}

// Await calls ready repeatedly until it returns nil. If the daemon dies, Await
// returns early with the end of its log. If ctx ends, the error contains the
// last error of ready.
func (s Set) Await(ctx context.Context, name string, ready func(context.Context) error) error {
	const every = 100 * time.Millisecond
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		if _, ok := s.Running(name); !ok {
			return fmt.Errorf("%s ended: %s", name, s.Tail(name))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w (%w); its log: %s", name, err, ctx.Err(), s.Log(name))
		case <-tick.C:
		}
	}
}

// Tail returns the end of a daemon's log.
func (s Set) Tail(name string) string {
	b, err := os.ReadFile(s.Log(name))
	if err != nil {
		return err.Error()
	}
	const most = 2000
	if len(b) > most {
		b = b[len(b)-most:]
	}
	return fmt.Sprintf("%s ends with\n%s", s.Log(name), b)
}
