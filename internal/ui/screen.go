package ui

import (
	"io"
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// screen draws frames below what was printed so far.
//
// Between two frames the cursor rests, hidden, at the first cell of the frame. A
// terminal that reflows its lines when it gets narrower moves the cursor together
// with its line. So erasing downwards from there removes the old frame, wherever its
// lines have gone, and nothing above it. This position also makes the ^C that the
// terminal echoes harmless, because the first line is rewritten with every frame.
type screen struct {
	w     io.Writer
	lines []string // the current frame
	shown bool     // the cursor is hidden
	stale bool     // the screen's content is unknown
}

// draw prints lines above the frame permanently and shows a new frame, in a single
// write. Terminals that support synchronised updates (mode 2026, which others ignore)
// show it at once.
func (s *screen) draw(above, frame []string) error {
	if len(above) == 0 && !s.stale && s.shown && len(frame) > 0 && slices.Equal(frame, s.lines) {
		return nil
	}
	if len(frame) == 0 && !s.shown {
		if len(above) == 0 {
			return nil
		}
		_, err := io.WriteString(s.w, strings.Join(above, "\n")+"\n")
		return err
	}
	var b strings.Builder
	b.WriteString(ansi.SetModeSynchronizedOutput)
	if !s.shown && len(frame) > 0 {
		b.WriteString(ansi.ResetModeTextCursorEnable)
	}
	b.WriteByte('\r')
	old := s.lines
	if len(above) > 0 || s.stale || len(frame) == 0 {
		if s.shown {
			b.WriteString(ansi.EraseScreenBelow)
		}
		old = nil
		for _, l := range above {
			b.WriteString(l + "\r\n")
		}
	}
	replace(&b, old, frame)
	if s.shown && len(frame) == 0 {
		b.WriteString(ansi.SetModeTextCursorEnable)
	}
	b.WriteString(ansi.ResetModeSynchronizedOutput)
	s.lines, s.shown, s.stale = slices.Clone(frame), len(frame) > 0, false
	_, err := io.WriteString(s.w, b.String())
	return err
}

// replace writes the lines of a frame that differ from the old ones, and returns to
// the first cell.
func replace(b *strings.Builder, old, frame []string) {
	for i, l := range frame {
		if i > 0 {
			b.WriteString("\r\n")
		}
		if i == 0 || i >= len(old) || old[i] != l {
			b.WriteString(l + ansi.EraseLineRight)
		}
	}
	down := len(frame) - 1
	if len(old) > len(frame) && len(frame) > 0 {
		b.WriteString("\r\n" + ansi.EraseScreenBelow)
		down++
	}
	b.WriteByte('\r')
	if down > 0 {
		b.WriteString(ansi.CursorUp(down))
	}
}

// leave moves the cursor below the frame, which stays as it is, and shows it.
func (s *screen) leave() error {
	if !s.shown {
		return nil
	}
	down := max(1, len(s.lines))
	s.shown, s.lines = false, nil
	_, err := io.WriteString(s.w, "\r"+strings.Repeat("\r\n", down)+ansi.SetModeTextCursorEnable)
	return err
}
