//go:build unix

package ui

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// suspension leaves the terminal tidy after ^Z: the frame is removed before the
// process stops, and drawn again when it continues.
type suspension struct {
	suspended, resumed chan os.Signal
}

func watchSuspend() *suspension {
	s := &suspension{suspended: make(chan os.Signal, 1), resumed: make(chan os.Signal, 1)}
	signal.Notify(s.resumed, syscall.SIGCONT)
	// A shell with job control puts each job into a separate process group. In the
	// group of the session leader nothing could continue this process (ssh -t, docker
	// run -t), so the signal is left to the kernel, which ignores it.
	if sid, err := unix.Getsid(0); err == nil && sid != unix.Getpgrp() {
		signal.Notify(s.suspended, syscall.SIGTSTP)
	}
	return s
}

// suspend stops this process and returns when it continues. It uses SIGSTOP, because
// Go's handler, once installed, keeps SIGTSTP from stopping a process even after
// signal.Reset (runtime/signal_unix.go, sigdisable).
func (s *suspension) suspend() {
	if syscall.Kill(syscall.Getpid(), syscall.SIGSTOP) == nil {
		<-s.resumed
	}
}

func (s *suspension) stop() {
	signal.Stop(s.suspended)
	signal.Stop(s.resumed)
}
