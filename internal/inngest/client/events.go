package client

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/inngest/wire"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Event is what is sent to start functions.
type Event struct {
	Name string         `json:"name"`
	Data map[string]any `json:"data"`
}

// Send sends an event and returns its id on the server.
func (c *Client) Send(ctx context.Context, key wire.EventKey, e Event) (string, error) {
	if e.Data == nil {
		e.Data = map[string]any{}
	}
	body, err := json.Marshal(e)
	if err != nil {
		return "", err
	}
	r, err := c.send(ctx, wire.Request{
		Method: http.MethodPost, Path: "/e/" + key.Segment(), Body: body, Header: http.Header{"Content-Type": {"application/json"}},
	}, false)
	if err != nil {
		return "", err
	}
	if r.Status == http.StatusUnauthorized {
		return "", &pipeline.Finding{
			Code: model.CodeEventKey, Severity: pipeline.Error, Err: &wire.ServerError{Status: r.Status, Words: r.Words()},
			What: "the Inngest server does not accept the event key", Why: r.Words(),
			Fix: "use one of its --event-key values: INNGEST_EVENT_KEY of the worker",
		}
	}
	var out struct{ IDs []string }
	if r.Status/100 != 2 || json.Unmarshal(r.Body, &out) != nil || len(out.IDs) == 0 {
		return "", wire.Refused("take the event "+e.Name, r)
	}
	return out.IDs[0], nil
}

// RunsOf lists the runs that an event started.
func (c *Client) RunsOf(ctx context.Context, eventID string, since time.Time) ([]model.Run, error) {
	all, err := c.Runs(ctx, RunFilter{Since: since})
	return slices.DeleteFunc(all, func(r model.Run) bool { return !slices.Contains(r.Events, eventID) }), err
}
