package ui

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// TestFrameFits: whatever the events and the window, a frame fits into it and
// shows the last stage that is running.
func TestFrameFits(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	words := []string{"push", "日本語のステージ", "a-very-long-name-that-goes-on-and-on-and-on", "👩‍🚀❤️🇩🇪", "é̂", ""}
	word := func() string { return words[rnd.IntN(len(words))] }
	for range 500 {
		r := newRun()
		r.plan(words[:rnd.IntN(len(words))])
		for i := range rnd.IntN(40) {
			s, stage := float64(i), word()
			switch rnd.IntN(6) {
			case 0:
				r.take(started(s, stage))
			case 1:
				r.take(finished(s, stage, rnd.Float64()*1e4, nil))
			case 2:
				r.take(moved(s, stage, word(), rnd.Int64N(1e12), rnd.Int64N(1e12)-1e11, word()))
			case 3:
				r.take(counted(s, stage, word(), rnd.Int64N(9)-1, rnd.Int64N(9)-1))
			case 4:
				r.take(said(s, pipeline.Detailed, stage, word()))
			case 5:
				r.take(tabled(s, stage, pipeline.Table{Title: word(), Header: words[:rnd.IntN(6)], Rows: [][]string{words[:rnd.IntN(6)], {word()}, {}}}))
			}
		}
		w, h := rnd.IntN(130), rnd.IntN(30)
		frame := Style{Color: true}.frame(r, at(50), w, h)
		if len(frame) > h {
			t.Fatalf("%d lines in a window of %d", len(frame), h)
		}
		for _, l := range frame {
			if width(l) > w {
				t.Fatalf("%d cells in a window of %d: %q", width(l), w, l)
			}
		}
	}
}

// TestFrameGivesWay: what happens where there is less and less room.
func TestFrameGivesWay(t *testing.T) {
	r := newRun()
	r.plan([]string{"a", "b", "c", "d", "e", "f"})
	for i, name := range []string{"a", "b"} {
		r.take(started(float64(i), name))
		r.take(finished(float64(i+1), name, 1, nil))
	}
	r.take(started(2, "c"))
	for i := range 4 {
		r.take(moved(2, "c", fmt.Sprintf("blob %d", i), 0, 10, ""))
	}
	s := Style{ASCII: true}
	blobs := []string{
		"    . blob 0 ............      0 B of 10 B",
		"    . blob 1 ............      0 B of 10 B",
		"    . blob 2 ............      0 B of 10 B",
		"    . blob 3 ............      0 B of 10 B",
	}
	head := "  - c   1.0s  0 B of 40 B  ........................"
	over := []string{"  + a   1.0s", "  + b   1.0s"}
	cases := map[int][]string{
		10: append(append(append([]string{}, over...), append([]string{head}, blobs...)...), "  . d", "  . e", "  . f"),
		9:  append(append(append([]string{}, over...), append([]string{head}, blobs...)...), "  > 3 stages to come"),
		8:  append(append(append([]string{}, over...), append([]string{head}, blobs...)...), "  > 3 stages to come"),
		7:  append([]string{"  + 2 stages in 2.0s", head}, append(append([]string{}, blobs...), "  > 3 stages to come")...),
		6:  {"  + 2 stages in 2.0s", head, blobs[0], blobs[1], "    > 2 more", "  > 3 stages to come"},
		4:  {"  + 2 stages in 2.0s", head, "    > 4 more", "  > 3 stages to come"},
		3:  {"  + 2 stages in 2.0s", head, "    > 4 more"},
		2:  {head, "    > 4 more"},
		1:  {head},
		0:  nil,
	}
	for h, want := range cases {
		got := s.frame(r, at(3), 80, h)
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
			t.Errorf("in %d lines:\n%q\nwant\n%q", h, got, want)
		}
	}
}
