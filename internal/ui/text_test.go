package ui

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/joelhooks/gh-sbw/internal/termtext"
)

func TestSanitize(t *testing.T) {
	cases := []struct{ name, in, want string }{
		{"plain text stays", "pod bus-1: ready (1/1) – 5 µs ✓ 日本語 👩‍🚀", "pod bus-1: ready (1/1) – 5 µs ✓ 日本語 👩‍🚀"},
		{"colours", "\x1b[1;31merror\x1b[0m", "error"},
		{"clear screen", "a\x1b[2J\x1b[Hb", "ab"},
		{"window title", "a\x1b]0;owned\x07b", "ab"},
		{"hyperlink", "\x1b]8;;http://x\x1b\\text\x1b]8;;\x1b\\", "text"},
		{"device control string", "a\x1bP+q544e\x1b\\b", "ab"},
		{"reset", "a\x1bcb", "ab"},
		{"charset", "a\x1b(0b", "ab"},
		{"C1 in UTF-8", "a\u009b31mb\u009d0;x\u009cc", "abc"},
		{"C1 as a lone byte", "a\x9b31mb", "a\ufffd31mb"},
		{"an unfinished sequence hides nothing", "a\x1b[31", "a␛[31"},
		{"an unfinished title hides nothing", "a\x1b]0;the rest of the log", "a␛]0;the rest of the log"},
		{"an interrupted sequence hides nothing", "a\x1b[3\x1b[0mb", "a␛[3b"},
		{"a title over a line's end hides nothing", "a\x1b]0;x\nlog\x07", "a␛]0;x log␇"},
		{"backspaces", "secret\b\b", "secret␈␈"},
		{"bell, NUL, delete", "\a\x00\x7f", "␇␀␡"},
		{"lines become one", "a\r\nb\nc\td", "a b c d"},
		{"overprinting", "safe\revil", "safe evil"},
		{"bidirectional override", "a\u202eb\u2066c", "a\ufffdb\ufffdc"},
		{"nothing to see", "a\u200bb\ufeff", "a\ufffdb\ufffd"},
		{"not UTF-8", "a\xffb", "a\ufffdb"},
	}
	for _, c := range cases {
		if got := Sanitize(c.in); got != c.want {
			t.Errorf("%s: Sanitize(%q) = %q, want %q", c.name, c.in, got, c.want)
		}
	}
}

func TestSanitizeLines(t *testing.T) {
	got := SanitizeLines("one\r\n\x1b[31mtwo\x1b[0m  \nfour%\rfive\n\n")
	if diff := cmp.Diff([]string{"one", "two", "four%", "five"}, got); diff != "" {
		t.Error(diff)
	}
	if got := SanitizeLines(""); got != nil {
		t.Errorf("of nothing: %q", got)
	}
}

func FuzzSanitize(f *testing.F) {
	for _, s := range []string{"", "plain", "\x1b[31mred\x1b[0m", "\x1b]0;t\x07", "\u009b2J", "\x1b", "\xc2", "\x1b[", "a\u202eb", "👩‍🚀"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Sanitize(s)
		if !utf8.ValidString(got) {
			t.Fatalf("%q: not UTF-8: %q", s, got)
		}
		for _, r := range got {
			if termtext.Hidden(r) {
				t.Fatalf("%q: %U is left in %q", s, r, got)
			}
		}
		if again := Sanitize(got); again != got {
			t.Fatalf("%q: not stable: %q, then %q", s, got, again)
		}
		for _, l := range SanitizeLines(s) {
			if l != Sanitize(l) {
				t.Fatalf("%q: the line %q is not clean", s, l)
			}
		}
		if escapeHidden(got) != got {
			t.Fatalf("%q: escapeHidden changes clean text", got)
		}
	})
}

