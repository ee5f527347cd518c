// Package wire sends HTTP requests to an Inngest server or to a worker.
// Packages client and sdk build on it. An Endpoint contains the address to
// dial and, separately, the URL under which the server knows the worker. Keys
// never appear in errors or logs.
package wire

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// requestTimeout limits one request to either side. cancelRun takes between
// half a second and six seconds; all other requests are answered immediately.
const requestTimeout = 15 * time.Second

// Endpoint is one side of the conversation: what to dial, and how.
type Endpoint struct {
	// BaseURL is what is dialled: "http://127.0.0.1:38288" of a port-forward,
	// or the URL that a person gave. A path in it is kept as a prefix.
	BaseURL string
	// HTTP sends the requests; nil means http.DefaultClient. A port-forward
	// without a local port is a Transport of this client.
	HTTP *http.Client
	// Advertised is the worker's URL for the server, without the SDK's path:
	// "http://system-bus-worker:3111". Its host is sent in the Host header,
	// because an SDK without INNGEST_SERVE_HOST (v3) or INNGEST_SERVE_ORIGIN
	// (v4) registers the host by which it was called.
	Advertised string
	// Timeout limits each request; zero means 15 s.
	Timeout time.Duration
}

func (e Endpoint) client() *http.Client {
	if e.HTTP == nil {
		return http.DefaultClient
	}
	return e.HTTP
}

func (e Endpoint) timeout() time.Duration {
	if e.Timeout == 0 {
		return requestTimeout
	}
	return e.Timeout
}

// Base parses BaseURL strictly: a typo must not send requests somewhere else.
func (e Endpoint) Base(what string) (*url.URL, error) {
	u, err := url.Parse(e.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("%s URL: %w", what, err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("%s URL %q: want http://HOST:PORT or https://HOST", what, e.BaseURL)
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	u.RawQuery, u.Fragment = "", ""
	return u, nil
}
