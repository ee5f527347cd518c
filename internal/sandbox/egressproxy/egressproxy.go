// Package egressproxy is the proxy between the sandbox and the internet. It is
// a proxy for HTTPS (CONNECT) that answers requests for some hosts itself,
// with certificates of the sandbox's own authority, and tunnels to all others.
//
// So ghcr.io and api.github.com keep their names, TLS and HTTP/2. Programs in
// the sandbox need only the settings that people behind a company's proxy
// have: HTTPS_PROXY and a bundle of certificates.
package egressproxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/joelhooks/gh-sbw/internal/sandbox/pki"
)

// Options configure a Proxy.
type Options struct {
	CA *pki.CA
	// Hosts maps the hosts that the proxy answers itself, on port 443 only, to
	// their handlers.
	Hosts map[string]http.Handler
	// Parent is the proxy through which all other hosts are reached; nil means
	// directly.
	Parent *url.URL
	Log    *log.Logger
}

// Proxy is an http.Handler that accepts CONNECT.
type Proxy struct {
	opts  Options
	conns chan net.Conn
	inner *http.Server

	mu    sync.Mutex
	certs map[string]*tls.Certificate
}

// New creates a Proxy; Close ends it.
func New(o Options) *Proxy {
	p := &Proxy{opts: o, conns: make(chan net.Conn), certs: map[string]*tls.Certificate{}}
	p.inner = &http.Server{
		Handler:           http.HandlerFunc(p.answer),
		TLSConfig:         &tls.Config{GetCertificate: p.certificate},
		ErrorLog:          o.Log,
		ReadHeaderTimeout: time.Minute,
	}
	return p
}

// Serve accepts connections on l until ctx ends.
func (p *Proxy) Serve(ctx context.Context, l net.Listener) error {
	outer := &http.Server{Handler: p, ErrorLog: p.opts.Log, ReadHeaderTimeout: time.Minute}
	failed := make(chan error, 2)
	go func() { failed <- p.inner.ServeTLS(handed{p.conns, l.Addr(), ctx.Done()}, "", "") }()
	go func() { failed <- outer.Serve(l) }()
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	return errors.Join(err, outer.Close(), p.inner.Close())
}

// answer passes a decrypted request to its host's handler.
func (p *Proxy) answer(w http.ResponseWriter, r *http.Request) {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	h, ok := p.opts.Hosts[host]
	if !ok {
		http.Error(w, host+" is not a host that this proxy answers", http.StatusMisdirectedRequest)
		return
	}
	h.ServeHTTP(w, r)
}

// ServeHTTP handles CONNECT and refuses every other method.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(w, "this proxy is for HTTPS only: use CONNECT host:443", http.StatusMethodNotAllowed)
		return
	}
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_, ours := p.opts.Hosts[host]
	ours = ours && port == "443"
	var far net.Conn
	if !ours {
		if far, err = p.dial(r.Context(), r.Host); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
	}
	near, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		if far != nil {
			far.Close()
		}
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if _, err := io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		near.Close()
		if far != nil {
			far.Close()
		}
		return
	}
	conn := near
	if buffered.Reader.Buffered() > 0 {
		conn = &early{Conn: near, r: buffered.Reader} // an eager client has already sent its first bytes
	}
	if ours {
		select {
		case p.conns <- conn:
		case <-r.Context().Done():
			conn.Close()
		}
		return
	}
	splice(conn, far)
}

// dial connects to a host that the proxy does not answer itself.
func (p *Proxy) dial(ctx context.Context, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: 30 * time.Second}
	if p.opts.Parent == nil {
		return d.DialContext(ctx, "tcp", addr)
	}
	conn, err := d.DialContext(ctx, "tcp", p.opts.Parent.Host)
	if err != nil {
		return nil, err
	}
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: addr}, Host: addr, Header: http.Header{}}
	if u := p.opts.Parent.User; u != nil {
		auth := http.Request{Header: http.Header{}}
		password, _ := u.Password()
		auth.SetBasicAuth(u.Username(), password)
		req.Header.Set("Proxy-Authorization", auth.Header.Get("Authorization"))
	}
	if err := req.Write(conn); err != nil {
		conn.Close()
		return nil, err
	}
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, req) //nolint:bodyclose // what follows the answer to CONNECT is the tunnel
	if err != nil {
		conn.Close()
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		conn.Close()
		return nil, fmt.Errorf("proxy %s: CONNECT %s: %s", p.opts.Parent.Host, addr, resp.Status)
	}
	return &early{Conn: conn, r: r}, nil
}

// splice copies in both directions until both have ended.
func splice(a, b net.Conn) {
	var both sync.WaitGroup
	pipe := func(to, from net.Conn) {
		defer both.Done()
		_, _ = io.Copy(to, from) // a tunnel ends when either side closes it
		to.Close()
		from.Close()
	}
	both.Add(2)
	go pipe(a, b)
	go pipe(b, a)
	both.Wait()
}

// certificate creates one certificate per host, on first use.
func (p *Proxy) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c, ok := p.certs[hello.ServerName]; ok {
		return c, nil
	}
	if _, ok := p.opts.Hosts[hello.ServerName]; !ok {
		return nil, fmt.Errorf("%q is not a host that this proxy answers", hello.ServerName)
	}
	cert, key, err := p.opts.CA.Issue(hello.ServerName)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	p.certs[hello.ServerName] = &pair
	return &pair, nil
}

// early is a connection with some bytes that were read in advance.
type early struct {
	net.Conn
	r *bufio.Reader
}

func (e *early) Read(b []byte) (int, error) { return e.r.Read(b) }

// handed is a listener for connections that something else has accepted.
type handed struct {
	conns <-chan net.Conn
	addr  net.Addr
	done  <-chan struct{}
}

func (h handed) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

func (h handed) Close() error   { return nil }
func (h handed) Addr() net.Addr { return h.addr }
