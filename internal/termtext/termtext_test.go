package termtext_test

import (
	"strings"
	"testing"
	"unicode"

	"github.com/joelhooks/gh-sbw/internal/termtext"
)

func TestText(t *testing.T) {
	tests := map[string]string{
		"plain\ttext\n":        "plain\ttext\n",
		"a\r\nb":               "a\nb",
		"10%\r20%\rdone":       "10%\n20%\ndone",
		"\x1b[1;31mred\x1b[0m": "red",
		"\x1b]0;title\x07x":    "x",
		"\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\": "link",
		"\x1bP1;2|payload\x1b\\x":                     "x",
		"\u009b31mred":                                "red",
		"bell\x07 null\x00 del\x7f":                   "bell null del",
		"turn\u202earound":                            "turnaround",
		"\x1b]0;never closed\nnext line":              "\nnext line",
		"ends in \x1b":                                "ends in ",
		"ends in \x1b[":                               "ends in ",
		"two \x1b\x1b[1mbold":                         "two bold",
		"broken \xff utf8":                            "broken \uFFFD utf8",
		"übung 日本 🎉":                                  "übung 日本 🎉",
		"\x1b[31\nm":                                  "\nm",
		"\x1bc reset":                                 " reset",
	}
	for in, want := range tests {
		if got := termtext.Text(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("\x1b[31mred\x1b[0m\r\n")
	f.Add("\x1b]0;t\x07\u009b1m")
	f.Fuzz(func(t *testing.T, s string) {
		got := termtext.Text(s)
		for _, r := range got {
			if unicode.IsControl(r) && r != '\n' && r != '\t' {
				t.Fatalf("%q of %q contains %U", got, s, r)
			}
		}
		if again := termtext.Text(got); again != got {
			t.Fatalf("%q cleaned twice is %q", got, again)
		}
	})
}

func TestLine(t *testing.T) {
	if got := termtext.Line(" a\n\tb \x1b[1mc\r\nd "); got != "a b c d" {
		t.Errorf("%q", got)
	}
}

// TestHiddenText: characters that leave no trace on a screen are removed, too.
func TestHiddenText(t *testing.T) {
	for in, want := range map[string]string{
		"a\u200bb\ufeff":       "ab",
		"a\u2066b\U000e0041c":  "abc",
		"👩\u200d🚀":             "👩\u200d🚀",
		"\x1b(0b":              "b",
		"\u009d0;title\u009cx": "x",
		"\x1b]" + strings.Repeat("x", 5000) + "\x07y": strings.Repeat("x", 5000) + "y",
	} {
		if got := termtext.Text(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	for in, want := range map[string]string{"": "", "äöü": "äöü", "äöüß": "äöü…"} {
		if got := termtext.Cut(in, 3); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
