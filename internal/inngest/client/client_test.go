package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/wire"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// canned answers a GraphQL request with the first entry whose key occurs in
// the query, and everything else with 404.
type canned map[string]string

func (c canned) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	for key, answer := range c {
		if !strings.Contains(string(body), key) {
			continue
		}
		status := http.StatusOK
		if strings.HasPrefix(answer, "422 ") {
			status, answer = http.StatusUnprocessableEntity, answer[4:]
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
		return
	}
	http.NotFound(w, r)
}

func clientOf(t *testing.T, h http.Handler) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c, err := New(Options{Server: wire.Endpoint{BaseURL: s.URL}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func wantFinding(t *testing.T, err error, code string) *pipeline.Finding {
	t.Helper()
	f, ok := errors.AsType[*pipeline.Finding](err)
	if !ok || string(f.Code) != code || f.What == "" || f.Why == "" || f.Fix == "" {
		t.Fatalf("%v, want %s with cause and remedy", err, code)
	}
	return f
}

func TestServerErrors(t *testing.T) {
	const noTypes = `{"data":{}}`
	for name, c := range map[string]struct {
		answers canned
		code    string
		says    string
	}{
		"a resolver's error, as 200": {canned{"__type": noTypes, "{apps": `{"errors":[{"message":"database is locked","path":["apps"]}],"data":null}`}, "inngest-refused", "database is locked"},
		"validation, as 422":         {canned{"__type": noTypes, "{apps": `422 {"errors":[{"message":"Expected Name, found <EOF>"}],"data":null}`}, "inngest-refused", "422: Expected Name, found <EOF>"},
		"an answer of another shape": {canned{"__type": noTypes, "{apps": `{"data":{"apps":"none"}}`}, "inngest-refused", "cannot be read"},
		"a hidden schema":            {canned{"__type": `422 {"errors":[{"message":"introspection disabled"}],"data":null}`, "{apps": `{"errors":[{"message":"later"}]}`}, "inngest-refused", "later"},
	} {
		_, err := clientOf(t, c.answers).Apps(t.Context())
		if f := wantFinding(t, err, c.code); !strings.Contains(f.Error(), c.says) {
			t.Errorf("%s: %v does not contain %q", name, f, c.says)
		}
	}
}

// TestUnknownFields: without introspection the newest schema is assumed, and
// fields that the server does not have are removed one by one.
func TestUnknownFields(t *testing.T) {
	old := []string{"externalID", "method", "configuration"}
	var asked []string
	c := clientOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Query string }
		_ = json.NewDecoder(r.Body).Decode(&in)
		asked = append(asked, in.Query)
		if strings.Contains(in.Query, "__type") {
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = io.WriteString(w, `{"errors":[{"message":"introspection disabled"}]}`)
			return
		}
		for _, f := range old {
			if strings.Contains(in.Query, f) {
				typ := "App"
				if f == "configuration" {
					typ = "Function"
				}
				w.WriteHeader(http.StatusUnprocessableEntity)
				_, _ = fmt.Fprintf(w, `{"errors":[{"message":"Cannot query field \"%s\" on type \"%s\"."}]}`, f, typ)
				return
			}
		}
		_, _ = io.WriteString(w, `{"data":{"apps":[{"id":"1","name":"a","functions":[{"slug":"a-f","config":"{\"steps\":[{\"retries\":0}]}"}]}]}}`)
	}))
	apps, err := c.Apps(t.Context())
	if err != nil || len(apps) != 1 || apps[0].Functions[0].Retries != 0 {
		t.Fatalf("%+v %v", apps, err)
	}
	if len(asked) != 2+len(old) {
		t.Errorf("%d requests were sent", len(asked))
	}
	if _, err := c.Apps(t.Context()); err != nil || len(asked) != 3+len(old) {
		t.Errorf("the removed fields were requested again: %d requests, %v", len(asked), err)
	}
}

