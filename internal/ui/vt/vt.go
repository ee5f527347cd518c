// Package vt is a terminal to look at: a real pseudo-terminal whose output goes
// through an emulator, so that tests read the screen that a person would see
// and a run can be made into a picture.
//
// The emulator is vt10x, which gives every character one cell. Terminals give
// wide ones two; vt makes up for it by a filler behind each, so that what does
// not fit a real window does not fit here.
package vt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
	"github.com/creack/pty"
	"github.com/hinshun/vt10x"
)

// filler stands in the second cell of a wide character.
const filler = '\ue000'

// Terminal is a pseudo-terminal with a screen.
type Terminal struct {
	// TTY is the side that programs write to.
	TTY    *os.File
	master *os.File

	mu      sync.Mutex
	changed sync.Cond
	emu     vt10x.Terminal
	rest    []byte // a character or sequence that is not complete yet
	raw     []byte
	closed  bool
}

// Open makes a terminal of that many columns and rows. Close frees it.
func Open(cols, rows int) (*Terminal, error) {
	master, tty, err := pty.Open()
	if err != nil {
		return nil, err
	}
	t := &Terminal{TTY: tty, master: master, emu: vt10x.New(vt10x.WithSize(cols, rows))}
	t.changed.L = &t.mu
	if err := t.setSize(cols, rows); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	go t.read()
	return t, nil
}

// Start starts a command on the terminal, as the leader of a session of its
// own. Its output ends when it and its children have closed the terminal.
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
		t.write(buf[:n])
		t.closed = t.closed || err != nil
		t.changed.Broadcast()
		t.mu.Unlock()
		if err != nil { // EIO on Linux when the last writer has gone
			return
		}
	}
}

// write shows bytes, wide characters with their filler.
func (t *Terminal) write(p []byte) {
	t.raw = append(t.raw, p...)
	data := append(t.rest, p...)
	var out strings.Builder
	for len(data) > 0 && utf8.FullRune(data) {
		if data[0] == 0x1b {
			n := sequence(data)
			if n == 0 {
				break
			}
			seq := string(data[:n])
			if seq == dim {
				seq = brightBlack
			}
			out.WriteString(seq)
			data = data[n:]
			continue
		}
		r, n := utf8.DecodeRune(data)
		switch w := ansi.StringWidthWc(string(r)); {
		case r < 0x20 || r == 0x7f || w == 1:
			out.WriteRune(r)
		case w == 2:
			out.WriteRune(r)
			out.WriteRune(filler)
		}
		data = data[n:]
	}
	t.rest = append([]byte(nil), data...)
	fmt.Fprint(t.emu, out.String())
}

// vt10x knows no faint text: it is shown in the colour that themes have for it.
const (
	dim         = "\x1b[2m"
	brightBlack = "\x1b[90m"
)

// sequence is the length of the control sequence that p begins with, 1 for a
// lone escape character, 0 while the end is not there.
func sequence(p []byte) int {
	switch {
	case len(p) < 2:
		return 0
	case p[1] != '[':
		return 1
	}
	for i := 2; i < len(p); i++ {
		if p[i] >= 0x40 && p[i] <= 0x7e {
			return i + 1
		}
	}
	return 0
}

// Show writes to the screen what a terminal shows by itself: the echo of keys.
func (t *Terminal) Show(s string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.write([]byte(s))
	t.changed.Broadcast()
}

// Type sends keys.
func (t *Terminal) Type(keys string) error {
	_, err := t.master.WriteString(keys)
	return err
}

// Resize changes the window; what does not fit is cut off.
func (t *Terminal) Resize(cols, rows int) error {
	t.mu.Lock()
	t.emu.Resize(cols, rows)
	t.mu.Unlock()
	return t.setSize(cols, rows)
}

