package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/forward"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// The API server's proxy speaks only HTTP/1.1 to a pod, so any other protocol
// needs a port-forward.

// quiet is how long a connection must stay without an error before the port
// counts as open: a port-forward is accepted before the kubelet connects to the
// pod, and "connection refused" arrives only afterwards.
const quiet = time.Second

// viaH2C requests the page over HTTP/2 without TLS, with prior knowledge.
func viaH2C(ctx context.Context, conn *cluster.Conn, o Options, pod string) (response, error) {
	return o.forwarded(conn, pod, func(tunnel *forward.Tunnel) (response, error) {
		transport := tunnel.Transport()
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetUnencryptedHTTP2(true)
		var failed atomic.Pointer[error]
		transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := tunnel.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &remembering{Conn: c, failed: &failed}, nil
		}
		r, err := o.page(ctx, tunnel, transport)
		if why := failed.Load(); err != nil && why != nil {
			return r, *why
		}
		return r, err
	})
}

// remembering keeps the first error of a connection. The HTTP/2 client may report
// only that it could not establish one, without the kubelet's "connection refused".
type remembering struct {
	net.Conn
	failed *atomic.Pointer[error]
}

func (c *remembering) keep(err error) {
	if err != nil && !errors.Is(err, io.EOF) {
		c.failed.CompareAndSwap(nil, &err)
	}
}

func (c *remembering) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.keep(err)
	return n, err
}

func (c *remembering) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.keep(err)
	return n, err
}

// viaTCP opens a connection without sending anything.
func viaTCP(ctx context.Context, conn *cluster.Conn, o Options, pod string) (response, error) {
	return o.forwarded(conn, pod, func(tunnel *forward.Tunnel) (response, error) {
		c, err := tunnel.DialContext(ctx, "", "")
		if err != nil {
			return response{}, err
		}
		defer c.Close()
		return response{}, accepted(ctx, c)
	})
}

// accepted waits until the other side has sent something, has closed the
// connection, or has been silent for a while. Only an error other than the end of
// the connection means that it was not accepted.
func accepted(ctx context.Context, c net.Conn) error {
	read := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		read <- err
	}()
	still := time.NewTimer(quiet)
	defer still.Stop()
	select {
	case err := <-read:
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	case <-still.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// through calls ask with a port-forward to the pod.
func (o Options) through(conn *cluster.Conn, pod string, ask func(*forward.Tunnel) (response, error)) (response, error) {
	tunnel, err := forward.New(conn, forward.Target{Namespace: o.Namespace, Pod: pod, Port: o.Port})
	if err != nil {
		return response{}, err
	}
	defer tunnel.Close()
	r, err := ask(tunnel)
	r.via = "port-forward"
	return r, err
}

// forwarded is like through, for protocols that need a port-forward. If that is
// forbidden, the error is a Finding.
func (o Options) forwarded(conn *cluster.Conn, pod string, ask func(*forward.Tunnel) (response, error)) (response, error) {
	r, err := o.through(conn, pod, ask)
	if errors.Is(err, forward.ErrForbidden) {
		err = o.forbidden(pod, err, "on a port",
			"ask for create on pods/portforward, which a probe of type "+o.Type+" needs, or use another probe.type")
	}
	return r, err
}

// forbidden returns the Finding for a pod that this user may not reach.
func (o Options) forbidden(pod string, refused error, how, fix string) *pipeline.Finding {
	return &pipeline.Finding{
		Code:     CodeForbidden,
		Severity: pipeline.Error,
		Where:    o.Namespace + "/pod/" + pod,
		Err:      fmt.Errorf("%w: %w", errFinal, refused),
		What:     "you may not reach pod " + pod + " " + how,
		Why:      termtext.Line(refused.Error()),
		Fix:      fix,
	}
}