func TestUnknownFieldForever(t *testing.T) {
	c := clientOf(t, canned{"__type": `{"data":{}}`, "{apps": `422 {"errors":[{"message":"Cannot query field \"never\" on type \"App\"."}]}`})
	_, err := c.Apps(t.Context())
	wantFinding(t, err, "inngest-refused")
}

// TestRunsOfLostFunctions: one run whose function's row is missing makes the
// whole page fail; the list is returned nevertheless.
func TestRunsOfLostFunctions(t *testing.T) {
	c := clientOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch q := string(body); {
		case strings.Contains(q, "__type"):
			_, _ = io.WriteString(w, `{"data":{}}`)
		case strings.Contains(q, "function{slug}"):
			_, _ = io.WriteString(w, `{"errors":[{"message":"error retrieving function: sql: no rows in result set","path":["runs"]}],"data":null}`)
		default:
			_, _ = io.WriteString(w, `{"data":{"runs":{"edges":[{"node":{"id":"1","status":"PONDERING","queuedAt":"2026-11-23T10:00:00Z"},"cursor":"x"}],"pageInfo":{"hasNextPage":false}}}}`)
		}
	}))
	runs, err := c.Runs(t.Context(), RunFilter{})
	if err != nil || len(runs) != 1 || runs[0].Slug != "" || runs[0].Status != "PONDERING" || runs[0].Status.Ended() {
		t.Errorf("%+v %v", runs, err)
	}
}

// TestPagingEnds: paging ends even if a server repeats its page forever.
func TestPagingEnds(t *testing.T) {
	n := 0
	c := clientOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), "__type") {
			_, _ = io.WriteString(w, `{"data":{}}`)
			return
		}
		n++
		_, _ = fmt.Fprintf(w, `{"data":{"runs":{"edges":[{"node":{"id":"1","status":"FAILED"},"cursor":"c%d"}],"pageInfo":{"hasNextPage":true,"endCursor":"c%d"}}}}`, n, n)
	}))
	runs, err := c.Runs(t.Context(), RunFilter{})
	if err != nil || len(runs) != 1 || n != 2 {
		t.Errorf("%d runs after %d pages, %v", len(runs), n, err)
	}
}

func TestNotAServer(t *testing.T) {
	_, err := clientOf(t, http.NotFoundHandler()).Health(t.Context())
	wantFinding(t, err, "inngest-not-a-server")
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<!doctype html>") })
	_, err = clientOf(t, page).Health(t.Context())
	wantFinding(t, err, "inngest-not-a-server")
}

func TestUnreachableServer(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	c, err := New(Options{Server: wire.Endpoint{BaseURL: s.URL}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Health(t.Context())
	f := wantFinding(t, err, "inngest-unreachable")
	if !strings.Contains(f.What, s.URL) || !strings.Contains(f.Why, "refused") {
		t.Errorf("%v", f)
	}
	_, err = c.Send(t.Context(), wire.NewEventKey("very-secret"), Event{Name: "x"})
	if f := wantFinding(t, err, "inngest-unreachable"); strings.Contains(fmt.Sprintf("%v %+v", f, f.Err), "very-secret") {
		t.Errorf("the event key is in %v", f)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(pipeline.ErrInterrupted)
	if _, err := c.Health(ctx); !errors.Is(err, pipeline.ErrInterrupted) {
		t.Errorf("an interrupt became %v", err)
	}
	for _, raw := range []string{"", "localhost:8288", "ftp://x"} {
		_, err := New(Options{Server: wire.Endpoint{BaseURL: raw}})
		if f, ok := errors.AsType[*pipeline.Finding](err); !ok || f.End != pipeline.Usage {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

// silent is a transport whose peer never answers.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(Options{Server: wire.Endpoint{BaseURL: "http://inngest:8288", HTTP: &http.Client{Transport: silent{}}}})
		if err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		_, err = c.Health(t.Context())
		if f := wantFinding(t, err, "inngest-unreachable"); !strings.Contains(f.Why, "no answer within 15s") || time.Since(started) != 15*time.Second {
			t.Errorf("%v after %s", f, time.Since(started))
		}
	})
}
