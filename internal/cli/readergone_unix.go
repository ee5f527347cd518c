//go:build unix

package cli

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// ReaderGone returns an error if nobody reads standard output any more (`… | head`). A
// command that prints something only now and then would not notice before the next time.
func (e *Env) ReaderGone() error {
	out, ok := e.Out.(*os.File)
	if !ok {
		return nil
	}
	conn, err := out.SyscallConn()
	if err != nil {
		return err
	}
	gone := false
	err = conn.Control(func(fd uintptr) {
		// Linux reports POLLERR, and other systems POLLHUP, without being asked for it.
		fds := []unix.PollFd{{Fd: int32(fd)}}
		n, err := unix.Poll(fds, 0)
		gone = err == nil && n > 0 && fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0
	})
	if gone {
		return syscall.EPIPE
	}
	return err
}
