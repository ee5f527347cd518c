package editdistance

import "testing"

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"riscv", "riscv64", 2}, {"flaw", "lawn", 2}} {
		if got := Distance(c.a, c.b); got != c.want {
			t.Errorf("Distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestNearest(t *testing.T) {
	for _, c := range []struct {
		word string
		in   []string
		want string
	}{
		{"prot", []string{"path", "port"}, "port"},
		{"PORT", []string{"path", "port"}, "port"},
		{"zzz", []string{"path", "port"}, ""},
		{"x", []string{"a", "b"}, ""},
		{"x", nil, ""},
	} {
		if got := Nearest(c.word, c.in); got != c.want {
			t.Errorf("Nearest(%q, %q) = %q, want %q", c.word, c.in, got, c.want)
		}
	}
}
