// Package bench compares a publish with what crane, regctl and skopeo need for
// the same image, over one simulated uplink:
//
//	go test -run '^$' -bench . -benchtime 5x -timeout 30m ./internal/push/bench
//
// The link adds 40 ms to each request and to each new connection and lets
// 12.5 MB/s through upwards, all connections together; the
// registry behind it is GHCR's front over go-containerregistry's registry, or
// over Debian's docker-registry with SBW_BENCH_UPSTREAM=docker-registry. The
// latter does not take a small blob in a single POST and costs one request more;
// whether GHCR does is not known. Every benchmark reports the median of its runs
// as a ratio: of bytes over bandwidth, or of what crane needed in the same run.
// Times differ between machines, the ratios hardly; on a busy machine the best
// run (x-limit-best) says more than the median.
//
// What is measured is a whole process: the binary that SBW_BENCH_GH_SBW names,
// as `gh-sbw publish TAG --layout DIR`, else a child of the test binary that
// does the same push and nothing else. The peers come from
// internal/sandbox/peers.
package bench

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Link is a network of a given round trip and uplink in front of handlers.
type Link struct {
	RTT  time.Duration
	Rate float64 // bytes per second upwards

	// Routes are handlers by host name; Default takes the rest.
	Routes  map[string]http.Handler
	Default http.Handler

	mu   sync.Mutex
	free time.Time // when the uplink has sent what is queued

	requests atomic.Int64 // to Default and Routes alike
	sent     atomic.Int64
}

// Serve listens on loopback until the context ends and returns the address.
func (l *Link) Serve(ctx context.Context) (string, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	srv := &http.Server{Handler: l, ReadHeaderTimeout: time.Minute}
	go func() { _ = srv.Serve(&slowListener{Listener: ln, l: l}) }()
	context.AfterFunc(ctx, func() { _ = srv.Close() })
	return ln.Addr().String(), nil
}

// ServeHTTP delays, throttles and passes on. A request to a proxy carries the
// host in its URL, one to a server in its header; both are served.
func (l *Link) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if pause(r.Context(), l.RTT) != nil {
		return
	}
	next, ok := l.Routes[r.Host]
	if !ok {
		next = l.Default
		l.requests.Add(1)
	}
	r.Body = &throttled{ReadCloser: r.Body, ctx: r.Context(), l: l}
	next.ServeHTTP(w, r)
}

// Reset returns the counters and sets them to zero.
func (l *Link) Reset() (requests, sent int64) { return l.requests.Swap(0), l.sent.Swap(0) }

// queued is for how long a sender's socket buffer keeps a link busy while this
// process is late to read on: 64 KiB at 12.5 MB/s. Without it the link would
// lose what timers and the scheduler lose.
const queued = 5 * time.Millisecond

// take waits until n more bytes are through.
func (l *Link) take(ctx context.Context, n int) error {
	l.mu.Lock()
	now := time.Now()
	if idle := now.Add(-queued); l.free.Before(idle) {
		l.free = idle
	}
	l.free = l.free.Add(time.Duration(float64(n) / l.Rate * float64(time.Second)))
	until := l.free.Sub(now)
	l.mu.Unlock()
	l.sent.Add(int64(n))
	return pause(ctx, until)
}

type throttled struct {
	io.ReadCloser
	ctx context.Context
	l   *Link
}

// chunk keeps one connection from holding the uplink: 1.3 ms of it.
const chunk = 16 << 10

func (t *throttled) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p[:min(len(p), chunk)])
	if n > 0 {
		if werr := t.l.take(t.ctx, n); werr != nil {
			return n, werr
		}
	}
	return n, err
}

// slowListener adds the round trip of a connection's opening to what is read
// from it first.
type slowListener struct {
	net.Listener
	l *Link
}

func (s *slowListener) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &slowConn{Conn: c, until: time.Now().Add(s.l.RTT)}, nil
}

type slowConn struct {
	net.Conn
	until time.Time
	once  sync.Once
}

func (c *slowConn) Read(p []byte) (int, error) {
	c.once.Do(func() { _ = pause(context.Background(), time.Until(c.until)) })
	return c.Conn.Read(p)
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
