//go:build unix

package pipeline

import (
	"errors"
	"os"
	"syscall"
)

// tryLock locks f until it is closed, unless it is locked. The kernel releases the lock
// when the process ends.
func tryLock(f *os.File) (free bool, err error) {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		default:
			return false, err
		}
	}
}

// isRunning reports whether there is a process of that id, of whatever user.
func isRunning(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// remove removes the file while it is still locked.
func remove(f *os.File, path string) error {
	return errors.Join(os.Remove(path), f.Close())
}
