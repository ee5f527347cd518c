package handover

import (
	"fmt"
	"time"
)

// Sample is what was counted in a stretch of time.
type Sample struct {
	// Over is how long the stretch was.
	Over time.Duration
	// FailedRuns are runs of the worker's functions that ended as failed.
	FailedRuns int
	// Restarts are those of the new pods' containers.
	Restarts int32
	// Unready is the longest that a new pod was not Ready without a break.
	Unready time.Duration
}

// unreadyFor is how long a new pod may not be Ready: longer than one probe
// that was unlucky.
const unreadyFor = 15 * time.Second

// BakeRule says when a bake goes back, for the output.
const BakeRule = "goes back when a new pod restarts, when one is not Ready for 15s, or when more runs fail than failed in an " +
	"equally long time before the switch"

// Bake compares what has happened since the switch with what happened in an
// equally long stretch before it; why is empty unless the new version is worse.
// Failures are compared as numbers, so a bake can go back as soon as there is
// one too many, without waiting for its end.
func Bake(before, after Sample) (why string) {
	switch {
	case after.Restarts > 0:
		return fmt.Sprintf("%s of the new pods since the switch", plural(int(after.Restarts), "restart"))
	case after.Unready >= unreadyFor:
		return fmt.Sprintf("a new pod has not been Ready for %s", after.Unready.Round(time.Second))
	case after.FailedRuns > before.FailedRuns:
		return fmt.Sprintf("%s in the %s since the switch, %d in the %s before it",
			plural(after.FailedRuns, "failed run"), after.Over.Round(time.Second), before.FailedRuns, before.Over.Round(time.Second))
	}
	return ""
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
