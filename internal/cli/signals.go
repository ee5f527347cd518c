package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// oneInterrupt is the time within which several signals count as one.
const oneInterrupt = 300 * time.Millisecond

// endingSignals returns the signals that end a run in an orderly way. A closed terminal
// sends SIGHUP; under nohup it is ignored, and stays ignored.
func endingSignals() []os.Signal {
	all := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		all = append(all, syscall.SIGHUP)
	}
	return all
}

// surviveClosedPipes keeps a reader that goes away (`… | head`) from killing the
// process: without this, Go ends it at the next write to stdout or stderr.
// With it, writes fail and a run continues to its end. The signal is not ignored,
// because children would inherit that.
func surviveClosedPipes() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// isClosed reports whether the reader of an output has gone: a pipe's reader (EPIPE)
// or a terminal (EIO).
func isClosed(err error) bool { return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.EIO) }

// withSignals ends the context with the cause pipeline.ErrInterrupted at the
// first SIGINT, SIGTERM or SIGHUP. A second one restores the terminal and ends the
// process immediately: the user does not want to wait for the rollback.
//
// Signals that arrive together count as one: timeout(1) and process managers signal the
// process and then its whole group, which is not a second interrupt.
func withSignals(parent context.Context, env *Env) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, endingSignals()...)
	done := make(chan struct{})
	go func() {
		select {
		case <-signals:
			cancel(pipeline.ErrInterrupted)
			env.acknowledgeInterrupt()
		case <-done:
			return
		}
		for first := time.Now(); ; {
			select {
			case <-signals:
				if time.Since(first) < oneInterrupt {
					continue
				}
				env.restoreTerminal()
				fmt.Fprintln(env.Err, "interrupted twice: ended without restoring anything; run the same command again to continue")
				os.Exit(int(pipeline.Interrupted))
			case <-done:
				return
			}
		}
	}()
	return ctx, func() { signal.Stop(signals); close(done); cancel(nil) }
}

// acknowledgeInterrupt prints in the current run's output that the interrupt was
// received, because a rollback may take a while.
func (e *Env) acknowledgeInterrupt() {
	e.mu.Lock()
	u := e.shown
	e.mu.Unlock()
	if u != nil {
		// A run that has just ended has reported it itself.
		_, _ = fmt.Fprintln(u.Log(), "interrupted: ending in order; a second interrupt ends immediately and restores nothing")
	}
}

// restoreTerminal ends the live view, if there is one.
func (e *Env) restoreTerminal() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.shown != nil {
		// The process is about to end; nobody would see the error.
		_ = e.shown.Stop()
	}
}
