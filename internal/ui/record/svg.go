package main

import (
	"encoding/xml"
	"fmt"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/ui/vt"
)

// pictureOptions say how to turn a recording into a picture.
type pictureOptions struct {
	Title   string
	Still   bool
	MaxIdle time.Duration
	Frame   time.Duration
	End     time.Duration
}

// Measures in pixels. A cell is as wide as in monospaced fonts of this size;
// textLength enforces it.
const (
	fontSize  = 14
	cellW     = 8.4
	cellH     = 19.0
	margin    = 16.0
	titleBarH = 34.0
)

// Colours of the window, and the sixteen of the palette.
const (
	background = "#16181d"
	foreground = "#d5d8df"
	titleColor = "#8b909c"
)

var palette = [16]string{
	"#3b4048", "#e06c75", "#7ec07a", "#d9b36a", "#6ea8e8", "#c586d8", "#5fc1c9", "#c8ccd4",
	"#7a808c", "#f0838c", "#98d690", "#ecc880", "#8abdf5", "#d8a0ea", "#7ad6de", "#ffffff",
}

// color is a terminal's colour for SVG.
func color(c vt.Color, otherwise string) string {
	switch {
	case c == vt.DefaultFG || c == vt.DefaultBG:
		return otherwise
	case c < 16:
		return palette[c]
	case c < 232: // a cube with six steps in each direction
		n := c - 16
		step := func(i vt.Color) int {
			if i == 0 {
				return 0
			}
			return int(55 + 40*i)
		}
		return fmt.Sprintf("#%02x%02x%02x", step(n/36), step(n/6%6), step(n%6))
	case c < 256:
		g := int(8 + 10*(c-232))
		return fmt.Sprintf("#%02x%02x%02x", g, g, g)
	}
	return fmt.Sprintf("#%06x", uint32(c)&0xffffff)
}

// picture draws frames as one SVG: a strip of frames side by side, which moves
// by one frame at a time. Identical rows are drawn once.
func picture(frames []frame, o pictureOptions) string {
	cols, rows := len(frames[0].cells[0]), len(frames[0].cells)
	w, h := float64(cols)*cellW+2*margin, titleBarH+float64(rows)*cellH+margin
	var total time.Duration
	for _, f := range frames {
		total += f.took
	}
	var b, defs, strip strings.Builder
	ids := map[string]string{}
	for i, f := range frames {
		fmt.Fprintf(&strip, "<g transform=\"translate(%s)\">", px(float64(i)*w))
		for y, row := range f.cells {
			drawn := line(row)
			if drawn == "" {
				continue
			}
			id := ids[drawn]
			if id == "" {
				id = fmt.Sprintf("r%d", len(ids))
				ids[drawn] = id
				fmt.Fprintf(&defs, "<g id=\"%s\">%s</g>\n", id, drawn)
			}
			fmt.Fprintf(&strip, "<use href=\"#%s\" y=\"%s\"/>", id, px(float64(y)*cellH))
		}
		strip.WriteString("</g>\n")
	}
	fmt.Fprintf(
		&b,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%s\" height=\"%s\" viewBox=\"0 0 %s %s\" role=\"img\">\n",
		px(w),
		px(h),
		px(w),
		px(h),
	)
	title := o.Title
	if title == "" {
		title = "a terminal"
	}
	fmt.Fprintf(&b, "<title>%s</title>\n<desc>%s</desc>\n", escape(title), escape(frames[len(frames)-1].text))
	fmt.Fprintf(
		&b,
		"<style>text{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;"+
			"font-size:%dpx;fill:%s}.b{font-weight:bold}",
		fontSize,
		foreground,
	)
	fmt.Fprintf(&b, ".strip{transform:translateX(%spx)}", px(-float64(len(frames)-1)*w))
	if len(frames) > 1 {
		fmt.Fprintf(
			&b,
			"@media (prefers-reduced-motion:no-preference){.strip{animation:play %.2fs step-end infinite}}@keyframes play{",
			total.Seconds(),
		)
		var at time.Duration
		for i, f := range frames {
			fmt.Fprintf(&b, "%.3f%%{transform:translateX(%spx)}", 100*at.Seconds()/total.Seconds(), px(-float64(i)*w))
			at += f.took
		}
		fmt.Fprintf(&b, "100%%{transform:translateX(%spx)}}", px(-float64(len(frames)-1)*w))
	}
	b.WriteString("</style>\n<defs>\n" + defs.String() + "</defs>\n")
	fmt.Fprintf(&b, "<rect width=\"%s\" height=\"%s\" rx=\"8\" fill=\"%s\"/>\n", px(w), px(h), background)
	for i, c := range []string{"#e0605a", "#dfb248", "#5bb765"} {
		fmt.Fprintf(&b, "<circle cx=\"%s\" cy=\"17\" r=\"5.5\" fill=\"%s\"/>", px(margin+5.5+float64(i)*19), c)
	}
	if o.Title != "" {
		fmt.Fprintf(&b, "<text x=\"%s\" y=\"22\" text-anchor=\"middle\" style=\"fill:%s\">%s</text>", px(w/2), titleColor, escape(o.Title))
	}
	fmt.Fprintf(
		&b,
		"\n<svg x=\"0\" y=\"%s\" width=\"%s\" height=\"%s\"><g class=\"strip\">\n%s</g></svg>\n</svg>\n",
		px(titleBarH),
		px(w),
		px(h-titleBarH),
		strip.String(),
	)
	return b.String()
}

