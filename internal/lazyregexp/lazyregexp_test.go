package lazyregexp

import (
	"regexp"
	"testing"
)

func TestRegexp(t *testing.T) {
	const expr, text = `([a-z])(\d)`, "a1 b2"
	re, want := New(expr), regexp.MustCompile(expr)
	if re.MatchString(text) != want.MatchString(text) || re.FindString(text) != want.FindString(text) ||
		len(re.FindAllStringSubmatch(text, -1)) != 2 || re.FindStringSubmatch(text)[2] != "1" || string(re.FindSubmatch([]byte(text))[1]) != "a" ||
		re.ReplaceAllString(text, "$2$1") != "1a 2b" || re.ReplaceAllStringFunc(text, func(string) string { return "-" }) != "- -" {
		t.Error("it behaves differently from package regexp")
	}
}

// A wrong expression is found by the test of the package that has it, though no
// test may use it.
func TestWrong(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("an invalid expression was accepted")
		}
	}()
	New("(")
}
