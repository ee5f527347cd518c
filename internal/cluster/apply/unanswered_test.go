package apply_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/sandbox/controlplane/cptest"
)

// TestUnanswered: the run does not get the answer to its patch. Whatever the API server has
// done with the request, Restore brings the old version back, or reports that it did not.
func TestUnanswered(t *testing.T) {
	errAway := errors.New("no route to host")
	for _, tt := range []struct {
		name string
		// patch answers the first patch, and away all requests after it.
		patch func(b *bench, interrupt func(), next http.RoundTripper, r *http.Request) (*http.Response, error)
		away  error
		runs  string
		err   error // from Restore
		lost  bool  // whether the run gets no answer
	}{
		{"the request is lost", func(*bench, func(), http.RoundTripper, *http.Request) (*http.Response, error) {
			return nil, io.ErrUnexpectedEOF
		}, nil, "example.test/w:1", nil, true},
		{"the answer is lost", func(_ *bench, _ func(), next http.RoundTripper, r *http.Request) (*http.Response, error) {
			return cptest.LoseAnswer(next, r)
		}, nil, "example.test/w:1", nil, true},
		{"interrupted before the answer", func(_ *bench, interrupt func(), next http.RoundTripper, r *http.Request) (*http.Response, error) {
			interrupt()
			return next.RoundTrip(r)
		}, nil, "example.test/w:1", nil, false},
		{"interrupted, and the answer is lost", func(_ *bench, interrupt func(), next http.RoundTripper, r *http.Request) (*http.Response, error) {
			interrupt()
			return cptest.LoseAnswer(next, r)
		}, nil, "example.test/w:1", nil, true},
		{"the answer is lost, and somebody sets another image", func(b *bench, _ func(), next http.RoundTripper, r *http.Request) (*http.Response, error) {
			_, err := cptest.LoseAnswer(next, r)
			b.kubectl("set", "image", "deployment/worker", "worker=example.test/w:hand")
			return nil, err
		}, nil, "example.test/w:hand", nil, true},
		{"the answer is lost, and the server is away", func(_ *bench, _ func(), next http.RoundTripper, r *http.Request) (*http.Response, error) {
			return cptest.LoseAnswer(next, r)
		}, errAway, "example.test/w:2", workload.ErrSuperseded, true},
		{"the request is lost, and the server is away", func(*bench, func(), http.RoundTripper, *http.Request) (*http.Response, error) {
			return nil, io.ErrUnexpectedEOF
		}, errAway, "example.test/w:1", nil, true},
	} {
		for _, way := range []string{"manifest", "image"} {
			t.Run(tt.name+" "+way, func(t *testing.T) {
				b := newBench(t)
				// Without pods its controller is soon done, and writes no status in between.
				b.write(strings.Replace(fmt.Sprintf(manifest, "example.test/w:1"), "replicas: 1", "replicas: 0", 1))
				b.apply(apply.Options{})
				b.kubectl("wait", "deployment/worker", "--timeout=60s",
					`--for=jsonpath={.status.conditions[?(@.type=="Progressing")].reason}=NewReplicaSetAvailable`)
				b.write(strings.Replace(fmt.Sprintf(manifest, "example.test/w:2"), "replicas: 1", "replicas: 0", 1))
				objects := b.load()[:1]
				ctx, interrupt := context.WithCancel(t.Context())
				defer interrupt()
				var patched atomic.Bool
				var status atomic.Int32 // of the answer; a refusal if the status has just been written
				conn := cptest.Connect(t, cptest.Shared(t), "admin", b.ns)
				conn.Config.Wrap(func(next http.RoundTripper) http.RoundTripper {
					return cptest.RoundTrip(func(r *http.Request) (*http.Response, error) {
						apply := r.Header.Get("Content-Type") == string(types.ApplyPatchType)
						if apply && patched.CompareAndSwap(false, true) {
							resp, err := tt.patch(b, interrupt, next, r)
							if resp != nil {
								status.Store(int32(resp.StatusCode))
							}
							return resp, err
						}
						if patched.Load() && tt.away != nil {
							return nil, tt.away
						}
						return next.RoundTrip(r)
					})
				})
				o := apply.Options{Target: b.ref, Container: "worker"}
				var results []apply.Result
				var err error
				if way == "manifest" {
					results, err = apply.Apply(ctx, conn, objects, o)
				} else {
					var r *apply.Result
					if r, err = apply.Image(ctx, conn, b.ref, "worker", "example.test/w:2", o); r != nil {
						results = append(results, *r)
					}
				}
				if tt.lost != (status.Load() == 0) || (err != nil) != (status.Load() != http.StatusOK) {
					t.Fatalf("answer %d: %v", status.Load(), err)
				}
				if _, err := apply.Restore(t.Context(), b.conn, results, o); !errors.Is(err, tt.err) {
					t.Errorf("restoring: %v", err)
				}
				if now := b.deployment().Spec.Template.Spec.Containers[0].Image; now != tt.runs {
					t.Errorf("runs %s, want %s", now, tt.runs)
				}
			})
		}
	}
}
