package rollout

import "testing"

func TestSplitTag(t *testing.T) {
	for ref, want := range map[string][2]string{
		"ghcr.io/o/w":           {"ghcr.io/o/w", ""},
		"ghcr.io/o/w:t":         {"ghcr.io/o/w", "t"},
		"localhost:5000/w":      {"localhost:5000/w", ""},
		"localhost:5000/w:t@sh": {"localhost:5000/w", "t"},
		"":                      {"", ""},
	} {
		if name, tag, _ := SplitTag(ref); name != want[0] || tag != want[1] {
			t.Errorf("%q: %q, %q", ref, name, tag)
		}
	}
}
