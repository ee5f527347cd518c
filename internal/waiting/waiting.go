// Package waiting waits in a way that a context can end: For is time.Sleep for
// code that must not outlive its caller.
package waiting

import (
	"context"
	"time"
)

// For waits for d. The error is the cause of the context's end, if that came
// first.
func For(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
