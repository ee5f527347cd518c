package vt

import (
	"image/color"
	"strings"
	"unicode/utf8"

	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/vt"
)

// Screen shows what a terminal of a certain size displays after some output. It
// is not safe for concurrent use.
type Screen struct {
	emu     *vt.Emulator
	rest    []byte   // an incomplete character or control sequence
	full    bool     // the last character is in the last column: the next one wraps
	wrapped []string // rows that were too long
}

// NewScreen returns an empty screen.
func NewScreen(cols, rows int) *Screen { return &Screen{emu: vt.NewEmulator(cols, rows)} }

// filler is in the second cell of a wide character.
const filler = '\ue000'

// The emulator writes over a wide character that ends in the last column. So it
// gets a wide character as two characters of width 1: one from the supplementary
// private use areas, which cells turns back, and the filler.
const (
	planeA, planeB = 0xf0000, 0x100000
	planeSize      = 0x10000
)

func narrow(r rune) rune {
	if r < planeSize {
		return planeA + r
	}
	return planeB + r%planeSize
}

func widen(r rune) rune {
	switch {
	case r >= planeB:
		return planeSize + r - planeB
	case r >= planeA:
		return r - planeA
	}
	return r
}

// Write shows output of a program.
func (s *Screen) Write(p []byte) (int, error) {
	data := append(s.rest, p...)
	for len(data) > 0 && utf8.FullRune(data) {
		if data[0] == 0x1b {
			n := sequence(data)
			if n == 0 {
				break
			}
			if data[n-1] != 'm' { // colours do not move the cursor, the others may
				s.full = false
			}
			if _, err := s.emu.Write(data[:n]); err != nil {
				return 0, err
			}
			data = data[n:]
			continue
		}
		r, n := utf8.DecodeRune(data)
		if err := s.writeRune(r); err != nil {
			return 0, err
		}
		data = data[n:]
	}
	s.rest = append([]byte(nil), data...)
	return len(p), nil
}

func (s *Screen) writeRune(r rune) error {
	cells := string(r)
	switch w := ansi.StringWidthWc(cells); {
	case r < 0x20 || r == 0x7f:
		s.full = false
		_, err := s.emu.WriteString(cells)
		return err
	case w == 2:
		cells = string([]rune{narrow(r), filler})
	case w != 1:
		return nil
	}
	for _, c := range cells {
		at := s.emu.CursorPosition()
		if s.full {
			s.wrapped = append(s.wrapped, s.rows()[at.Y])
		}
		if _, err := s.emu.WriteString(string(c)); err != nil {
			return err
		}
		s.full = !s.full && at.X == s.emu.Width()-1 || s.emu.Width() == 1
	}
	return nil
}

// sequence returns the length of the control sequence that p starts with, 1 for
// a lone escape character, and 0 if the end is missing.
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

// Size returns the number of columns and rows.
func (s *Screen) Size() (cols, rows int) { return s.emu.Width(), s.emu.Height() }

// Resize changes the size. What does not fit is cut off.
func (s *Screen) Resize(cols, rows int) { s.emu.Resize(cols, rows) }

// Reflow changes the width the way most terminals do today: a line that no longer
// fits continues in the next row, and the cursor stays at its character.
func (s *Screen) Reflow(cols int) error {
	old, visible := s.emu.CursorPosition(), !s.emu.CursorHidden()
	rows := s.emu.Height()
	lines := s.rows()
	for len(lines) > old.Y+1 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	var reflowed []string
	y, x := 0, 0
	for i, l := range lines {
		if i == old.Y {
			y, x = len(reflowed)+old.X/cols, old.X%cols
		}
		cells := []rune(l)
		for len(cells) > cols {
			reflowed = append(reflowed, string(cells[:cols]))
			cells = cells[cols:]
		}
		reflowed = append(reflowed, string(cells))
	}
	if over := len(reflowed) - rows; over > 0 { // these have scrolled away
		reflowed, y = reflowed[over:], y-over
	}
	s.emu, s.wrapped, s.full = vt.NewEmulator(cols, rows), nil, false
	text := strings.Join(reflowed, "\r\n") + ansi.CursorPosition(x+1, max(0, y)+1)
	if !visible {
		text += ansi.HideCursor
	}
	_, err := s.emu.WriteString(text)
	return err
}

// Text returns the rows of the screen, without blanks at their ends and without
// empty rows at the end.
func (s *Screen) Text() string {
	lines := s.rows()
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return strings.ReplaceAll(strings.Map(widen, strings.Join(lines, "\n")), string(filler), "")
}

// rows returns the rows as the emulator has them.
func (s *Screen) rows() []string {
	lines := make([]string, s.emu.Height())
	for y := range lines {
		var b strings.Builder
		for x := range s.emu.Width() {
			b.WriteRune(character(s.emu.CellAt(x, y)))
		}
		lines[y] = strings.TrimRight(b.String(), " ")
	}
	return lines
}

func character(c *uv.Cell) rune {
	if c == nil || c.Content == "" {
		return ' '
	}
	r, _ := utf8.DecodeRuneInString(c.Content)
	return r
}

// Wrapped returns the rows that were too long for the window.
func (s *Screen) Wrapped() []string { return s.wrapped }

// Cursor returns the position of the cursor, and whether it is visible.
func (s *Screen) Cursor() (x, y int, visible bool) {
	at := s.emu.CursorPosition()
	return at.X, at.Y, !s.emu.CursorHidden()
}

// Cell is one cell of the screen. The second cell of a wide character has Char 0.
type Cell struct {
	Char   rune
	Bold   bool
	FG, BG Color
}

// Color is a colour of the palette (0 to 255), a default, or 24 bits of red,
// green and blue, of which the palette's numbers are not used.
type Color uint32

// The terminal's own colours.
const (
	DefaultFG Color = 1<<24 + iota
	DefaultBG
)

// brightBlack is the colour that themes have for faint text.
const brightBlack Color = 8

// Cells returns the rows of the screen.
func (s *Screen) Cells() [][]Cell {
	out := make([][]Cell, s.emu.Height())
	for y := range out {
		for x := range s.emu.Width() {
			cell := s.emu.CellAt(x, y)
			c := Cell{Char: widen(character(cell)), FG: DefaultFG, BG: DefaultBG}
			if c.Char == filler {
				c.Char = 0
			}
			if cell != nil {
				c.Bold = cell.Style.Attrs&uv.AttrBold != 0
				c.FG, c.BG = number(cell.Style.Fg, DefaultFG), number(cell.Style.Bg, DefaultBG)
				if cell.Style.Attrs&uv.AttrFaint != 0 {
					c.FG = brightBlack
				}
			}
			out[y] = append(out[y], c)
		}
	}
	return out
}

func number(c color.Color, otherwise Color) Color {
	switch c := c.(type) {
	case nil:
		return otherwise
	case ansi.BasicColor:
		return Color(c)
	case ansi.IndexedColor:
		return Color(c)
	}
	r, g, b, _ := c.RGBA()
	return Color(r>>8<<16 | g>>8<<8 | b>>8)
}
