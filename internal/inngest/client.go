package inngest

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"sync"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// ClientOptions say which server, and with what right.
type ClientOptions struct {
	Server Endpoint
	// Key is needed only where GraphQL is off (--no-ui): the REST routes want
	// it, GraphQL wants none.
	Key SigningKey
	// Apps are names to ask for where the server cannot list apps: --no-ui
	// before /v2/apps.
	Apps []string
}

// Client speaks with a server. It is safe for concurrent use.
type Client struct {
	end  Endpoint
	key  SigningKey
	apps []string

	mu     sync.Mutex
	probed bool
	schema schema
	noGQL  bool
}

// NewClient makes a Client; nothing is asked yet.
func NewClient(o ClientOptions) (*Client, error) {
	if _, err := o.Server.base(serverEnd); err != nil {
		return nil, pipeline.UsageErrorf("inngest-url", "give it as http://HOST:PORT", "%s", err)
	}
	return &Client{end: o.Server, key: o.Key, apps: o.Apps}, nil
}

// Health is what a server says of itself without a key.
type Health struct {
	// Kind is "cloud" for `inngest start`, "dev" for `inngest dev`; empty
	// before servers said it.
	Kind string `json:"kind"`
	// GraphQL is false where the server was started with --no-ui.
	GraphQL bool `json:"graphQL"`
}

// Health asks whether the server is up, and which kind it is.
func (c *Client) Health(ctx context.Context) (Health, error) {
	r, err := c.end.send(ctx, serverEnd, exchange{method: http.MethodGet, path: "/health"})
	if err != nil {
		return Health{}, err
	}
	if r.status != http.StatusOK || !r.isJSON() {
		return Health{}, &pipeline.Finding{
			Code: "inngest-not-a-server", Severity: pipeline.Error,
			What: "what answers at " + c.end.BaseURL + " is no Inngest server", Why: (&ServerError{Status: r.status, Words: r.words()}).Error(),
			Fix: "point inngest.service and inngest.port of .sbw.yaml, or --inngest-url, at the server's API (port 8288, not the gateway's 8289)",
		}
	}
	h := Health{Kind: r.header.Get("X-Inngest-Server-Kind")}
	_, err = c.schemaFor(ctx)
	h.GraphQL = err == nil && c.hasGraphQL()
	return h, err
}

func (c *Client) hasGraphQL() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.noGQL
}

// rest asks a route that wants the key and decodes its answer.
func (c *Client) rest(ctx context.Context, doing, method, path string, query url.Values, into any) error {
	h := http.Header{}
	if !c.key.IsZero() {
		h.Set("Authorization", "Bearer "+c.key.bearer())
	}
	r, err := c.end.send(ctx, serverEnd, exchange{method: method, path: path, query: query, header: h})
	if err != nil {
		return err
	}
	if r.status == http.StatusUnauthorized && c.key.IsZero() {
		return &pipeline.Finding{
			Code: "inngest-key-needed", Severity: pipeline.Error, Err: &ServerError{Doing: doing, Status: r.status, Words: r.words()},
			What: "the Inngest server wants the signing key to " + doing, Why: "it was started with --no-ui, so only its authenticated routes are left",
			Fix: "let kubectl read the worker's Secret (RBAC: get secrets), or give --signing-key-from",
		}
	}
	if r.status/100 != 2 || !r.isJSON() {
		return refused(doing, r)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(r.body, into); err != nil {
		return refused(doing, &reply{status: r.status, body: []byte("an answer that cannot be read: " + err.Error())})
	}
	return nil
}
