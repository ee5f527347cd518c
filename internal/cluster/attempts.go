package cluster

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/joelhooks/gh-sbw/internal/waiting"
)

// Attempts counts how often a write was repeated because somebody else's write to another
// part of the object came first. A controller writes the status of a workload several times
// within milliseconds of a change, so the waits between the attempts grow: from 10 ms, nine
// times, to about 5 s in total. The zero value is ready for use.
type Attempts struct{ waits *wait.Backoff }

// More waits before another attempt. It returns false if there should be none, because
// there were enough or because ctx has ended.
func (a *Attempts) More(ctx context.Context) bool {
	if a.waits == nil {
		a.waits = &wait.Backoff{Duration: 10 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 9}
	}
	return a.waits.Steps > 0 && waiting.For(ctx, a.waits.Step()) == nil
}
