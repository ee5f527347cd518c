package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

const (
	defaultTries = 8 // half a minute with the delays below
	defaultStall = time.Minute
	// answerWithin is how long a registry may take to respond after an upload.
	answerWithin = 5 * time.Minute
	firstDelay   = 250 * time.Millisecond
	maxDelay     = 15 * time.Second
	// maxAsked is the longest delay requested by a registry that is respected.
	// GitHub asks for a minute after its secondary rate limit.
	maxAsked = 2 * time.Minute
	// secondaryDelay is the delay after a secondary rate limit that does not say how
	// long to wait.
	secondaryDelay = 20 * time.Second
)

// Passing reports whether the same request is likely to succeed if it is sent
// again.
func Passing(err error) bool {
	var g *givenUp
	if errors.As(err, &g) {
		return false
	}
	var e *Error
	if errors.As(err, &e) {
		switch e.Status {
		case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
			http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		case http.StatusForbidden:
			return e.secondaryLimit()
		}
		return false
	}
	var f *pipeline.Finding
	if err == nil || errors.Is(err, context.Canceled) || errors.As(err, &f) || isTLS(err) {
		return false
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return !dns.IsNotFound
	}
	if errors.Is(err, errStalled) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return true
	}
	var n net.Error
	return errors.As(err, &n) || slices.ContainsFunc(untyped, func(s string) bool { return strings.Contains(err.Error(), s) })
}

// untyped lists the messages of connection errors for which net/http has no type.
var untyped = []string{"http: server closed", "transport connection broken", "malformed HTTP", "http2: ", "unexpected EOF"}

// secondaryLimit reports whether e is GitHub's secondary rate limit, the only 403
// worth retrying.
func (e *Error) secondaryLimit() bool {
	return strings.Contains(strings.ToLower(e.Message), "secondary rate limit")
}

func isTLS(err error) bool {
	var (
		unknown *x509.UnknownAuthorityError
		a       x509.UnknownAuthorityError
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
		verify  *tls.CertificateVerificationError
		record  tls.RecordHeaderError
	)
	return errors.As(err, &unknown) || errors.As(err, &a) || errors.As(err, &host) ||
		errors.As(err, &invalid) || errors.As(err, &verify) || errors.As(err, &record)
}

// delay returns how long to wait before another try: as long as the registry
// asks, or else twice as long as before, with a jitter of a quarter so that
// parallel uploads do not all retry at once.
func delay(try int, err error) time.Duration {
	var e *Error
	d := min(firstDelay<<min(try, 10), maxDelay)
	if errors.As(err, &e) {
		if e.After > 0 {
			return min(e.After, maxAsked)
		}
		if e.secondaryLimit() {
			d = min(secondaryDelay<<min(try, 10), maxAsked)
		}
	}
	return d + time.Duration(rand.Int64N(int64(d)/2)) - d/4
}

// asked matches the delay that GHCR writes into the body of a TOOMANYREQUESTS
// error: "retry-after: 10.3ms, allowed: 44000/minute".
var asked = lazyregexp.New(`(?i)retry-after:\s*([0-9.]+(?:ns|us|µs|ms|s|m|h)?)`)

// retryAfter returns the delay that a response asks for, in its header (seconds
// or a date) or its body.
func retryAfter(h http.Header, body []byte) time.Duration {
	if v := h.Get("Retry-After"); v != "" {
		if s, err := strconv.ParseFloat(v, 64); err == nil && s >= 0 && s < 1e6 {
			return time.Duration(s * float64(time.Second))
		}
		if at, err := http.ParseTime(v); err == nil {
			return max(0, time.Until(at))
		}
	}
	m := asked.FindSubmatch(body)
	if m == nil {
		return 0
	}
	text := string(m[1])
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return d
	}
	if s, err := strconv.ParseFloat(text, 64); err == nil && s < 1e6 {
		return time.Duration(s * float64(time.Second))
	}
	return 0
}

var errStalled = errors.New("nothing moved on the connection")

// watch aborts a request after a period without progress. It is not a deadline
// for the whole request, because an upload takes as long as the uplink needs.
type watch struct {
	mu     sync.Mutex
	timer  *time.Timer
	after  time.Duration
	cancel context.CancelCauseFunc
}

func newWatch(ctx context.Context, after time.Duration) (context.Context, *watch) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watch{after: after, cancel: cancel}
	w.timer = time.AfterFunc(after, func() { cancel(errStalled) })
	return ctx, w
}

func (w *watch) moved() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer.Stop() {
		w.timer.Reset(w.after)
	}
}

func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer.Stop()
	w.cancel(nil)
}

func (w *watch) reader(r io.Reader) io.Reader { return watched{Reader: r, w: w} }

// body watches the body of a request. After its end the registry gets more time,
// because it may hash and move gigabytes before it responds.
func (w *watch) body(r io.ReadCloser) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{watched{Reader: r, w: w, atEnd: answerWithin}, r}
}

// extend allows more time from now on.
func (w *watch) extend(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.after = max(w.after, d)
}

type watched struct {
	io.Reader
	w     *watch
	atEnd time.Duration
}

func (r watched) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && r.atEnd > 0 {
		r.w.extend(r.atEnd)
	}
	r.w.moved()
	return n, err
}
