package client

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/inngest/wire"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Event is what is sent to start functions.
type Event struct {
	// ID makes sending repeatable: a server starts nothing for a second event with
	// the same id (within a day). Send chooses one if it is empty.
	ID   string         `json:"id,omitempty"`
	Name string         `json:"name"`
	Data map[string]any `json:"data"`
}

// Send sends an event and returns the ids that it has on the server. There are several
// if an answer was lost and it was sent again: each gets an id of its own, and the first
// one started the runs (1.43).
func (c *Client) Send(ctx context.Context, key wire.EventKey, e Event) ([]string, error) {
	if e.Data == nil {
		e.Data = map[string]any{}
	}
	if e.ID == "" {
		e.ID = "sbw-" + rand.Text()
	}
	body, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	before := c.Outages()
	r, err := c.send(ctx, eventRequest(key, body), true)
	if err != nil {
		return nil, err
	}
	if f := judgeEventKey(key, r); f != nil {
		return nil, f
	}
	var out struct{ IDs []string }
	if r.Status/100 != 2 || json.Unmarshal(r.Body, &out) != nil || len(out.IDs) == 0 {
		return nil, wire.Refused("take the event "+e.Name, r)
	}
	if c.Outages() == before || c.key.IsZero() {
		return out.IDs, nil
	}
	earlier, err := c.received(ctx, e)
	return append(earlier, out.IDs...), err
}

// CheckEventKey reports whether the server accepts a key for events. It sends an empty
// list of them, which the server takes without storing anything (1.43).
func (c *Client) CheckEventKey(ctx context.Context, key wire.EventKey) error {
	r, err := c.send(ctx, eventRequest(key, []byte("[]")), true)
	if err != nil {
		return err
	}
	if f := judgeEventKey(key, r); f != nil {
		return f
	}
	return nil
}

func eventRequest(key wire.EventKey, body []byte) wire.Request {
	return wire.Request{
		Method: http.MethodPost, Path: "/e/" + key.Segment(), Body: body, Header: http.Header{"Content-Type": {"application/json"}},
	}
}

// judgeEventKey returns the finding for a key that the server refuses, or nil.
func judgeEventKey(key wire.EventKey, r *wire.Reply) *pipeline.Finding {
	if r.Status != http.StatusUnauthorized {
		return nil
	}
	f := &pipeline.Finding{
		Code: model.CodeEventKey, Severity: pipeline.Error, Err: &wire.ServerError{Status: r.Status, Words: r.Words()},
		What: "the Inngest server does not accept the event key", Why: r.Words(),
		Fix: "use one of its --event-key values: INNGEST_EVENT_KEY of the worker",
	}
	if strings.Contains(key.Segment(), "%2F") {
		f.Why += "; the key has a slash, and a server finds no such key in the path of a request, not even one of its own"
		f.Fix = "choose a key without a slash for the server's --event-key and the worker's INNGEST_EVENT_KEY"
	}
	return f
}

// received lists the ids of the latest events that were sent as e.
func (c *Client) received(ctx context.Context, e Event) ([]string, error) {
	var out struct {
		Data []struct {
			Internal string `json:"internal_id"`
			ID       string `json:"id"`
		}
	}
	q := url.Values{"name": {e.Name}, "limit": {"100"}}
	if err := c.rest(ctx, "list events", http.MethodGet, "/v1/events", q, &out); err != nil {
		return nil, err
	}
	var ids []string
	for _, one := range out.Data {
		if one.ID == e.ID {
			ids = append(ids, one.Internal)
		}
	}
	return ids, nil
}

// RunsOf lists the runs that events started.
func (c *Client) RunsOf(ctx context.Context, events []string, since time.Time) ([]model.Run, error) {
	all, err := c.Runs(ctx, RunFilter{Since: since})
	return slices.DeleteFunc(all, func(r model.Run) bool {
		return !slices.ContainsFunc(r.Events, func(id string) bool { return slices.Contains(events, id) })
	}), err
}