// line draws a row: backgrounds, then block characters as shapes (fonts leave
// gaps between them), then text in stretches with the same style.
func line(row []vt.Cell) string {
	var back, shapes, text strings.Builder
	for x := 0; x < len(row); {
		c := row[x]
		end := x + 1
		for end < len(row) && same(row[end], c) {
			end++
		}
		if c.BG != vt.DefaultBG {
			fmt.Fprintf(
				&back,
				"<rect x=\"%s\" width=\"%s\" height=\"%s\" fill=\"%s\"/>",
				px(left(x)),
				px(float64(end-x)*cellW),
				px(cellH),
				color(c.BG, background),
			)
		}
		fill := color(c.FG, foreground)
		for x < end {
			if r, ok := shape(row[x].Char); ok {
				n := x + 1
				for n < end && r.w == 1 && row[n].Char == row[x].Char {
					n++
				}
				fmt.Fprintf(
					&shapes,
					"<rect x=\"%s\" y=\"%s\" width=\"%s\" height=\"%s\" fill=\"%s\"/>",
					px(left(x)),
					px(r.y*cellH),
					px((float64(n-x-1)+r.w)*cellW),
					px(r.h*cellH),
					fill,
				)
				x = n
				continue
			}
			n := x
			var s strings.Builder
			for n < end {
				if _, ok := shape(row[n].Char); ok {
					break
				}
				// Two blanks separate stretches, because renderers differ in
				// whether they keep them.
				if s.Len() > 0 && row[n].Char == ' ' && n+1 < end && row[n+1].Char == ' ' {
					break
				}
				if row[n].Char != 0 {
					s.WriteRune(row[n].Char)
				}
				n++
			}
			stretch(&text, x, n, s.String(), fill, c.Bold)
			x = n
		}
	}
	return back.String() + shapes.String() + text.String()
}

// stretch writes text from cell x to n, fitted to the width of its cells.
// Blanks at its ends need not be drawn.
func stretch(b *strings.Builder, x, n int, s, fill string, bold bool) {
	lead := len(s) - len(strings.TrimLeft(s, " "))
	trail := len(s) - len(strings.TrimRight(s, " "))
	if lead == len(s) {
		return
	}
	x, n, s = x+lead, n-trail, strings.Trim(s, " ")
	style := ""
	if fill != foreground {
		style = fmt.Sprintf(" style=\"fill:%s\"", fill)
	}
	if bold {
		style += " class=\"b\""
	}
	fmt.Fprintf(
		b,
		"<text x=\"%s\" y=\"14\" textLength=\"%s\" lengthAdjust=\"spacingAndGlyphs\"%s>%s</text>",
		px(left(x)),
		px(float64(n-x)*cellW),
		style,
		escape(s),
	)
}

func same(a, b vt.Cell) bool { return a.FG == b.FG && a.BG == b.BG && a.Bold == b.Bold }

func left(x int) float64 { return margin + float64(x)*cellW }

// box is a part of a cell: its upper edge, width and height.
type box struct{ y, w, h float64 }

func shape(r rune) (box, bool) {
	switch {
	case r == '█':
		return box{0.12, 1, 0.76}, true
	case r >= '▉' && r <= '▏': // seven eighths down to one
		return box{0.12, float64('▏'-r+1) / 8, 0.76}, true
	case r == '━':
		return box{0.42, 1, 0.14}, true
	case r == '─':
		return box{0.46, 1, 0.06}, true
	}
	return box{}, false
}

// px writes a length without invisible decimals.
func px(f float64) string {
	s := fmt.Sprintf("%.2f", f)
	s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	if s == "-0" {
		return "0"
	}
	return s
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // writing to a Builder cannot fail
	return b.String()
}
