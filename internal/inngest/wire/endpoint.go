// Package wire sends HTTP requests to an Inngest server or to a worker. client
// and sdk build on it: an Endpoint says where the other side is dialled and,
// separately, the URL under which the server knows the worker; keys never appear
// in errors or logs.
package wire

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// requestTimeout bounds one request to either side. cancelRun answers only
// after half a second and up to six, all others at once.
const requestTimeout = 15 * time.Second

// Endpoint is one side of the conversation: where it is dialled, and through
// what.
type Endpoint struct {
	// BaseURL is dialled: "http://127.0.0.1:38288" of a port-forward, or the
	// URL that a person gave. A path in it is kept as a prefix.
	BaseURL string
	// HTTP sends the requests; http.DefaultClient when nil. A port-forward
	// that needs no local port puts itself into its Transport.
	HTTP *http.Client
	// Advertised is the worker's URL as the server is to call it, without the
	// SDK's path: "http://system-bus-worker:3111". Its host goes into the Host
	// header, since an SDK without INNGEST_SERVE_HOST (v3) or
	// INNGEST_SERVE_ORIGIN (v4) registers the host it was called by.
	Advertised string
	// Timeout bounds each request; 15 s when zero.
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

// Base parses BaseURL strictly: a typo must not become a request to
// somewhere else.
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
