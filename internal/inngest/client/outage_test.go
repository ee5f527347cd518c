package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/wire"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// away is a server that is replaced: from one moment to another nothing, or only a
// proxy, answers.
type away struct {
	from, until time.Time
	gateway     bool
	sent        []string // requests in the outage
}

func (a *away) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	status, text := http.StatusOK, `{"data":{},"ids":["1"]}`
	if now := time.Now(); !now.Before(a.from) && now.Before(a.until) {
		a.sent = append(a.sent, r.URL.Path+string(body))
		if !a.gateway {
			return nil, errors.New("connection refused")
		}
		status, text = http.StatusServiceUnavailable, "no healthy upstream"
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
}

func TestOutage(t *testing.T) {
	read := func(ctx context.Context, c *Client) error { _, err := c.Runs(ctx, RunFilter{}); return err }
	const long = 10 * time.Minute
	for name, c := range map[string]struct {
		lasts   time.Duration
		gateway bool
		before  func(context.Context, *Client) error // while the server answers
		do      func(context.Context, *Client) error
		fails   bool
		takes   time.Duration
		notes   int
	}{
		"reading waits": {lasts: 40 * time.Second, before: read, do: read, takes: 40 * time.Second, notes: 1},
		"a read waits while only a proxy answers":  {lasts: 40 * time.Second, gateway: true, before: read, do: read, takes: 40 * time.Second, notes: 1},
		"a read waits no longer than its patience": {lasts: long, before: read, do: read, fails: true, takes: 2 * time.Minute, notes: 1},
		"health waits": {lasts: 3 * time.Second, before: read, do: func(ctx context.Context, c *Client) error { _, err := c.Health(ctx); return err }, takes: 3 * time.Second, notes: 1},
		"a server that has never answered fails at once": {lasts: long, do: read, fails: true},
		"a cancellation is sent once":                    {lasts: long, before: read, do: func(ctx context.Context, c *Client) error { return c.CancelRun(ctx, "r") }, fails: true},
		"a deletion waits": {lasts: 40 * time.Second, before: read, takes: 40 * time.Second, notes: 1, do: func(ctx context.Context, c *Client) error {
			return c.DeleteApp(ctx, "a")
		}},
		"a rerun is sent once": {lasts: long, before: read, do: func(ctx context.Context, c *Client) error { _, err := c.Rerun(ctx, "r"); return err }, fails: true},
		// Its id keeps the server from starting anything twice.
		"an event is sent until it is taken": {lasts: 40 * time.Second, before: read, takes: 40 * time.Second, notes: 1, do: func(ctx context.Context, c *Client) error {
			_, err := c.Send(ctx, wire.NewEventKey("k"), Event{Name: "e"})
			return err
		}},
		"an interrupt ends it": {lasts: long, before: read, fails: true, takes: 5 * time.Second, notes: 1, do: func(ctx context.Context, c *Client) error {
			ctx, cancel := context.WithCancelCause(ctx)
			defer time.AfterFunc(5*time.Second, func() { cancel(pipeline.ErrInterrupted) }).Stop()
			err := read(ctx, c)
			if !errors.Is(err, pipeline.ErrInterrupted) {
				t.Errorf("an interrupt became %v", err)
			}
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &away{gateway: c.gateway}
				client, err := New(Options{Server: wire.Endpoint{BaseURL: "http://inngest:8288", HTTP: &http.Client{Transport: server}}, Patience: 2 * time.Minute})
				if err != nil {
					t.Fatal(err)
				}
				if c.before != nil {
					if err := c.before(t.Context(), client); err != nil {
						t.Fatal(err)
					}
				}
				notes := 0
				ctx := WithOutageNote(t.Context(), func(error) { notes++ })
				began := time.Now()
				server.from, server.until = began, began.Add(c.lasts)
				err = c.do(ctx, client)
				if took := time.Since(began); (err != nil) != c.fails || took != c.takes || notes != c.notes {
					t.Errorf("%v after %s with %d notes", err, took, notes)
				}
				for _, one := range server.sent {
					if one != server.sent[0] || strings.HasPrefix(one, "/e/") && !strings.Contains(one, `"id":"sbw-`) {
						t.Errorf("sent %q after %q", one, server.sent[0])
					}
				}
				if c.takes == 0 && len(server.sent) != 1 {
					t.Errorf("sent %d times: %q", len(server.sent), server.sent)
				}
			})
		})
	}
}
