//go:build unix

package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const header = `{"version":2,"width":12,"height":5}` + "\n"

func frames(t *testing.T, cast string, o pictureOptions) []frame {
	t.Helper()
	f, err := readCast(strings.NewReader(cast), o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestFrames: what stands how long.
func TestFrames(t *testing.T) {
	const cast = header +
		`[0,"o","one\r\n"]` + "\n" +
		`[0.05,"o","two"]` + "\n" + // too soon for a frame of its own
		`[1,"o","\r\u001b[2Ktw\u001b[1mo!"]` + "\n" +
		`[1.5,"i","keys are not shown"]` + "\n" +
		`[9,"o","\r\nthree"]` + "\n"
	o := pictureOptions{Frame: 100 * time.Millisecond, MaxIdle: 2 * time.Second, End: 3 * time.Second}
	type shown struct {
		Text string
		Took time.Duration
	}
	var got []shown
	for _, f := range frames(t, cast, o) {
		got = append(got, shown{f.text, f.took})
		if len(f.cells) != 3 {
			t.Errorf("%d rows, want the 3 that are used", len(f.cells))
		}
	}
	want := []shown{{"", 0}, {"one\ntwo", time.Second}, {"one\ntwo!", 2 * time.Second}, {"one\ntwo!\nthree", 3 * time.Second}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	o.Still = true
	if f := frames(t, cast, o); len(f) != 1 || f[0].text != "one\ntwo!\nthree" {
		t.Errorf("still: %v", f)
	}
}

func TestPicture(t *testing.T) {
	const cast = header +
		`[0,"o","<a> & b   c\r\n"]` + "\n" +
		`[1,"o","\u001b[32m✓\u001b[0m \u001b[36m██▍\u001b[0m \u001b[2m日本\u001b[0m"]` + "\n"
	o := pictureOptions{Frame: time.Millisecond, MaxIdle: time.Minute, End: time.Second, Title: "a <run>"}
	svg := picture(frames(t, cast, o), o)
	if again := picture(frames(t, cast, o), o); again != svg {
		t.Error("the same recording gives another picture")
	}
	wellFormed(t, svg)
	for _, want := range []string{
		"&lt;a&gt; &amp; b</text>", // and the next stretch by itself
		`<text x="100" y="14" textLength="8.4" lengthAdjust="spacingAndGlyphs">c</text>`,
		`style="fill:#7ec07a">✓</text>`,
		`<rect x="32.8" y="2.28" width="16.8" height="14.44" fill="#5fc1c9"/><rect x="49.6" y="2.28" width="3.15"`,
		`textLength="33.6" lengthAdjust="spacingAndGlyphs" style="fill:#7a808c">日本</text>`,
		`a &lt;run&gt;</text>`,
		"@keyframes play",
	} {
		if !strings.Contains(svg, want) {
			t.Errorf("the picture has no %s:\n%s", want, svg)
		}
	}
	if n := strings.Count(svg, "&lt;a&gt; &amp; b</text>"); n != 1 {
		t.Errorf("a row that stays is drawn %d times", n)
	}
	o.Still = true
	if still := picture(frames(t, cast, o), o); strings.Contains(still, "keyframes") {
		t.Error("a still picture moves")
	}
}

func wellFormed(t *testing.T, svg string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%v:\n%s", err, svg)
		}
	}
}

// TestRun: from a command on a real terminal to its picture.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	cast, svg := filepath.Join(dir, "run.cast"), filepath.Join(dir, "run.svg")
	script := `test -t 2 && printf '\033[1mready\033[0m in %s\n' "$(stty size)"; exit 3`
	if err := run(t.Context(), []string{"run", "-o", cast, "-cols", "40", "-rows", "9", "-prompt", "$ sbw", "--", "/bin/sh", "-c", script}); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"svg", "-i", cast, "-o", svg, "-still"}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(svg)
	if err != nil {
		t.Fatal(err)
	}
	wellFormed(t, string(got))
	if !strings.Contains(string(got), "<desc>$ sbw&#xA;ready in 9 40</desc>") {
		t.Errorf("the picture:\n%s", got)
	}
}

func TestCastKeepsCharactersWhole(t *testing.T) {
	var b bytes.Buffer
	c, err := newCast(&b, 12, 5)
	if err != nil {
		t.Fatal(err)
	}
	text := "é✓👩"
	for i := range len(text) {
		c.output(time.Duration(i)*time.Second, []byte(text[i:i+1]))
	}
	if c.err != nil {
		t.Fatal(c.err)
	}
	if f := frames(t, b.String(), pictureOptions{}); f[len(f)-1].text != text {
		t.Errorf("%q came back as %q", text, f[len(f)-1].text)
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.cast")
	if err := os.WriteFile(bad, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{nil, {"x"}, {"run"}, {"run", "-o", filepath.Join(dir, "x")}, {"svg"}, {"svg", "-i", bad, "-o", filepath.Join(dir, "y")},
		{"run", "-o", filepath.Join(dir, "z"), "--", filepath.Join(dir, "no-such-program")}} {
		if err := run(t.Context(), args); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}

func FuzzReadCast(f *testing.F) {
	f.Add(header + `[0,"o","x\u001b[31mé"]` + "\n")
	f.Add(header + `[1e9,"o","x"]`)
	f.Add("{}")
	f.Add(header + `["a","o",1]`)
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 1<<12 {
			return
		}
		o := pictureOptions{Frame: time.Millisecond, MaxIdle: time.Second}
		frames, err := readCast(strings.NewReader(s), o)
		if err == nil && len(frames) < 50 {
			wellFormed(t, picture(frames, o))
		}
	})
}