func TestRows(t *testing.T) {
	rows := func(s Style, header ...string) *Rows {
		r := NewRows(s, header...)
		r.Add("a6de1e0", "sha256:0123456789abcdef0123456789abcdef", "joel")
		r.Add("日本", "", "\x1b[31mada\x1b[0m")
		return r
	}
	print := func(r *Rows, tabs bool) string {
		var b strings.Builder
		var err error
		if tabs {
			err = r.PrintTabs(&b)
		} else {
			err = r.Print(&b)
		}
		if err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for _, c := range []struct{ name, got, want string }{
		{"aligned", print(rows(Style{}, "TAG", "DIGEST", "BY"), false), lines(
			"TAG       DIGEST                                    BY",
			"a6de1e0   sha256:0123456789abcdef0123456789abcdef   joel",
			"日本                                                ada")},
		{"within the window", print(rows(Style{Width: 36}, "TAG", "DIGEST", "BY"), false), lines(
			"TAG       DIGEST                BY",
			"a6de1e0   sha256:0123456789a…   joel",
			"日本                            ada")},
		{"a window too narrow for the columns", print(rows(Style{Width: 16}, "TAG", "DIGEST", "BY"), false), lines(
			"TAG      DIGEST…",
			"a6de1…   sha25……",
			"日本           …")},
		{"tabs", print(rows(Style{}, "TAG", "DIGEST", "BY"), true), lines(
			"a6de1e0\tsha256:0123456789abcdef0123456789abcdef\tjoel",
			"日本\t\tada")},
		{"without a header", print(rows(Style{Color: true}), false), lines(
			"a6de1e0   sha256:0123456789abcdef0123456789abcdef   joel",
			"日本                                                ada")},
		{"with colour", print(NewRows(Style{Color: true}, "A"), false), "\x1b[2mA\x1b[0m\n"},
		{"empty", print(NewRows(Style{}), false), ""},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestPrintDiff(t *testing.T) {
	const diff = "--- live\n+++ new\n@@ -1 +1 @@\n a\tb\n-image: x:1\r\n+image: x:2\x1b[2J\n"
	var plain, colored strings.Builder
	if err := PrintDiff(&plain, Style{}, diff); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(lines("--- live", "+++ new", "@@ -1 +1 @@", " a    b", "-image: x:1", "+image: x:2"), plain.String()); d != "" {
		t.Error(d)
	}
	if err := PrintDiff(&colored, Style{Color: true}, diff); err != nil {
		t.Fatal(err)
	}
	want := lines("\x1b[1m--- live\x1b[0m", "\x1b[1m+++ new\x1b[0m", "\x1b[36m@@ -1 +1 @@\x1b[0m", " a    b", "\x1b[31m-image: x:1\x1b[0m", "\x1b[32m+image: x:2\x1b[0m")
	if d := cmp.Diff(want, colored.String()); d != "" {
		t.Error(d)
	}
}

func TestDecide(t *testing.T) {
	cases := []struct {
		name  string
		env   map[string]string
		tty   bool
		flags Flags
		mode  Mode
		color bool
	}{
		{name: "a terminal", tty: true, mode: Live, color: true},
		{name: "a pipe", mode: Plain},
		{name: "CI with a terminal", tty: true, env: map[string]string{"CI": "true"}, mode: Plain, color: true},
		{name: "CI=false", tty: true, env: map[string]string{"CI": "false"}, mode: Live, color: true},
		{name: "dumb", tty: true, env: map[string]string{"TERM": "dumb"}, mode: Plain},
		{name: "NO_COLOR", tty: true, env: map[string]string{"NO_COLOR": "1", "CLICOLOR_FORCE": "1"}, mode: Live},
		{name: "CLICOLOR=0", tty: true, env: map[string]string{"CLICOLOR": "0"}, mode: Live},
		{name: "forced", env: map[string]string{"CLICOLOR_FORCE": "1"}, mode: Plain, color: true},
		{name: "forced off", env: map[string]string{"CLICOLOR_FORCE": "0"}, mode: Plain},
		{name: "quiet", tty: true, flags: Flags{Quiet: true}, mode: Quiet, color: true},
		{name: "events beat all", tty: true, flags: Flags{Quiet: true, Events: true}, mode: Events, color: true},
	}
	for _, c := range cases {
		env := func(k string) string { return c.env[k] }
		if got := decide(env, c.tty, c.flags); got != c.mode {
			t.Errorf("%s: mode %d, want %d", c.name, got, c.mode)
		}
		if got := wantsColor(env, c.tty); got != c.color {
			t.Errorf("%s: colour %v, want %v", c.name, got, c.color)
		}
	}
}

func TestWantsASCII(t *testing.T) {
	cases := []struct {
		env  map[string]string
		goos string
		want bool
	}{
		{nil, "linux", true},
		{nil, "darwin", false},
		{map[string]string{"LANG": "C"}, "windows", false},
		{map[string]string{"LANG": "en_US.UTF-8"}, "linux", false},
		{map[string]string{"LANG": "en_US.UTF-8", "LC_ALL": "C"}, "linux", true},
		{map[string]string{"LC_CTYPE": "C.utf8", "LANG": "C"}, "linux", false},
	}
	for _, c := range cases {
		if got := wantsASCII(func(k string) string { return c.env[k] }, c.goos); got != c.want {
			t.Errorf("%v on %s: %v", c.env, c.goos, got)
		}
	}
}

func TestShortDigests(t *testing.T) {
	d := "sha256:" + strings.Repeat("0123456789abcdef", 4)
	for in, want := range map[string]string{
		"w:t@" + d + " → " + d: "w:t@sha256:0123456789ab → sha256:0123456789ab",
		d + "0":                d + "0",
		"sha256:abc":           "sha256:abc",
	} {
		if got := shortDigests(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
