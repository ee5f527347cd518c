package conn

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/wire"
)

// Three clocks are involved: the Inngest server's, which all of its times refer to, the
// cluster's, by which pods and containers start, and this machine's, which may be
// minutes off both. The Date of an answer shows the first two.

// onServer converts a time of the cluster's clock into one of the Inngest server's.
// known is false if one of the two clocks could not be read.
func (c *Conn) onServer(ctx context.Context, t time.Time) (at time.Time, known bool) {
	server, known := c.Client.Ahead()
	if !known {
		if _, err := c.Client.Health(ctx); err != nil {
			return t, false
		}
		server, known = c.Client.Ahead()
	}
	cluster, ok := c.clusterAhead(ctx)
	if !known || !ok {
		return t, false
	}
	return t.Add(server - cluster), true
}

// OnServer converts a time of the cluster's clock into one of the Inngest server's. It
// returns the same time if one of the two clocks cannot be read.
func (c *Conn) OnServer(ctx context.Context, t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	at, _ := c.onServer(ctx, t)
	return at
}

// clusterAhead returns how far the API server's clock is ahead of this machine's; zero
// if they differ by no more than the whole seconds of its answer can show.
func (c *Conn) clusterAhead(ctx context.Context) (ahead time.Duration, known bool) {
	kube, err := c.Cluster.Kube()
	if err != nil {
		return 0, false
	}
	httpClient, err := c.Cluster.HTTP()
	if err != nil {
		return 0, false
	}
	url := kube.Discovery().RESTClient().Get().AbsPath("/version").URL()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url.String(), nil)
	if err != nil {
		return 0, false
	}
	sent := time.Now()
	resp, err := httpClient.Do(req)
	if err != nil {
		return 0, false // whatever else asks the API server reports it
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16)) // so that the connection is kept
	return wire.Ahead(resp.Header, sent, time.Now())
}
