package handover

import (
	"fmt"
	"time"
)

// Sample is what was counted in a period of time.
type Sample struct {
	// Over is the length of the period.
	Over time.Duration
	// FailedRuns is the number of runs of the worker's functions that failed.
	FailedRuns int
	// Restarts is the number of restarts of the new pods' containers.
	Restarts int32
	// Unready is the longest uninterrupted time that a new pod was not Ready.
	Unready time.Duration
}

// unreadyFor is how long a new pod may be not Ready. It is longer than a single probe
// failure lasts.
const unreadyFor = 15 * time.Second

// BakeRule says in the output when a bake goes back to the old version.
const BakeRule = "goes back when a new pod restarts, when one is not Ready for 15s, or when more runs fail than failed in an " +
	"equally long time before the switch"

// Bake compares what has happened since the switch with a period before it that is as long
// as the whole bake; why is empty unless the new version is worse. Failures are compared as
// absolute numbers, so a bake can go back at the first excess failure without waiting for
// its end.
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
