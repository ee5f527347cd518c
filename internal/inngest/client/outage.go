package client

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/wire"
	"github.com/joelhooks/gh-sbw/internal/waiting"
)

// askAgain is how long a request waits before it is sent again in an outage.
const askAgain = time.Second

type outageKey struct{}

// WithOutageNote returns a context under which requests report, once each, that
// they wait for a server which does not answer.
func WithOutageNote(ctx context.Context, note func(error)) context.Context {
	return context.WithValue(ctx, outageKey{}, note)
}

// send sends a request. One that only reads survives an outage: it is sent again
// until a server that has answered before answers again, for as long as the
// client's patience lasts. A server's pod is replaced within that time, and whoever
// is in the middle of a rollout must not take it for the fault of the new version.
// A request that changes something may have been carried out, so it is sent once,
// unless sending it again changes nothing.
func (c *Client) send(ctx context.Context, x wire.Request, repeatable bool) (*wire.Reply, error) {
	var since time.Time
	for {
		sent := time.Now()
		r, err := c.end.Send(ctx, wire.ServerEnd, x)
		if err == nil {
			c.clock.Read(r.Header, sent, time.Now())
		}
		away := errors.Is(err, wire.ErrNoAnswer) || err == nil && isGateway(r)
		if !away && err == nil {
			c.answered.Store(true)
		}
		if away {
			c.outages.Add(1)
		}
		if !away || !repeatable || !c.answered.Load() {
			return r, err
		}
		if since.IsZero() {
			since = time.Now()
			if note, ok := ctx.Value(outageKey{}).(func(error)); ok && c.patience > 0 {
				if err == nil {
					note(wire.Refused("answer", r))
				} else {
					note(err)
				}
			}
		}
		if time.Since(since) >= c.patience {
			return r, err
		}
		if err := waiting.For(ctx, askAgain); err != nil {
			return nil, err
		}
	}
}

// Outages counts the requests that the server has not answered. A number that has
// grown means that the server was away in between.
func (c *Client) Outages() int64 { return c.outages.Load() }

// isGateway reports whether an answer comes from a proxy that does not reach the
// server.
func isGateway(r *wire.Reply) bool {
	switch r.Status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return !r.IsJSON()
	}
	return false
}
