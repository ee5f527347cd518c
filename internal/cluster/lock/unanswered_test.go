package lock_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/cluster/lock"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/controlplane/cptest"
)

// TestUnanswered: whatever becomes of the write that takes the lock, either Acquire returns
// the lock, so that it is released at the end of the run, or there is none.
func TestUnanswered(t *testing.T) {
	for _, tt := range []struct {
		name string
		// write answers the write; interrupt ends the context of Acquire.
		write func(interrupt func(), next http.RoundTripper, r *http.Request) (*http.Response, error)
		held  bool
	}{
		{"interrupted before the API server has it", func(interrupt func(), next http.RoundTripper, r *http.Request) (*http.Response, error) {
			interrupt()
			return next.RoundTrip(r)
		}, true},
		{"interrupted before the answer", func(interrupt func(), next http.RoundTripper, r *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			interrupt()
			return resp, err
		}, true},
		{"the answer is lost", func(_ func(), next http.RoundTripper, r *http.Request) (*http.Response, error) {
			return cptest.LoseAnswer(next, r)
		}, true},
		{"the request is lost", func(func(), http.RoundTripper, *http.Request) (*http.Response, error) {
			return nil, io.ErrUnexpectedEOF
		}, false},
	} {
		for _, way := range []string{"create", "take over"} {
			t.Run(tt.name+"/"+way, func(t *testing.T) {
				kube, o := setup(t)
				o.Run = "run-2"
				if way == "take over" {
					left := o
					left.Run, left.Holder = "run-1", "bob@desk pid 2"
					if _, err := lock.Acquire(t.Context(), kube, left); err != nil { // killed: nobody releases it
						t.Fatal(err)
					}
					o.Ended = []string{"run-1"}
				}
				ctx, cancel := context.WithCancelCause(t.Context())
				conn := cptest.Connect(t, cptest.Shared(t), "admin", o.Workload.Namespace)
				conn.Config.WrapTransport = func(next http.RoundTripper) http.RoundTripper {
					return cptest.RoundTrip(func(r *http.Request) (*http.Response, error) {
						if r.Method != http.MethodPost && r.Method != http.MethodPut || strings.Contains(r.URL.RawQuery, "dryRun") {
							return next.RoundTrip(r)
						}
						return tt.write(func() { cancel(pipeline.ErrInterrupted) }, next, r)
					})
				}
				disturbed, err := conn.Kube()
				if err != nil {
					t.Fatal(err)
				}
				l, err := lock.Acquire(ctx, disturbed, o)
				who, _, lookErr := lock.Holder(t.Context(), kube, o.Workload)
				if lookErr != nil {
					t.Fatal(lookErr)
				}
				if tt.held != (err == nil) || tt.held != (who == o.Holder) {
					t.Fatalf("held by %q: %v", who, err)
				}
				if l == nil {
					return
				}
				release(t, l)
				if who, _, err = lock.Holder(t.Context(), kube, o.Workload); who != "" || err != nil {
					t.Errorf("%q still holds it: %v", who, err)
				}
			})
		}
	}
}
