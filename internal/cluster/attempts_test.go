package cluster

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestAttempts: the waits end after seconds, and at once when the context has ended.
func TestAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var try Attempts
		n := 1
		for try.More(t.Context()) {
			n++
		}
		if took := time.Since(start); n != 10 || took < 5*time.Second || took > 7*time.Second {
			t.Errorf("%d attempts in %v, want 10 in 5 to 7 s", n, took)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if try = (Attempts{}); try.More(ended) {
			t.Error("another attempt after the end of the context")
		}
	})
}
