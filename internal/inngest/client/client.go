// Package client speaks with a self-hosted Inngest server. New makes a Client,
// whose methods list apps and runs, read traces, send events and cancel, rerun
// or delete.
//
// It prefers GraphQL, which needs no key. If the server was started with
// --no-ui, it uses the REST routes as far as they go. Before the first query
// it reads the schema with __type, so that a query contains only fields that
// this server has. Enumerations are strings: an unknown value is kept and
// shown, and is never an error.
package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/inngest/wire"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Options says which server to use, and with which key.
type Options struct {
	Server wire.Endpoint
	// Key is needed only without GraphQL (--no-ui): the REST routes need it,
	// GraphQL does not.
	Key wire.SigningKey
	// Apps lists the apps of the caller. Their names are looked up if the server cannot
	// list its apps: with --no-ui, before /v2/apps existed.
	Apps []string
	// Patience is how long a request that only reads waits for a server that has
	// answered before and is now away. Zero means that it fails at once.
	Patience time.Duration
}

// Client calls a server. It is safe for concurrent use.
type Client struct {
	end  wire.Endpoint
	key  wire.SigningKey
	apps []string

	patience time.Duration
	answered atomic.Bool // the server has answered before
	clock    wire.Clock
	outages  atomic.Int64 // requests that were not answered

	mu     sync.Mutex
	probed bool
	schema schema
	noGQL  bool
}

// New creates a Client without sending a request.
func New(o Options) (*Client, error) {
	if _, err := o.Server.Base(wire.ServerEnd); err != nil {
		return nil, pipeline.UsageErrorf(model.CodeURL, "give it as http://HOST:PORT", "%s", err)
	}
	return &Client{end: o.Server, key: o.Key, apps: o.Apps, patience: o.Patience}, nil
}

// Health is what a server reports about itself without a key.
type Health struct {
	// Kind is "cloud" for `inngest start` and "dev" for `inngest dev`. It is
	// empty for servers that do not report it yet.
	Kind string `json:"kind"`
	// GraphQL is false if the server was started with --no-ui.
	GraphQL bool `json:"graphQL"`
	// Now is the server's clock in whole seconds; zero if the server did not
	// send it.
	Now time.Time `json:"-"`
}

// Health checks whether the server is up, and determines its kind.
func (c *Client) Health(ctx context.Context) (Health, error) {
	r, err := c.send(ctx, wire.Request{Method: http.MethodGet, Path: "/health"}, true)
	if err != nil {
		return Health{}, err
	}
	if r.Status != http.StatusOK || !r.IsJSON() {
		return Health{}, &pipeline.Finding{
			Code:     model.CodeNotAServer,
			Severity: pipeline.Error,
			What:     "what answers at " + c.end.BaseURL + " is not an Inngest server",
			Why:      (&wire.ServerError{Status: r.Status, Words: r.Words()}).Error(),
			Fix: "point inngest.service and inngest.port of .sbw.yaml, or --inngest-url, at the server's API " +
				"(port 8288, not the gateway's 8289)",
		}
	}
	h := Health{Kind: r.Header.Get("X-Inngest-Server-Kind")}
	if now, err := http.ParseTime(r.Header.Get("Date")); err == nil {
		h.Now = now
	}
	_, err = c.schemaFor(ctx)
	h.GraphQL = err == nil && c.hasGraphQL()
	return h, err
}

// CanDelete reports whether the server can delete apps. One without GraphQL cannot. It is
// known after the first request.
func (c *Client) CanDelete() bool { return c.hasGraphQL() }

func (c *Client) hasGraphQL() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.noGQL
}

// CheckKey reports whether the server accepts the client's signing key. It
// changes nothing: it requests an app that need not exist.
func (c *Client) CheckKey(ctx context.Context) error {
	err := c.rest(ctx, "check the signing key", http.MethodGet, "/v1/apps/sbw/functions", nil, nil)
	if said, ok := errors.AsType[*wire.ServerError](err); ok && said.Status == http.StatusUnauthorized {
		f := &pipeline.Finding{
			Code: model.CodeWrongSigningKey, Severity: pipeline.Error, Err: said,
			What: "the Inngest server does not accept the worker's signing key", Why: "it answered " + said.Error(),
			Fix: "set INNGEST_SIGNING_KEY in the worker's Secret to the server's --signing-key",
		}
		if broken := c.key.Check(); broken != nil {
			f.Why += "; " + broken.Error()
		}
		return f
	}
	return err
}

// rest sends a request to a route that needs the key, and decodes the answer.
func (c *Client) rest(ctx context.Context, doing, method, path string, query url.Values, into any) error {
	h := http.Header{}
	if !c.key.IsZero() {
		h.Set("Authorization", "Bearer "+c.key.Bearer())
	}
	r, err := c.send(ctx, wire.Request{Method: method, Path: path, Query: query, Header: h}, method == http.MethodGet)
	if err != nil {
		return err
	}
	if r.Status == http.StatusUnauthorized && c.key.IsZero() {
		return &pipeline.Finding{
			Code:     model.CodeKeyNeeded,
			Severity: pipeline.Error,
			Err:      &wire.ServerError{Doing: doing, Status: r.Status, Words: r.Words()},
			What:     "the Inngest server requires the signing key to " + doing,
			Why:      "it was started with --no-ui, so only its authenticated routes are left",
			Fix:      "let kubectl read the worker's Secret (RBAC: get secrets), or give --signing-key-from",
		}
	}
	if r.Status/100 != 2 || !r.IsJSON() {
		return wire.Refused(doing, r)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(r.Body, into); err != nil {
		return wire.Refused(doing, &wire.Reply{Status: r.Status, Body: []byte("an answer that cannot be read: " + err.Error())})
	}
	return nil
}
