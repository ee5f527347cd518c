package vt

import (
	"strings"
	"testing"
)

func TestScreen(t *testing.T) {
	s := NewScreen(6, 4)
	put := func(text string) {
		t.Helper()
		if _, err := s.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	put("日本語")
	if got := s.Wrapped(); got != nil {
		t.Errorf("three wide characters do not fit six cells: %q", got)
	}
	put("語\r\nab\x1b[3")
	put("1mc\xe6") // a sequence and a character in two parts
	put("\x97\xa5\x1b[2md\x1b[?25l")
	if got, want := s.Text(), "日本語\n語\nabc日d"; got != want {
		t.Errorf("text %q, want %q", got, want)
	}
	if got := s.Wrapped(); len(got) != 1 {
		t.Errorf("wrapped: %q, want the first row", got)
	}
	if x, y, visible := s.Cursor(); x != 5 || y != 2 || visible {
		t.Errorf("cursor %d,%d, shown: %v", x, y, visible)
	}
	row := s.Cells()[2]
	if row[2].FG != 1 || row[3].Char != '日' || row[4].Char != 0 || row[5].FG != 8 {
		t.Errorf("cells %v", row)
	}
}

// TestReflow: a narrower window wraps lines, and the cursor stays at its
// character.
func TestReflow(t *testing.T) {
	s := NewScreen(10, 6)
	if _, err := s.Write([]byte("above\r\n0123456789\r\nx\x1b[1A\r\x1b[?25l")); err != nil {
		t.Fatal(err)
	}
	reflow(t, s, 4)
	if got, want := s.Text(), strings.Join([]string{"abov", "e", "0123", "4567", "89", "x"}, "\n"); got != want {
		t.Errorf("text %q, want %q", got, want)
	}
	if x, y, visible := s.Cursor(); x != 0 || y != 2 || visible {
		t.Errorf("cursor %d,%d, shown: %v; want it hidden at the line's beginning", x, y, visible)
	}
	reflow(t, s, 2) // the upper rows scroll away
	if x, y, _ := s.Cursor(); x != 0 || y < 0 || y > 5 {
		t.Errorf("cursor %d,%d", x, y)
	}
}

func reflow(t *testing.T, s *Screen, cols int) {
	t.Helper()
	if err := s.Reflow(cols); err != nil {
		t.Fatal(err)
	}
}
