package rollout

import (
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

func TestCommitsLost(t *testing.T) {
	a, b := strings.Repeat("a", 40), strings.Repeat("b", 40)
	if found := commitsLost(a, b, nil); len(found) > 0 {
		t.Errorf("%v", found)
	}
	for n, want := range map[int]string{1: "1 commit that runs now is missing from the new image", 2: "2 commits that run now are missing from the new image"} {
		lost := make([]string, n)
		found := commitsLost(a, b, lost)
		if len(found) != 1 || found[0].Code != CodeCommitsLost || found[0].Severity != pipeline.Warning || found[0].What != want || len(found[0].Evidence) != n {
			t.Errorf("%d: %+v", n, found)
		}
	}
}
