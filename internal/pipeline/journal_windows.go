package pipeline

import (
	"errors"
	"os"
	"syscall"
	"unsafe"
)

var lockFileEx = syscall.NewLazyDLL("kernel32.dll").NewProc("LockFileEx")

const (
	lockFailImmediately = 1
	lockExclusive       = 2

	errLockViolation syscall.Errno = 33 // ERROR_LOCK_VIOLATION
)

// tryLock locks f until it is closed, unless it is locked. Windows releases the lock
// when the process ends. It locks a byte far beyond the text, because locks are
// mandatory there and the text must stay readable.
func tryLock(f *os.File) (free bool, err error) {
	at := syscall.Overlapped{OffsetHigh: 1 << 30}
	ok, _, err := lockFileEx.Call(f.Fd(), lockExclusive|lockFailImmediately, 0, 1, 0, uintptr(unsafe.Pointer(&at)))
	switch {
	case ok != 0:
		return true, nil
	case errors.Is(err, errLockViolation):
		return false, nil
	}
	return false, err
}

// isRunning reports whether there is a process of that id. One that has ended
// while somebody holds a handle to it counts as well.
func isRunning(pid int) bool {
	p, err := os.FindProcess(pid)
	return err == nil && p.Release() == nil
}

// remove removes the file. On Windows an open file cannot be removed.
func remove(f *os.File, path string) error {
	return errors.Join(f.Close(), os.Remove(path))
}
