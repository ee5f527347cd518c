//go:build unix

package pipeline

import (
	"errors"
	"os"
	"syscall"
)

// tryLock locks f until it is closed, if nobody has; the kernel lets go of it
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

// remove takes the file away while it is still locked.
func remove(f *os.File, path string) error {
	return errors.Join(os.Remove(path), f.Close())
}
