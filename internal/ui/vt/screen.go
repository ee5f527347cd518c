package vt

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
	"github.com/hinshun/vt10x"
)

// Screen is what a terminal of a certain size shows of what was written to it.
// It is not safe for concurrent use.
type Screen struct {
	emu  vt10x.Terminal
	rest []byte // a character or sequence that is not complete yet
}

// NewScreen makes an empty one.
func NewScreen(cols, rows int) *Screen {
	return &Screen{emu: vt10x.New(vt10x.WithSize(cols, rows))}
}

// filler stands in the second cell of a wide character.
const filler = '\ue000'

// vt10x knows no faint text: it is shown in the colour that themes have for it.
const (
	dim         = "\x1b[2m"
	brightBlack = "\x1b[90m"
)

// Write shows bytes.
func (s *Screen) Write(p []byte) (int, error) {
	data := append(s.rest, p...)
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
	s.rest = append([]byte(nil), data...)
	_, err := fmt.Fprint(s.emu, out.String())
	return len(p), err
}

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

// Size is the number of columns and rows.
func (s *Screen) Size() (cols, rows int) { return s.emu.Size() }

// Resize changes the size; what does not fit is cut off.
func (s *Screen) Resize(cols, rows int) { s.emu.Resize(cols, rows) }

// Reflow changes the width as most terminals do today: a line that no longer
// fits goes on in the next row, and the cursor stays at its character.
func (s *Screen) Reflow(cols int) {
	old, visible := s.emu.Cursor(), s.emu.CursorVisible()
	_, rows := s.emu.Size()
	lines := s.rows()
	for len(lines) > old.Y+1 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
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
	s.emu = vt10x.New(vt10x.WithSize(cols, rows))
	fmt.Fprint(s.emu, strings.Join(wrapped, "\r\n"))
	fmt.Fprintf(s.emu, "\x1b[%d;%dH", max(0, y)+1, x+1)
	if !visible {
		fmt.Fprint(s.emu, ansi.HideCursor)
	}
}

// Text is the screen: its rows without blanks at their ends, and without empty
// rows at its end.
func (s *Screen) Text() string {
	lines := s.rows()
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return strings.ReplaceAll(strings.Join(lines, "\n"), string(filler), "")
}

// rows are the rows with fillers.
func (s *Screen) rows() []string {
	var lines []string
	for _, row := range s.Cells() {
		var b strings.Builder
		for _, c := range row {
			if c.Char == 0 {
				c.Char = filler
			}
			b.WriteRune(c.Char)
		}
		lines = append(lines, strings.TrimRight(b.String(), " "))
	}
	return lines
}

// Marks in the mode of vt10x's cells, which it does not export.
const (
	boldMode = 1 << 2
	wrapMode = 1 << 6 // behind this cell the line went on in the next row
)

// Wrapped are the rows that were too long for the window.
func (s *Screen) Wrapped() []string {
	cols, _ := s.emu.Size()
	var out []string
	for y, line := range s.rows() {
		if s.emu.Cell(cols-1, y).Mode&wrapMode != 0 {
			out = append(out, line)
		}
	}
	return out
}

// Cursor is where the cursor stands, and whether it is shown.
func (s *Screen) Cursor() (x, y int, visible bool) {
	c := s.emu.Cursor()
	return c.X, c.Y, s.emu.CursorVisible()
}

// Cell is one cell of the screen. A wide character's second cell has Char 0.
type Cell struct {
	Char   rune
	Bold   bool
	FG, BG Color
}

// Color is one of the palette's 256, or 24 bits of red, green and blue above
// that, or one of the two defaults.
type Color = vt10x.Color

// The terminal's own colours.
const (
	DefaultFG = vt10x.DefaultFG
	DefaultBG = vt10x.DefaultBG
)

// Cells are the rows of the screen.
func (s *Screen) Cells() [][]Cell {
	cols, rows := s.emu.Size()
	out := make([][]Cell, rows)
	for y := range rows {
		for x := range cols {
			g := s.emu.Cell(x, y)
			c := Cell{Char: g.Char, Bold: g.Mode&boldMode != 0, FG: g.FG, BG: g.BG}
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
