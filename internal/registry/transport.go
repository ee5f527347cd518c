package registry

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

// NewTransport returns the connection pool of one run. Together with the first
// connection to a host, it opens as many further ones as spare says, so that an
// upload that is about to start does not have to wait for a handshake.
//
// HTTP/2 is off. It sends all uploads to a host through one connection, whose
// flow-control window is set by the server. With round trips of tens of
// milliseconds, this limits a push to a few MB/s (moby/buildkit#1420,
// go-containerregistry#799). BenchmarkProtocol in internal/push/bench compares
// the two.
//
// Compression is off because layers are compressed already, and because a
// manifest's digest is computed from its exact bytes.
func NewTransport(spare int) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	d := &dialer{spare: spare, tls: tlsConfig}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			return d.dial(ctx, addr, false)
		},
		DialTLSContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			return d.dial(ctx, addr, true)
		},
		TLSClientConfig:     tlsConfig,
		TLSHandshakeTimeout: handshakeTimeout,
		Protocols:           protocols,
		DisableCompression:  true,
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     90 * time.Second,
		// Larger than Go's 4 KiB, so that an upload needs fewer system calls.
		WriteBufferSize: 64 << 10,
	}
}

const (
	dialTimeout      = 15 * time.Second
	handshakeTimeout = 15 * time.Second
	// spareLife is how long an unused spare connection is kept. Servers close idle
	// connections after about a minute.
	spareLife = 10 * time.Second
)

// dialer opens connections, some of them in advance.
type dialer struct {
	spare int
	tls   *tls.Config

	mu    sync.Mutex
	ahead map[string]chan opened // by address; each channel receives one result for each dial that was started
}

type opened struct {
	conn net.Conn
	at   time.Time
}

func (d *dialer) dial(ctx context.Context, addr string, secure bool) (net.Conn, error) {
	key := addr
	if secure {
		key = "tls " + addr
	}
	d.mu.Lock()
	ready, begun := d.ahead[key]
	if !begun && d.spare > 0 {
		if d.ahead == nil {
			d.ahead = map[string]chan opened{}
		}
		ready = make(chan opened, d.spare)
		d.ahead[key] = ready
		for range d.spare {
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), dialTimeout+handshakeTimeout)
				defer cancel()
				conn, err := d.open(ctx, addr, secure)
				if err != nil {
					conn = nil // the request that needs a connection dials itself and gets the error
				}
				ready <- opened{conn, time.Now()}
				time.AfterFunc(spareLife, func() { drop(ready) })
			}()
		}
		d.mu.Unlock()
		return d.open(ctx, addr, secure)
	}
	d.mu.Unlock()
	return d.take(ctx, ready, addr, secure)
}

// drop closes one connection that was not used.
func drop(ready chan opened) {
	select {
	case o := <-ready:
		if o.conn != nil {
			_ = o.conn.Close()
		}
	default:
	}
}

// take returns a connection that was opened in advance, or dials one.
func (d *dialer) take(ctx context.Context, ready chan opened, addr string, secure bool) (net.Conn, error) {
	for {
		select {
		case o := <-ready:
			switch {
			case o.conn == nil:
			case time.Since(o.at) > spareLife:
				_ = o.conn.Close()
			default:
				return o.conn, nil
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		default:
			return d.open(ctx, addr, secure)
		}
	}
}

func (d *dialer) open(ctx context.Context, addr string, secure bool) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext(ctx, "tcp", addr)
	if err != nil || !secure {
		return conn, err
	}
	cfg := d.tls.Clone()
	if cfg.ServerName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			_ = conn.Close()
			return nil, err
		}
		cfg.ServerName = host
	}
	tc := tls.Client(conn, cfg)
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return tc, nil
}
