package units

import (
	"fmt"
	"testing"
)

func TestList(t *testing.T) {
	names := func(n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprint(i))
		}
		return all
	}
	for n, want := range map[int]string{
		0: "", 1: "0", 2: "0, 1",
		13:      "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12",
		14:      "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more",
		1012:    "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 1,000 more",
		200_000: "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 199,988 more",
	} {
		if got := List(names(n)); got != want {
			t.Errorf("%d names: %q, want %q", n, got, want)
		}
	}
}
