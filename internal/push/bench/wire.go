package bench

import (
	"context"
	"io"
	"net"
	"time"

	"github.com/joelhooks/gh-sbw/internal/waiting"
)

// wire forwards connections to an address like a network: each byte arrives
// half a round trip later, and all share l's uplink. Unlike Link it knows
// nothing about HTTP, so that a protocol's own flow control pays for the
// distance.
func wire(ctx context.Context, l *Link, to string) (addr string, err error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	context.AfterFunc(ctx, func() { _ = ln.Close() })
	go func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer client.Close()
				// Opening a connection takes a whole round trip; the kernel
				// answered the client at once.
				if waiting.For(ctx, l.RTT) != nil {
					return
				}
				server, err := new(net.Dialer).DialContext(ctx, "tcp", to)
				if err != nil {
					return
				}
				defer server.Close()
				stop := context.AfterFunc(ctx, func() { _, _ = client.Close(), server.Close() })
				defer stop()
				up := make(chan struct{})
				go func() {
					defer close(up)
					later(ctx, server, &throttled{from: client, ctx: ctx, l: l}, l.RTT/2)
				}()
				later(ctx, client, server, l.RTT/2)
				<-up
			}()
		}
	}()
	return ln.Addr().String(), nil
}

// later copies what it reads after a delay.
func later(ctx context.Context, to io.Writer, from io.Reader, delay time.Duration) {
	// More than what is in transit at 12.5 MB/s and 20 ms: 16 pieces.
	pieces := make(chan packet, 64)
	go func() {
		defer close(pieces)
		for {
			buf := make([]byte, chunk)
			n, err := from.Read(buf)
			if n > 0 {
				pieces <- packet{buf[:n], time.Now().Add(delay)}
			}
			if err != nil {
				return
			}
		}
	}()
	broken := false
	for p := range pieces {
		if broken || waiting.For(ctx, time.Until(p.at)) != nil {
			broken = true
			continue
		}
		_, err := to.Write(p.bytes)
		broken = err != nil
	}
	if c, ok := to.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
}
