// Package registry talks to one repository of a container registry. New returns a
// Client whose Do sends the right credential to the right host, retries requests
// that may succeed later, and fails with an error that contains the registry's
// own words.
//
// # Decisions
//
// This package handles challenges, the exchange of a credential for a bearer, and
// retries itself. go-containerregistry's transport asks /v2/ before anything
// else, ignores Retry-After, sends a consumed body again when a bearer expires in
// the middle of a push (its issue 1004) and cannot count requests. The names, the
// authenticators and the exchange itself come from that library.
//
// No Docker configuration is read: the only credential is Options.Auth.
//
// # Hosts
//
// A bearer is sent only to the registry's own scheme, host and port, whatever
// redirect or upload location a response names. The credential behind it is sent
// only to the token endpoint, which must be on the registry's own host (see
// realm.go for registries that have it on a sibling host).
package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/waiting"
)

// Options configure a Client.
type Options struct {
	// Auth is the credential; nil means anonymous.
	Auth authn.Authenticator
	// Push also asks for permission to write.
	Push bool
	// MountFrom lists other repositories of the same registry from which blobs may
	// be mounted. The bearer is requested with permission to read them.
	MountFrom []string
	// Credential names the credential in messages: "gh's login (keyring)".
	Credential string
	// ScopeRemedy says what to do if the credential lacks write:packages.
	ScopeRemedy string
	// Transport defaults to NewTransport(0).
	Transport http.RoundTripper
	// UserAgent is sent with each request.
	UserAgent string
	// Wait sleeps between tries; nil uses a timer.
	Wait func(context.Context, time.Duration) error
	// OnRetry is called for every request that will be sent again.
	OnRetry func(Retry)
	// Tries limits how often one request is sent; 0 means 8.
	Tries int
	// Stall is how long a request may make no progress at all before it is
	// aborted and sent again; 0 means one minute.
	Stall time.Duration
}

// Retry is a request that failed and will be sent again.
type Retry struct {
	Kind  string // Request.Kind
	Err   error
	After time.Duration
}

// Client talks to one repository.
type Client struct {
	repo     imageref.Repository
	reg      name.Registry // repo in the form that the exchange of credentials needs
	invalid  error         // for a repository that did not come from imageref.Parse
	opts     Options
	base     *url.URL // https://HOST
	http     *http.Client
	auth     *session
	requests atomic.Int64
	fastest  atomic.Int64 // nanoseconds; 0: no answer yet
	met      atomic.Bool  // the registry has answered at least once
	unmet    atomic.Bool  // a request was given up before the registry had ever answered
}

// New returns a Client. It does not send anything before the first Do.
func New(repo imageref.Repository, o Options) *Client {
	if o.Transport == nil {
		o.Transport = NewTransport(0)
	}
	if o.Wait == nil {
		o.Wait = waiting.For
	}
	if o.Tries == 0 {
		o.Tries = defaultTries
	}
	if o.Stall == 0 {
		o.Stall = defaultStall
	}
	if o.Auth == nil {
		o.Auth = authn.Anonymous
	}
	if o.UserAgent == "" {
		o.UserAgent = "gh-sbw"
	}
	c := &Client{repo: repo, opts: o}
	c.reg, c.invalid = name.NewRegistry(repo.Registry)
	c.base = &url.URL{Scheme: c.reg.Scheme(), Host: c.reg.RegistryStr()}
	c.auth = newSession(c)
	c.http = &http.Client{
		Transport: &credentialed{c: c},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) >= 10 {
				return errors.New("too many redirects")
			}
			if m := via[0].Method; m != http.MethodGet && m != http.MethodHead {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}
	return c
}

// Repository returns the repository that the client talks to.
func (c *Client) Repository() imageref.Repository { return c.repo }

// Anonymous reports whether the client has no credential.
func (c *Client) Anonymous() bool { return c.opts.Auth == authn.Anonymous }

