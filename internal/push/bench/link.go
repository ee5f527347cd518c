// Package bench compares a publish with crane, regctl and skopeo for the same
// image, over one simulated uplink. Run it like this:
//
//	go -C internal/sandbox/peers build -o ~/bin tool     # crane and regctl; skopeo is Debian's
//	go test -run '^$' -bench . -benchtime 5x -timeout 40m ./internal/push/bench
//
// The link adds 40 ms to each request and to each new connection, and all
// connections together send at 12.5 MB/s. The registry behind it is an
// imitation of GHCR over go-containerregistry's registry, or over Debian's
// docker-registry with SBW_BENCH_UPSTREAM=docker-registry. The latter does not
// accept a small blob in a single POST, which costs one more request; whether
// GHCR does is not known. Every benchmark reports the median of its runs as a
// ratio: of bytes over bandwidth, or of what crane needed in the same run.
// Times differ between machines, ratios hardly do. On a busy machine the best
// run (x-limit-best) is more meaningful than the median. SBW_BENCH_TIMELINE=1
// prints when each request arrived, when its body started and finished, and
// when it was answered.
//
// The benchmarks measure a whole process, `gh-sbw publish TAG --layout DIR`,
// with the binary that SBW_BENCH_GH_SBW names or else one that is built for
// them. The peers come from internal/sandbox/peers.
//
// # How low it can go
//
// 28.2 MB take 2258 ms. Before the first byte there are a connection, the
// exchange of the credential, the POST that opens an upload and the latency of
// the PUT that fills it: 40 ms each, one after the other. After the last byte
// come the manifest's PUT, the check that it can be read, and the PUT of
// latest. These seven take 280 ms, a ratio of 1.124. The check is sent 10 ms
// after the manifest, on another connection, and counts only if its answer says
// that the manifest exists: 250 ms, or 1.111. A process also has to start and
// end, for which crane's `version` takes 20 ms. So 1.12 is the limit, and 1.10
// would need one round trip less. Considered and rejected:
//
//   - Sending the first content before the registry has allowed the push. Nothing is sent before the preflight has finished.
//   - Sending the content with the POST. A registry that does not accept this, such as
//     docker-registry, would receive the layer twice; above 64 KiB that is too great a risk.
//   - Opening a request early and holding its body back. That would save a round trip on this link, but not on a real one.
//   - Guessing GHCR's bearer, which is opaque.
//   - Moving latest together with TAG: it would point to something that nobody has read back.
package bench

import (
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/joelhooks/gh-sbw/internal/waiting"
)

// Link simulates a network with a given round trip and uplink in front of
// handlers.
type Link struct {
	RTT  time.Duration
	Rate float64 // bytes per second upwards

	// Routes are handlers by host name; Default takes the rest.
	Routes  map[string]http.Handler
	Default http.Handler

	mu   sync.Mutex
	free time.Time // when the uplink will have sent what is queued

	requests atomic.Int64 // of Default and Routes together
	sent     atomic.Int64

	seenMu sync.Mutex
	seen   []Seen
}

// Seen records when one request passed through a link.
type Seen struct {
	What                string // method and path
	Arrived, Passed     time.Time
	FirstByte, LastByte time.Time // of its body; zero without a body
	Answered            time.Time
	Bytes               int64
}

// Seen returns what has passed since the last call, by arrival.
func (l *Link) Seen() []Seen {
	l.seenMu.Lock()
	defer l.seenMu.Unlock()
	all := l.seen
	l.seen = nil
	slices.SortFunc(all, func(a, b Seen) int { return a.Arrived.Compare(b.Arrived) })
	return all
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

// ServeHTTP delays, throttles and forwards. A request to a proxy has the host
// in its URL, one to a server in its header; both work.
func (l *Link) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := Seen{What: r.Method + " " + r.URL.RequestURI(), Arrived: time.Now()}
	if waiting.For(r.Context(), l.RTT) != nil {
		return
	}
	at.Passed = time.Now()
	next, ok := l.Routes[r.Host]
	if !ok {
		next = l.Default
		l.requests.Add(1)
	}
	body := &throttled{from: r.Body, ctx: r.Context(), l: l}
	if r.ContentLength != 0 {
		r.Body = body
		if r.Header.Get("Expect") == "" {
			body.once.Do(body.start) // its sender does not wait for anybody
		}
	}
	next.ServeHTTP(w, r)
	at.FirstByte, at.LastByte, at.Bytes = body.passed()
	at.Answered = time.Now()
	l.seenMu.Lock()
	defer l.seenMu.Unlock()
	l.seen = append(l.seen, at)
}

