package registry

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/joelhooks/gh-sbw/internal/waiting"
)

func TestPassing(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{&Error{Status: 502}, true},
		{&Error{Status: 429}, true},
		{&Error{Status: 408}, true},
		{&Error{Status: 501}, false},
		{&Error{Status: 403, Message: "You have exceeded a secondary rate limit"}, true},
		{&Error{Status: 403, Message: "permission_denied: write_package"}, false},
		{&Error{Status: 401}, false},
		{&Error{Status: 404}, false},
		{fmt.Errorf("wrapped: %w", &Error{Status: 503}), true},
		{io.ErrUnexpectedEOF, true},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, true},
		{&net.DNSError{Err: "no such host", IsNotFound: true}, false},
		{&net.DNSError{Err: "timeout", IsTimeout: true}, true},
		{x509.UnknownAuthorityError{}, false},
		{errStalled, true},
		{context.Canceled, false},
		{errors.New("something else"), false},
	} {
		if got := Passing(c.err); got != c.want {
			t.Errorf("Passing(%v) = %t", c.err, got)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	date := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	for _, c := range []struct {
		header, body string
		min, max     time.Duration
	}{
		{"", "", 0, 0},
		{"7", "", 7 * time.Second, 7 * time.Second},
		{"0.5", "", 500 * time.Millisecond, 500 * time.Millisecond},
		{date, "", 59 * time.Minute, time.Hour},
		{"-1", "", 0, 0},
		{"soon", "retry-after: 10.3ms, allowed: 44000/minute", 10300 * time.Microsecond, 10300 * time.Microsecond},
		{"", `{"errors":[{"code":"TOOMANYREQUESTS","message":"retry-after: 2.5s, allowed"}]}`, 2500 * time.Millisecond, 2500 * time.Millisecond},
		{"", "Retry-After: 3", 3 * time.Second, 3 * time.Second},
		{"", "retry-after: never", 0, 0},
		{"", "retry-after: 1.2.3s", 0, 0},
	} {
		h := http.Header{}
		if c.header != "" {
			h.Set("Retry-After", c.header)
		}
		if got := retryAfter(h, []byte(c.body)); got < c.min || got > c.max {
			t.Errorf("%q %q: %s", c.header, c.body, got)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("10.3ms", "retry-after: 10.3ms")
	f.Fuzz(func(t *testing.T, header, body string) {
		if d := retryAfter(http.Header{"Retry-After": {header}}, []byte(body)); d < 0 {
			t.Errorf("%q %q: %s", header, body, d)
		}
	})
}

func TestDelay(t *testing.T) {
	if d := delay(0, &Error{Status: 429, After: 10 * time.Millisecond}); d != 10*time.Millisecond {
		t.Errorf("a requested delay became %s", d)
	}
	if d := delay(0, &Error{Status: 429, After: time.Hour}); d != maxAsked {
		t.Errorf("an hour became %s", d)
	}
	if d := delay(0, &Error{Status: 403, Message: "secondary rate limit"}); d < 15*time.Second {
		t.Errorf("the delay after a secondary rate limit is %s", d)
	}
	for try := range 100 {
		want := min(firstDelay<<min(try, 10), maxDelay)
		if d := delay(try, errors.New("x")); d < want*3/4 || d > want*5/4 {
			t.Errorf("try %d: %s, want about %s", try, d, want)
		}
	}
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if err := waiting.For(t.Context(), 3*time.Second); err != nil || time.Since(start) != 3*time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errStalled)
		defer cancel()
		if err := waiting.For(ctx, time.Hour); !errors.Is(err, errStalled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, w := newWatch(t.Context(), time.Minute)
		defer w.stop()
		for range 5 {
			time.Sleep(50 * time.Second) // of the bubble's clock
			w.moved()
		}
		if ctx.Err() != nil {
			t.Fatal("a request with progress was aborted")
		}
		<-ctx.Done()
		if !errors.Is(context.Cause(ctx), errStalled) {
			t.Errorf("aborted with %v", context.Cause(ctx))
		}
		w.moved() // it must not fire again after the end
	})
}

// TestWatchAfterUpload checks that a registry gets more time after it has
// received an upload.
func TestWatchAfterUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, w := newWatch(t.Context(), time.Minute)
		defer w.stop()
		if _, err := io.ReadAll(w.body(io.NopCloser(strings.NewReader("x")))); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		<-ctx.Done()
		if took := time.Since(start); took != answerWithin {
			t.Errorf("given %s", took)
		}
	})
}

type refusing struct{ n atomic.Int32 }

func (r *refusing) RoundTrip(*http.Request) (*http.Response, error) {
	r.n.Add(1)
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
}

// TestUnreachableIsReportedSoon checks that a registry which does not answer is
// reported after a few tries, however many requests wait for its bearer.
func TestUnreachableIsReportedSoon(t *testing.T) {
	tr := &refusing{}
	c := New(repo(t, "ghcr.io/o/n"), Options{Auth: basic(), Transport: tr, Wait: noWait})
	if err := c.auth.lock(t.Context()); err != nil { // so that the requests wait
		t.Fatal(err)
	}
	errs := make(chan error)
	for range 3 {
		go func() {
			_, err := c.Do(t.Context(), Request{Method: http.MethodGet, Kind: "manifest v1", Path: "manifests/v1"})
			errs <- err
		}()
	}
	c.auth.unlock()
	for range 3 {
		if err := <-errs; !errors.Is(err, syscall.ECONNREFUSED) || Passing(err) {
			t.Errorf("%v, passing %v", err, Passing(err))
		}
	}
	// A later request makes its own tries.
	if n := tr.n.Load(); n < unmetTries || n > 3*unmetTries {
		t.Errorf("%d tries", n)
	}
}
