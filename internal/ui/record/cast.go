package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/joelhooks/gh-sbw/internal/ui/vt"
)

// cast writes an asciicast, version 2: a header and a line for each output
// (docs.asciinema.org/manual/asciicast/v2).
type cast struct {
	enc  *json.Encoder
	rest []byte // a character that is not complete yet
	err  error
}

type castHeader struct {
	Version int `json:"version"`
	Width   int `json:"width"`
	Height  int `json:"height"`
}

func newCast(w io.Writer, cols, rows int) (*cast, error) {
	c := &cast{enc: json.NewEncoder(w)}
	c.enc.SetEscapeHTML(false)
	return c, c.enc.Encode(castHeader{2, cols, rows})
}

// output adds what was written at a time. Incomplete characters wait for the
// rest, because JSON contains only complete ones.
func (c *cast) output(at time.Duration, p []byte) {
	data := append(c.rest, p...)
	end := len(data)
	for i := end - 1; i >= 0 && i >= end-utf8.UTFMax; i-- {
		if utf8.RuneStart(data[i]) {
			if !utf8.FullRune(data[i:]) {
				end = i
			}
			break
		}
	}
	c.rest = slices.Clone(data[end:])
	if end == 0 || c.err != nil {
		return
	}
	c.err = c.enc.Encode([]any{at.Round(time.Millisecond).Seconds(), "o", string(data[:end])})
}

// frame is a screen and how long it is shown.
type frame struct {
	cells [][]vt.Cell
	text  string
	took  time.Duration
}

// readCast plays a recording and returns its frames. Rows below the lowest one that
// is ever used are left out.
func readCast(r io.Reader, o pictureOptions) ([]frame, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 64<<20)
	if !lines.Scan() {
		return nil, errors.Join(errors.New("no recording"), lines.Err())
	}
	var h castHeader
	if err := json.Unmarshal(
		lines.Bytes(),
		&h,
	); err != nil || h.Version != 2 || h.Width < 1 || h.Height < 1 || h.Width > 1000 ||
		h.Height > 1000 {
		return nil, errors.Join(errors.New("not an asciicast of version 2"), err)
	}
	screen := vt.NewScreen(h.Width, h.Height)
	var frames []frame
	var last, since time.Duration // of the recording; in the picture, since the last frame
	snap := func() {
		if text := screen.Text(); len(frames) == 0 || frames[len(frames)-1].text != text {
			frames = append(frames, frame{cells: screen.Cells(), text: text})
		}
	}
	for n := 2; lines.Scan(); n++ {
		at, text, err := readEvent(lines.Bytes())
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if text == "" {
			continue
		}
		since += min(at-last, max(o.MaxIdle, o.Frame))
		last = at
		if since >= o.Frame || len(frames) == 0 {
			snap()
			frames[len(frames)-1].took += since
			since = 0
		}
		if _, err := io.WriteString(screen, text); err != nil {
			return nil, err
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	snap()
	frames[len(frames)-1].took += since + o.End
	if o.Still {
		frames = frames[len(frames)-1:]
	}
	return cropped(frames), nil
}

// readEvent returns the time and the text of an output event. The text of any other
// event is empty.
func readEvent(line []byte) (at time.Duration, text string, err error) {
	var event [3]any
	if err := json.Unmarshal(line, &event); err != nil {
		return 0, "", err
	}
	seconds, isTime := event[0].(float64)
	text, isText := event[2].(string)
	if !isTime || !isText || seconds < 0 || seconds > 1e6 {
		return 0, "", errors.New("not an event")
	}
	if event[1] != "o" {
		return 0, "", nil
	}
	return time.Duration(seconds * float64(time.Second)), text, nil
}

// cropped leaves out rows that no frame uses.
func cropped(frames []frame) []frame {
	used := 0
	for _, f := range frames {
		for y, row := range f.cells {
			if slices.ContainsFunc(row, func(c vt.Cell) bool { return c.Char != ' ' || c.BG != vt.DefaultBG }) {
				used = max(used, y+1)
			}
		}
	}
	for i := range frames {
		frames[i].cells = frames[i].cells[:max(1, used)]
	}
	return frames
}
