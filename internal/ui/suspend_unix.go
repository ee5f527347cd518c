//go:build unix

package ui

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

// suspension lets ^Z find a tidy terminal: the frame is taken away before the
// process stops and drawn anew when it goes on.
type suspension struct {
	suspended, resumed chan os.Signal
}

func watchSuspend() *suspension {
	s := &suspension{suspended: make(chan os.Signal, 1), resumed: make(chan os.Signal, 1)}
	signal.Notify(s.suspended, syscall.SIGTSTP)
	signal.Notify(s.resumed, syscall.SIGCONT)
	return s
}

// suspend stops this process as the signal would have done, and returns when
// it goes on.
func (s *suspension) suspend() {
	signal.Reset(syscall.SIGTSTP)
	defer signal.Notify(s.suspended, syscall.SIGTSTP)
	if syscall.Kill(syscall.Getpid(), syscall.SIGTSTP) != nil {
		return
	}
	// The kernel ignores the signal in an orphaned process group, where nobody
	// could ever continue us: then no SIGCONT comes.
	patience := time.NewTimer(200 * time.Millisecond)
	defer patience.Stop()
	select {
	case <-s.resumed:
	case <-patience.C:
	}
}

func (s *suspension) stop() {
	signal.Stop(s.suspended)
	signal.Stop(s.resumed)
}
