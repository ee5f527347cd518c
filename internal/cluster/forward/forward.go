// Package forward connects to a pod through the API server without opening a
// port on this machine. New returns a Tunnel to a Target, whose Transport sends
// HTTP requests: each connection is a pair of streams of the port-forward
// protocol, which an http.Transport dials like TCP.
//
// A Target is a Service or a pod. For a Service a ready pod is chosen; when
// that pod goes away, the next connection goes to another one. If
// port-forwarding is not allowed, Direct lists the addresses of a Service
// outside the cluster.
package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"

	"github.com/joelhooks/gh-sbw/internal/cluster"
)

// Target is where connections go: a Service or a Pod, by name.
type Target struct {
	Namespace string
	Service   string
	Pod       string
	// Port is the Service's port, or the pod's.
	Port int
}

func (t Target) String() string {
	if t.Pod != "" {
		return fmt.Sprintf("pod/%s:%d", t.Pod, t.Port)
	}
	return fmt.Sprintf("service/%s:%d", t.Service, t.Port)
}

// URL is the base of requests through the Tunnel: its host is the name that a
// pod in the cluster would use.
func (t Target) URL() *url.URL {
	host := t.Service + "." + t.Namespace + ".svc"
	if t.Pod != "" {
		host = t.Pod + "." + t.Namespace + ".pod"
	}
	return &url.URL{Scheme: "http", Host: net.JoinHostPort(host, fmt.Sprint(t.Port))}
}

// Tunnel connects to one Target. Its methods may be called concurrently.
type Tunnel struct {
	target Target
	kube   kubernetes.Interface
	config *rest.Config

	mu     sync.Mutex
	live   *link
	next   int // request ID of the next pair of streams
	closed bool
	avoid  map[string]bool // pods that were lost, which are tried last
}

// link is one upgraded connection to one pod.
type link struct {
	httpstream.Connection
	pod  string
	port int
}

// New returns a Tunnel; it connects when it is first used.
func New(conn *cluster.Conn, t Target) (*Tunnel, error) {
	kube, err := conn.Kube()
	if err != nil {
		return nil, cluster.Explain("connect to the cluster", err)
	}
	return &Tunnel{target: t, kube: kube, config: conn.Config, avoid: map[string]bool{}}, nil
}

// Target returns the target of the tunnel.
func (t *Tunnel) Target() Target { return t.target }

// Pod returns the pod that the tunnel is currently connected to, if any.
func (t *Tunnel) Pod() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.live == nil {
		return ""
	}
	return t.live.pod
}

// Transport returns an http.RoundTripper over the tunnel: whatever host a request names, it
// goes to the Target. A request that never reached a pod, because the pod was replaced, is
// sent once more, since the Service may select another pod by now.
func (t *Tunnel) Transport() *Transport {
	return &Transport{http.Transport{
		DialContext:         t.DialContext,
		MaxIdleConns:        4,
		IdleConnTimeout:     30 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second,
	}}
}

// Transport sends requests through a Tunnel.
type Transport struct{ http.Transport }

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.Transport.RoundTrip(req)
	if err == nil || !errors.Is(err, errNotDelivered) || req.Context().Err() != nil {
		return resp, err
	}
	again := req.Clone(req.Context())
	if req.Body != nil && req.Body != http.NoBody {
		if req.GetBody == nil {
			return nil, err
		}
		body, berr := req.GetBody()
		if berr != nil {
			return nil, errors.Join(err, berr)
		}
		again.Body = body
	}
	return t.Transport.RoundTrip(again)
}

// DialContext opens a connection to the Target; network and address are
// ignored. A link that turns out to be dead is replaced once, by one to another
// pod if possible. Findings: service-unknown, service-unready, port-unknown,
// forward-forbidden, and those of cluster.Explain.
func (t *Tunnel) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	var last error
	for range 2 {
		l, err := t.link(ctx)
		if err != nil {
			return nil, err
		}
		conn, err := t.open(ctx, l)
		if err == nil {
			return conn, nil
		}
		last = err
		t.drop(l)
	}
	return nil, fmt.Errorf("connect to %s: %w", t.target, last)
}

