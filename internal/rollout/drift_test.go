package rollout

import (
	"strings"
	"testing"
)

func TestSameShipped(t *testing.T) {
	a, b := "@sha256:"+strings.Repeat("a", 64), "@sha256:"+strings.Repeat("b", 64)
	for _, tc := range []struct {
		shipped, runs string
		want          bool
	}{
		{"ghcr.io/o/w:1" + a, "ghcr.io/o/w:1" + a, true},
		{"ghcr.io/o/w:1" + a, "ghcr.io/o/w:1", true}, // --no-pin
		{"ghcr.io/o/w:1", "ghcr.io/o/w:1", true},
		{"ghcr.io/o/w:1" + a, "ghcr.io/o/w:2", false},
		{"ghcr.io/o/w:1" + a, "ghcr.io/p/w:1", false},
		{"ghcr.io/o/w:1" + a, "ghcr.io/o/w:1" + b, false},
		{"ghcr.io/o/w:1", "ghcr.io/o/w:1" + a, false}, // pinned by somebody else to an unknown digest
		{"ghcr.io/o/w" + a, "ghcr.io/o/w" + a, true},
	} {
		if got := sameShipped(tc.shipped, tc.runs); got != tc.want {
			t.Errorf("%s was shipped and %s runs: %t", tc.shipped, tc.runs, got)
		}
	}
}
