//go:build linux

// Package daemon keeps long-running programs that outlive the command which
// started them: each is detached, has its log and a file that names the
// process, and can be found, watched and stopped by any later command.
//
// A pid alone names a process only until the kernel hands the number out
// again. The file therefore holds the process's start time as well, so that a
// stale file after a crash or a reboot never stops a stranger.
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

// Spec says what to run.
type Spec struct {
	Name string
	Path string
	// Arg0 is argv[0] where it differs from Path: a multi-call binary picks its
	// command by it.
	Arg0 string
	Args []string
	// Env is the whole environment; the caller's own when nil.
	Env []string
	// Dir is the working directory; the caller's own when empty.
	Dir string
	// Version identifies what is run. A daemon with another version is restarted.
	Version string
}

// Set is a directory of daemons: DIR/NAME.pid and DIR/NAME.log.
type Set struct{ Dir string }

// record is what a pid file holds.
type record struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks since boot: field 22 of /proc/PID/stat
	// Version is the Spec's.
	Version string `json:"version,omitempty"`
}

func (s Set) pidFile(name string) string { return filepath.Join(s.Dir, name+".pid") }

// Log is the path of a daemon's log.
func (s Set) Log(name string) string { return filepath.Join(s.Dir, name+".log") }

// Start starts a daemon that is not running, or not in this version, and
// reports whether it did.
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
	// A session of its own: no terminal's hang-up, no Ctrl-C of the command
	// that started it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return false, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	pid := cmd.Process.Pid
	st, err := readStat(pid)
	if err != nil {
		return false, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	// Reaped here while this command lives, by init afterwards.
	go func() { _ = cmd.Wait() }()
	b, err := json.Marshal(record{PID: pid, Start: st.start, Version: spec.Version})
	if err != nil {
		return false, err
	}
	return true, os.WriteFile(s.pidFile(spec.Name), b, 0o644)
}

// Running returns the pid of a daemon that is alive.
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

// Names lists the daemons that have a pid file, running or not.
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

// Stop ends a daemon: SIGTERM, then SIGKILL once grace has passed. One that is
// not running is not an error.
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

// Terminate ends any process, its own child or not: SIGTERM, then SIGKILL once
// grace has passed or at once when grace is 0.
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
	const killed = 10 * time.Second // a process in an uninterruptible wait may take its time
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
		// In slices, so that a cancelled context is noticed.
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

// readStat reads what is needed of /proc/PID/stat (proc_pid_stat(5)). The
// command's name, in parentheses, may itself hold spaces and parentheses.
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

// Await asks ready, again and again, until it returns nil. It ends early, with
// the end of the daemon's log, when the daemon has died, and with ready's last
// word when ctx ends.
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

// Tail is the end of a daemon's log.
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
