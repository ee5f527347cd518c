//go:build unix

package manifest

import (
	"errors"
	"os"
	"runtime"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// mayReplace returns nil if this process may replace a file in dir with another
// one that has the same owner.
func mayReplace(dir string, file os.FileInfo) error {
	// Ask the kernel, which takes read-only file systems, immutable directories and
	// access control lists into account.
	if err := unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		return err
	}
	in, err := os.Stat(dir)
	if err != nil {
		return err
	}
	its, ok := file.Sys().(*syscall.Stat_t)
	dirs, ok2 := in.Sys().(*syscall.Stat_t)
	if !ok || !ok2 {
		return nil
	}
	if its.Dev != dirs.Dev {
		return errors.New("the file is a mount of its own")
	}
	me := os.Geteuid()
	if me == 0 {
		return nil
	}
	if in.Mode()&os.ModeSticky != 0 && int(its.Uid) != me && int(dirs.Uid) != me {
		return errors.New("it is sticky, and the file belongs to another user")
	}
	group := os.Getegid()
	if runtime.GOOS != "linux" || in.Mode()&os.ModeSetgid != 0 {
		group = int(dirs.Gid) // outside Linux, or with setgid, a new file gets its directory's group
	}
	groups, err := os.Getgroups()
	if err != nil {
		return err
	}
	if int(its.Uid) != me || int(its.Gid) != group && !slices.Contains(append(groups, os.Getegid()), int(its.Gid)) {
		return errOwner
	}
	return nil
}