// Close ends the tunnel and every connection through it.
func (t *Tunnel) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.live == nil {
		return nil
	}
	err := t.live.Close()
	t.live = nil
	return err
}

var errClosed = errors.New("the tunnel is closed")

// link returns the upgraded connection, and creates it if none is alive.
func (t *Tunnel) link(ctx context.Context) (*link, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, errClosed
	}
	if t.live != nil {
		select {
		case <-t.live.CloseChan():
			t.avoid[t.live.pod] = true
			t.live = nil
		default:
			return t.live, nil
		}
	}
	pod, port, err := t.resolve(ctx)
	if err != nil {
		return nil, err
	}
	l, err := t.connect(ctx, pod, port)
	if err != nil {
		t.avoid[pod] = true
		return nil, err
	}
	t.live = l
	return l, nil
}

func (t *Tunnel) drop(l *link) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.live == l {
		t.avoid[l.pod] = true
		t.live = nil
	}
	_ = l.Close() // it is dead; open has reported why
}

// connect upgrades a request to pods/NAME/portforward: to WebSocket, which the
// API server supports since 1.31, or to SPDY if that is not accepted (older
// servers, proxies), like kubectl.
func (t *Tunnel) connect(ctx context.Context, pod string, port int) (*link, error) {
	target := t.kube.CoreV1().RESTClient().Post().Resource("pods").Namespace(t.target.Namespace).Name(pod).SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(t.config)
	if err != nil {
		return nil, err
	}
	old := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, target)
	socket, err := portforward.NewSPDYOverWebsocketDialerForStreaming(target, t.config)
	if err != nil {
		return nil, err
	}
	dialer := portforward.NewFallbackDialerForStreaming(socket, old, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
	// The dialers ignore the context, so a late result is closed.
	type answer struct {
		conn httpstream.Connection
		err  error
	}
	dialed := make(chan answer, 1)
	go func() {
		conn, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
		dialed <- answer{conn, err}
	}()
	select {
	case <-ctx.Done():
		go func() {
			if a := <-dialed; a.err == nil {
				_ = a.conn.Close()
			}
		}()
		return nil, fmt.Errorf("port-forward to pod/%s: %w", pod, context.Cause(ctx))
	case a := <-dialed:
		if a.err != nil {
			return nil, explain(pod, a.err)
		}
		return &link{Connection: a.conn, pod: pod, port: port}, nil
	}
}

// openTimeout limits how long it may take to open a pair of streams on a working link.
const openTimeout = 10 * time.Second

// open opens the pair of streams that makes a connection. The SPDY library
// waits 30 s for a reply even if the link ends meanwhile, and ignores the
// context; so it runs in the background.
func (t *Tunnel) open(ctx context.Context, l *link) (net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, openTimeout, errors.New("the pod's node does not answer"))
	defer cancel()
	type answer struct {
		conn *conn
		err  error
	}
	opened := make(chan answer, 1)
	go func() {
		c, err := t.streams(l)
		opened <- answer{c, err}
	}()
	late := func() {
		if a := <-opened; a.err == nil {
			_ = a.conn.Close()
		}
	}
	select {
	case a := <-opened:
		if a.err != nil {
			return nil, a.err
		}
		go a.conn.listen()
		return a.conn, nil
	case <-l.CloseChan():
		go late()
		return nil, errors.New("the connection to pod " + l.pod + " has ended")
	case <-ctx.Done():
		go late()
		return nil, context.Cause(ctx)
	}
}

func (t *Tunnel) streams(l *link) (*conn, error) {
	t.mu.Lock()
	id := t.next
	t.next++
	t.mu.Unlock()
	header := http.Header{}
	header.Set(corev1.PortHeader, fmt.Sprint(l.port))
	header.Set(corev1.PortForwardRequestIDHeader, fmt.Sprint(id))
	header.Set(corev1.StreamType, corev1.StreamTypeError)
	complaints, err := l.CreateStream(header)
	if err != nil {
		return nil, err
	}
	_ = complaints.Close() // this side never writes to it
	header.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := l.CreateStream(header)
	if err != nil {
		l.RemoveStreams(complaints)
		return nil, err
	}
	return &conn{data: data, complaints: complaints, link: l, lost: func() { t.drop(l) }, heard: make(chan struct{})}, nil
}
