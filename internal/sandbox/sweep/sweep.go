//go:build linux

// Package sweep removes what container runtimes leave behind when they are
// killed instead of stopped: processes in containers, mounts, control groups
// and netfilter rules. It finds everything by asking the kernel and never from
// a recorded list, because the process that kept the list may have died first.
package sweep

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/joelhooks/gh-sbw/internal/sandbox/daemon"
)

// Processes kills every process in a container whose root file system lies
// under dir, and every shim that has a path under dir among its arguments. It
// returns the number of processes.
func Processes(ctx context.Context, dir string) (int, error) {
	killed := 0
	// Killing a shim's container may create another one, so it repeats until
	// there is none.
	for range 10 {
		pids, err := find(dir)
		if err != nil {
			return killed, err
		}
		if len(pids) == 0 {
			return killed, nil
		}
		for _, pid := range pids {
			if err := daemon.Terminate(ctx, pid, 0); err != nil {
				return killed, fmt.Errorf("kill process %d: %w", pid, err)
			}
			killed++
		}
	}
	return killed, fmt.Errorf("processes of %s keep coming back", dir)
}

func find(dir string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var shims, contained []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		args, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err != nil || len(args) == 0 {
			continue // it has just ended, or is a kernel thread
		}
		if isShim(args, dir) {
			shims = append(shims, pid)
			continue
		}
		mounts, err := os.ReadFile(filepath.Join("/proc", e.Name(), "mountinfo"))
		if err == nil && rootUnder(mounts, dir) {
			contained = append(contained, pid)
		}
	}
	// Shims go first, because a running shim reacts to the end of its
	// containers.
	return append(shims, contained...), nil
}

// isShim reports whether a command line (NUL-separated) belongs to a
// containerd shim or a runc that serves dir.
func isShim(cmdline []byte, dir string) bool {
	args := strings.Split(strings.TrimRight(string(cmdline), "\x00"), "\x00")
	name := filepath.Base(args[0])
	if !strings.HasPrefix(name, "containerd-shim") && name != "runc" && name != "buildkit-runc" {
		return false
	}
	return slices.ContainsFunc(args[1:], func(a string) bool { return under(a, dir) })
}

// rootUnder reports whether the root in a mount table is an overlay whose
// upper directory lies under dir, or a bind mount whose source does.
func rootUnder(mountinfo []byte, dir string) bool {
	for m := range parseMounts(mountinfo) {
		if m.point != "/" {
			continue
		}
		if under(m.root, dir) {
			return true
		}
		for opt := range strings.SplitSeq(m.options, ",") {
			k, v, _ := strings.Cut(opt, "=")
			if (k == "upperdir" || k == "workdir") && under(v, dir) {
				return true
			}
		}
	}
	return false
}

func under(path, dir string) bool {
	return strings.HasPrefix(path, dir+string(filepath.Separator))
}

type mount struct{ root, point, options string }

// parseMounts yields the lines of /proc/PID/mountinfo (proc_pid_mountinfo(5)).
func parseMounts(b []byte) func(yield func(mount) bool) {
	return func(yield func(mount) bool) {
		lines := bufio.NewScanner(bytes.NewReader(b))
		lines.Buffer(nil, 1<<20) // an overlay with many layers results in long lines
		for lines.Scan() {
			head, tail, ok := strings.Cut(lines.Text(), " - ")
			h, t := strings.Fields(head), strings.Fields(tail)
			if !ok || len(h) < 6 || len(t) < 3 {
				continue
			}
			if !yield(mount{root: unescape(h[3]), point: unescape(h[4]), options: t[2]}) {
				return
			}
		}
	}
}

// unescape decodes the octal escapes of space, tab, newline and backslash.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// Mounts unmounts everything under dir, the last mount first, and returns the
// number of mounts.
func Mounts(dir string) (int, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return 0, err
	}
	var points []string
	for m := range parseMounts(b) {
		if under(m.point, dir) {
			points = append(points, m.point)
		}
	}
	var errs []error
	for _, p := range slices.Backward(points) {
		// A lazy unmount succeeds even if an unrelated process uses the file
		// system.
		if err := unix.Unmount(p, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil && !errors.Is(err, unix.EINVAL) {
			errs = append(errs, fmt.Errorf("unmount %s: %w", p, err))
		}
	}
	return len(points), errors.Join(errs...)
}

// Cgroups removes the empty control groups with this name at the top of every
// hierarchy, with everything below them. A group that still has processes
// belongs to somebody else and stays.
func Cgroups(name string) error {
	tops, err := filepath.Glob(filepath.Join("/sys/fs/cgroup", "*", name))
	if err != nil {
		return err
	}
	if unified := filepath.Join("/sys/fs/cgroup", name); isDir(unified) {
		tops = append(tops, unified)
	}
	for _, top := range tops {
		if err := removeGroup(top); err != nil && !errors.Is(err, unix.EBUSY) && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

func removeGroup(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeGroup(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return unix.Rmdir(dir)
}

func isDir(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.IsDir()
}

// Sockets removes the sockets in dir on which nobody listens any more.
func Sockets(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.Type()&os.ModeSocket == 0 || !deaf(path) {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

func deaf(socket string) bool {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return errors.Is(unix.Connect(fd, &unix.SockaddrUnix{Name: socket}), unix.ECONNREFUSED)
}
