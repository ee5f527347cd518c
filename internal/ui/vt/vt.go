// Package vt provides a terminal that can be looked at: a real pseudo-terminal
// whose output goes through an emulator (charmbracelet/x/vt), so that tests see the
// screen that a person would see, and a run can be turned into a picture. Open one,
// Start a program on it, and Wait for what it should show.
package vt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"

	"github.com/creack/pty"
)

// Terminal is a pseudo-terminal with a screen.
type Terminal struct {
	// TTY is the side that programs write to.
	TTY    *os.File
	master *os.File

	mu      sync.Mutex
	changed sync.Cond
	screen  *Screen
	raw     []byte
	tap     func(p []byte)
	closed  bool
}

// Open creates a terminal with that many columns and rows. If tap is not nil, it is
// called with all output as it arrives, one call at a time. Close frees the terminal.
func Open(cols, rows int, tap func(p []byte)) (*Terminal, error) {
	master, tty, err := pty.Open()
	if err != nil {
		return nil, err
	}
	t := &Terminal{TTY: tty, master: master, screen: NewScreen(cols, rows), tap: tap}
	t.changed.L = &t.mu
	if err := t.setSize(cols, rows); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	go t.read()
	return t, nil
}

// Start starts a command on the terminal, as the leader of a new session. Its
// output ends when it and its children have closed the terminal.
func (t *Terminal) Start(cmd *exec.Cmd) error {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = t.TTY, t.TTY, t.TTY
	cmd.SysProcAttr = session()
	if err := cmd.Start(); err != nil {
		return err
	}
	return t.TTY.Close()
}

// Close closes both sides.
func (t *Terminal) Close() error {
	err := t.TTY.Close()
	if errors.Is(err, os.ErrClosed) {
		err = nil
	}
	return errors.Join(err, t.master.Close())
}

func (t *Terminal) read() {
	buf := make([]byte, 32<<10)
	for {
		n, err := t.master.Read(buf)
		t.mu.Lock()
		t.show(buf[:n])
		if t.tap != nil && n > 0 {
			t.tap(buf[:n])
		}
		t.closed = t.closed || err != nil
		t.changed.Broadcast()
		t.mu.Unlock()
		if err != nil { // EIO on Linux when the last writer has gone
			return
		}
	}
}

func (t *Terminal) show(p []byte) {
	t.raw = append(t.raw, p...)
	t.screen.Write(p) //nolint:errcheck // an emulator in memory accepts everything
}

// Show writes to the screen what a terminal shows by itself, such as the echo of
// keys.
func (t *Terminal) Show(s string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.show([]byte(s))
	t.changed.Broadcast()
}

// Type sends keys.
func (t *Terminal) Type(keys string) error {
	_, err := t.master.WriteString(keys)
	return err
}

// Resize changes the window. What does not fit is cut off.
func (t *Terminal) Resize(cols, rows int) error {
	t.mu.Lock()
	t.screen.Resize(cols, rows)
	t.mu.Unlock()
	return t.setSize(cols, rows)
}

// Reflow changes the width of the window the way most terminals do today.
func (t *Terminal) Reflow(cols int) error {
	t.mu.Lock()
	err := t.screen.Reflow(cols)
	_, rows := t.screen.Size()
	t.mu.Unlock()
	return errors.Join(err, t.setSize(cols, rows))
}

func (t *Terminal) setSize(cols, rows int) error {
	return pty.Setsize(t.master, &pty.Winsize{Cols: uint16(cols), Rows: uint16(rows)})
}

// Wait waits until the screen and everything that was written so far satisfy ok,
// and returns the screen. If the context or the output ends before that, the error
// contains the screen.
func (t *Terminal) Wait(ctx context.Context, ok func(screen string, raw []byte) bool) (string, error) {
	stop := context.AfterFunc(ctx, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.changed.Broadcast()
	})
	defer stop()
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		s := t.screen.Text()
		switch {
		case ok(s, t.raw):
			return s, nil
		case ctx.Err() != nil:
			return s, fmt.Errorf("%w; the screen is:\n%s", context.Cause(ctx), s)
		case t.closed:
			return s, fmt.Errorf("the output ended; the screen is:\n%s", s)
		}
		t.changed.Wait()
	}
}

// WaitEnd waits until the program's output has ended.
func (t *Terminal) WaitEnd(ctx context.Context) (string, error) {
	return t.Wait(ctx, func(string, []byte) bool { return t.closed })
}

// Wrapped returns the rows that were too long for the window.
func (t *Terminal) Wrapped() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.screen.Wrapped()
}

// Cursor returns the position of the cursor, and whether it is visible.
func (t *Terminal) Cursor() (x, y int, visible bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.screen.Cursor()
}

// Raw returns everything that was written so far.
func (t *Terminal) Raw() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]byte(nil), t.raw...)
}