// Reset returns the counters and sets them to zero.
func (l *Link) Reset() (requests, sent int64) { return l.requests.Swap(0), l.sent.Swap(0) }

// take waits until n bytes that became ready at the given time have passed. The
// link continues from where it was, however late this process wakes up: what
// was waiting went out back to back. It never goes back before ready, so that a
// pause does not speed up what follows it.
func (l *Link) take(ctx context.Context, n int, ready time.Time) error {
	l.mu.Lock()
	if l.free.Before(ready) {
		l.free = ready
	}
	l.free = l.free.Add(time.Duration(float64(n) / l.Rate * float64(time.Second)))
	until := time.Until(l.free)
	l.mu.Unlock()
	l.sent.Add(int64(n))
	return waiting.For(ctx, until)
}

const (
	// chunk is 1.3 ms of the uplink, so that one connection cannot monopolise
	// it.
	chunk = 16 << 10
	// buffered is the number of chunks in the sockets of sender and receiver:
	// 256 KiB each, which is 20 ms of the uplink and a sixteenth of what Linux
	// allows a sender (tcp_wmem). They keep the link busy while a process waits
	// for the processor, as on a real one.
	buffered = 16
)

// packet is a chunk with the time at which it was ready to be sent.
type packet struct {
	bytes []byte
	at    time.Time
}

// throttled is what arrives over the link.
type throttled struct {
	from io.ReadCloser
	ctx  context.Context
	l    *Link

	once    sync.Once
	arrived chan []byte
	end     error // set before arrived is closed
	rest    []byte

	mu          sync.Mutex
	first, last time.Time // when bytes passed
	bytes       int64
}

// start lets the data flow, whether or not anybody reads it yet.
func (t *throttled) start() {
	queue := make(chan packet, buffered)
	t.arrived = make(chan []byte, buffered)
	var readErr error // set before queue is closed
	go func() {
		defer close(queue)
		for readErr == nil {
			buf := make([]byte, chunk)
			var n int
			n, readErr = t.from.Read(buf)
			if n == 0 {
				continue
			}
			select {
			case queue <- packet{buf[:n], time.Now()}:
			case <-t.ctx.Done():
				readErr = t.ctx.Err()
			}
		}
	}()
	go func() {
		defer close(t.arrived)
		for p := range queue {
			t.passing(0)
			if t.end = t.l.take(t.ctx, len(p.bytes), p.at); t.end != nil {
				return
			}
			t.passing(len(p.bytes))
			select {
			case t.arrived <- p.bytes:
			case <-t.ctx.Done():
				t.end = t.ctx.Err()
				return
			}
		}
		t.end = readErr
	}()
}

func (t *throttled) passing(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = time.Now()
	if t.first.IsZero() {
		t.first = t.last
	}
	t.bytes += int64(n)
}

func (t *throttled) passed() (first, last time.Time, bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.first, t.last, t.bytes
}

func (t *throttled) Read(p []byte) (int, error) {
	t.once.Do(t.start)
	if len(t.rest) == 0 {
		var ok bool
		if t.rest, ok = <-t.arrived; !ok {
			return 0, t.end
		}
	}
	n := copy(p, t.rest)
	t.rest = t.rest[n:]
	return n, nil
}

func (t *throttled) Close() error { return t.from.Close() }

// slowListener adds the round trip of opening a connection to its first read.
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
	c.once.Do(func() { _ = waiting.For(context.Background(), time.Until(c.until)) })
	return c.Conn.Read(p)
}
