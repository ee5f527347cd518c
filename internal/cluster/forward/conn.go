package forward

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"k8s.io/streaming/pkg/httpstream"

	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// conn is a data stream as a net.Conn. Deadlines are ignored: http.Transport
// sets none, and ends a request by closing the connection.
type conn struct {
	data, complaints httpstream.Stream
	link             *link
	lost             func() // drops the link
	once             sync.Once

	heard     chan struct{} // closed once complaint is final
	mu        sync.Mutex
	complaint error
}

// hearing limits how long the end of the data is delayed for the kubelet's
// possible error message: both streams end at about the same time.
const hearing = time.Second

// listen waits for the kubelet's error message, usually that nothing listens on the port, and
// then also ends the data.
func (c *conn) listen() {
	defer close(c.heard)
	message, err := io.ReadAll(io.LimitReader(c.complaints, 4<<10))
	if err != nil || len(message) == 0 {
		return
	}
	c.mu.Lock()
	c.complaint = fmt.Errorf("%w: pod %s: %s", errNotDelivered, c.link.pod, termtext.Line(string(message)))
	c.mu.Unlock()
	// The kubelet's link to the pod outlives the pod: otherwise every answer
	// would be "failed to find sandbox".
	c.lost()
}

// errNotDelivered marks errors of connections that never reached the pod.
var errNotDelivered = errors.New("not delivered")

func (c *conn) said(err error) error {
	if err == nil {
		return nil
	}
	wait := time.NewTimer(hearing)
	defer wait.Stop()
	select {
	case <-c.heard:
	case <-wait.C:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.complaint != nil {
		return c.complaint
	}
	return err
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.data.Read(p)
	return n, c.said(err)
}

func (c *conn) Write(p []byte) (int, error) {
	n, err := c.data.Write(p)
	return n, c.said(err)
}

func (c *conn) Close() error {
	var err error
	c.once.Do(func() {
		err = errors.Join(c.data.Reset(), c.complaints.Reset())
		c.link.RemoveStreams(c.data, c.complaints)
	})
	return err
}

type addr string

func (addr) Network() string  { return "port-forward" }
func (a addr) String() string { return string(a) }

func (c *conn) LocalAddr() net.Addr  { return addr("local") }
func (c *conn) RemoteAddr() net.Addr { return addr(fmt.Sprintf("%s:%d", c.link.pod, c.link.port)) }

func (c *conn) SetDeadline(time.Time) error      { return nil }
func (c *conn) SetReadDeadline(time.Time) error  { return nil }
func (c *conn) SetWriteDeadline(time.Time) error { return nil }