// Reflow changes the window's width as most terminals do today: a line that
// no longer fits goes on in the next row, and the cursor stays at its
// character.
func (t *Terminal) Reflow(cols int) error {
	t.mu.Lock()
	old, rows := t.emu.Cursor(), 0
	_, rows = t.emu.Size()
	lines := t.lines()
	for len(lines) > old.Y+1 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	visible := t.emu.CursorVisible()
	var wrapped []string
	y, x := 0, 0
	for i, l := range lines {
		if i == old.Y {
			y, x = len(wrapped)+old.X/cols, old.X%cols
		}
		cells := []rune(l)
		for len(cells) > cols {
			wrapped = append(wrapped, string(cells[:cols]))
			cells = cells[cols:]
		}
		wrapped = append(wrapped, string(cells))
	}
	if over := len(wrapped) - rows; over > 0 { // scrolled away above
		wrapped, y = wrapped[over:], y-over
	}
	t.emu = vt10x.New(vt10x.WithSize(cols, rows))
	fmt.Fprint(t.emu, strings.Join(wrapped, "\r\n"))
	fmt.Fprintf(t.emu, "\x1b[%d;%dH", max(0, y)+1, x+1)
	if !visible {
		fmt.Fprint(t.emu, ansi.HideCursor)
	}
	t.mu.Unlock()
	return t.setSize(cols, rows)
}

func (t *Terminal) setSize(cols, rows int) error {
	return pty.Setsize(t.master, &pty.Winsize{Cols: uint16(cols), Rows: uint16(rows)})
}

// Wait waits until the screen and all that was written so far satisfy ok, and
// returns the screen. The error of an ended context, or of output that ended
// before, holds what was there instead.
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
		s := t.text()
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

// Text is the screen: its rows without blanks at their ends.
func (t *Terminal) Text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text()
}

func (t *Terminal) text() string {
	lines := t.lines()
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	text := strings.Join(lines, "\n")
	return strings.ReplaceAll(text, string(filler), "")
}

// lines are the rows with fillers.
func (t *Terminal) lines() []string {
	cols, rows := t.emu.Size()
	var lines []string
	for y := range rows {
		row := make([]rune, cols)
		for x := range cols {
			row[x] = ' '
			if c := t.emu.Cell(x, y).Char; c != 0 {
				row[x] = c
			}
		}
		lines = append(lines, strings.TrimRight(string(row), " "))
	}
	return lines
}

// wrapMode is vt10x's mark of a cell behind which a line went on in the next
// row.
const wrapMode = 1 << 6

// Wrapped are the rows that were too long for the window.
func (t *Terminal) Wrapped() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	cols, rows := t.emu.Size()
	lines := t.lines()
	var out []string
	for y := range rows {
		if t.emu.Cell(cols-1, y).Mode&wrapMode != 0 {
			out = append(out, lines[y])
		}
	}
	return out
}

// Cursor is where the cursor stands, and whether it is shown.
func (t *Terminal) Cursor() (x, y int, visible bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.emu.Cursor()
	return c.X, c.Y, t.emu.CursorVisible()
}

// Raw is everything that was written so far.
func (t *Terminal) Raw() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]byte(nil), t.raw...)
}

// Cell is one cell of the screen. A wide character's second cell has Char 0.
type Cell struct {
	Char   rune
	Bold   bool
	FG, BG vt10x.Color
}

// Cells are the rows of the screen.
func (t *Terminal) Cells() [][]Cell {
	t.mu.Lock()
	defer t.mu.Unlock()
	cols, rows := t.emu.Size()
	out := make([][]Cell, rows)
	for y := range rows {
		for x := range cols {
			g := t.emu.Cell(x, y)
			c := Cell{Char: g.Char, Bold: g.Mode&(1<<2) != 0, FG: g.FG, BG: g.BG}
			switch c.Char {
			case 0:
				c.Char = ' '
			case filler:
				c.Char = 0
			}
			out[y] = append(out[y], c)
		}
	}
	return out
}