// Requests returns the number of requests sent so far, including retries and the
// exchanges of credentials.
func (c *Client) Requests() int { return int(c.requests.Load()) }

// RoundTrip returns the shortest time in which a request without a body was
// answered so far; 0 if none was. It consists of the network's round trip and the
// shortest time that the registry needs.
func (c *Client) RoundTrip() time.Duration { return time.Duration(c.fastest.Load()) }

func (c *Client) answeredAfter(d time.Duration) {
	for {
		old := c.fastest.Load()
		if old != 0 && old <= int64(d) || c.fastest.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

// Request is one request below /v2/NAME/.
type Request struct {
	Method string
	// Kind is the subject of the request, for messages: "manifest latest".
	Kind string
	// Path is relative to /v2/NAME/, or the Location of an upload.
	Path   string
	Query  url.Values
	Header http.Header
	// Body opens the content again for every try; Size is its length.
	Body func() (io.ReadCloser, error)
	Size int64
	// Want lists the status codes that mean success; empty means 200.
	Want []int
	// Once leaves retries to the caller, because an upload needs a new session for
	// each.
	Once bool
}

// Response is an HTTP response whose body has been read.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// maxBody limits the size of a response in bytes. The distribution specification
// limits manifests to 4 MiB, and configs and tag lists are of the same order.
const maxBody = 16 << 20

// Do sends r until the response has a wanted status, the error is final, or the
// tries are used up. The error is an *Error, the context's error, or a network
// error.
func (c *Client) Do(ctx context.Context, r Request) (*Response, error) {
	if len(r.Want) == 0 {
		r.Want = []int{http.StatusOK}
	}
	if c.invalid != nil {
		return nil, c.invalid
	}
	var last error
	for try := 0; ; try++ {
		res, err := c.authorized(ctx, r)
		if err == nil {
			return res, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		last = err
		if r.Once || !Passing(err) {
			return nil, last
		}
		if tries := c.tries(err); try+1 >= tries {
			if tries < c.opts.Tries {
				c.unmet.Store(true)
				return nil, &givenUp{last}
			}
			return nil, last
		}
		if err := c.Backoff(ctx, r.Kind, try, err); err != nil {
			return nil, err
		}
	}
}

// unmetTries is the number of tries for a registry that has never answered. A
// host that refuses connections is therefore reported within 2 s and not after
// half a minute.
const unmetTries = 4

// tries returns how often in total a request that failed with err is sent.
func (c *Client) tries(err error) int {
	var answer *Error
	switch {
	case c.met.Load() || errors.As(err, &answer):
		return c.opts.Tries
	case c.unmet.Load():
		return 1 // the previous request has already used up the tries
	}
	return min(c.opts.Tries, unmetTries)
}

// Backoff reports a failed try and waits as long as the error or the number of
// tries requires.
func (c *Client) Backoff(ctx context.Context, kind string, try int, err error) error {
	after := delay(try, err)
	if c.opts.OnRetry != nil {
		c.opts.OnRetry(Retry{Kind: kind, Err: err, After: after})
	}
	return c.opts.Wait(ctx, after)
}

// Tries returns how often a request is sent before it is given up.
func (c *Client) Tries() int { return c.opts.Tries }

// renewals limits how often one try of a request gets a new bearer after a 401.
// The first 401 may only be how the registry asks for authentication, and a
// bearer may expire right after it was issued.
const renewals = 3

// authorized sends r with the current bearer, and again with a new one if that is
// refused.
func (c *Client) authorized(ctx context.Context, r Request) (*Response, error) {
	for n := 0; ; n++ {
		first, err := c.auth.enter(ctx)
		if err != nil {
			return nil, err
		}
		res, used, err := c.send(ctx, r)
		var answer *Error
		answered := err == nil || errors.As(err, &answer)
		if answer == nil || answer.Status != http.StatusUnauthorized {
			if first {
				c.auth.leave(answered)
			}
			return res, err
		}
		again, rerr := c.auth.renew(ctx, first, used, answer.challenge)
		switch {
		case rerr != nil:
			return nil, rerr
		case !again || n+1 >= renewals:
			return nil, err
		}
	}
}

// send sends one request and reads the response. used is the credential that was
// sent.
func (c *Client) send(ctx context.Context, r Request) (_ *Response, used string, _ error) {
	u, err := c.url(r)
	if err != nil {
		return nil, "", err
	}
	ctx, watch := newWatch(ctx, c.opts.Stall)
	defer watch.stop()
	req, err := http.NewRequestWithContext(ctx, r.Method, u.String(), nil)
	if err != nil {
		return nil, "", err
	}
	if r.Header != nil {
		req.Header = r.Header.Clone()
	}
	req.Header.Set("User-Agent", c.opts.UserAgent)
	if r.Body != nil {
		req.GetBody = func() (io.ReadCloser, error) {
			body, err := r.Body()
			if err != nil {
				return nil, err
			}
			return watch.body(body), nil
		}
		if req.Body, err = req.GetBody(); err != nil {
			return nil, "", err
		}
		req.ContentLength = r.Size
		if req.Header.Get("Content-Type") == "" {
			req.Header.Set("Content-Type", "application/octet-stream")
		}
	}
	used = c.auth.header()
	sent := time.Now()
	res, err := c.http.Do(req)
	if err != nil {
		return nil, used, c.networkError(ctx, err)
	}
	defer res.Body.Close()
	c.met.Store(true)
	if r.Body == nil {
		c.answeredAfter(time.Since(sent))
	}
	body, err := io.ReadAll(io.LimitReader(watch.reader(res.Body), maxBody+1))
	switch {
	case err != nil:
		return nil, used, c.networkError(ctx, err)
	case len(body) > maxBody:
		return nil, used, fmt.Errorf("%s: the registry's answer exceeds %d bytes", r.Kind, maxBody)
	case slices.Contains(r.Want, res.StatusCode) && !html(res.Header):
		return &Response{Status: res.StatusCode, Header: res.Header, Body: body}, used, nil
	}
	return nil, used, c.refusal(r, res, body)
}

// url resolves the request's path. An upload's Location may be absolute. If it
// is on the registry's own host, it is followed with the registry's scheme,
// because a registry behind a TLS terminator may believe that it speaks plain
// HTTP.
func (c *Client) url(r Request) (*url.URL, error) {
	var u *url.URL
	if strings.HasPrefix(r.Path, "/") || strings.Contains(r.Path, "://") {
		loc, err := url.Parse(r.Path)
		if err != nil {
			return nil, fmt.Errorf("%s: the registry returned a location that is not a valid URL", r.Kind)
		}
		u = c.base.ResolveReference(loc)
		if u.Host == c.base.Host {
			u.Scheme = c.base.Scheme
		}
	} else {
		u = c.base.JoinPath("v2", c.repo.Path, r.Path)
	}
	if len(r.Query) > 0 {
		q := u.Query()
		for k, vs := range r.Query {
			q[k] = vs
		}
		u.RawQuery = q.Encode()
	}
	return u, nil
}

// credentialed adds the credential to requests for the registry itself. It is a
// transport, so it sees each redirect as a request of its own and does not add
// the credential for another host. Go's http.Client would pass it on to a
// subdomain and to another port.
type credentialed struct{ c *Client }

func (t *credentialed) RoundTrip(in *http.Request) (*http.Response, error) {
	t.c.requests.Add(1)
	req := in.Clone(in.Context())
	req.Header.Del("Authorization")
	req.Header.Del("Referer")
	if in.URL.Scheme == t.c.base.Scheme && strings.EqualFold(in.URL.Host, t.c.base.Host) {
		if h := t.c.auth.header(); h != "" {
			req.Header.Set("Authorization", h)
		}
	}
	return t.c.opts.Transport.RoundTrip(req)
}
