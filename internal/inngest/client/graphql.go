package client

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/inngest/wire"
	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// schema describes the fields that this server's GraphQL has.
type schema struct {
	// described maps types to their fields, as the server listed them. A
	// missing type is assumed to be the newest.
	described map[string]map[string]bool
	// refused contains the "Type.field" names that the server refused in spite
	// of that.
	refused map[string]bool
}

// has reports whether a field may be requested.
func (s schema) has(typ, field string) bool {
	fields, known := s.described[typ]
	return (!known || fields[field]) && !s.refused[typ+"."+field]
}

// pick joins those fields of a type that the server has.
func (s schema) pick(typ string, fields ...string) string {
	var have []string
	for _, f := range fields {
		name, _, _ := strings.Cut(f, "{")
		if s.has(typ, name) {
			have = append(have, f)
		}
	}
	return strings.Join(have, " ")
}

// without returns the schema without one field.
func (s schema) without(typ, field string) schema {
	refused := maps.Clone(s.refused)
	if refused == nil {
		refused = map[string]bool{}
	}
	refused[typ+"."+field] = true
	return schema{s.described, refused}
}

// probed lists the types whose fields differ between versions.
var probed = [...]string{"Query", "App", "Function", "FunctionTrigger", "FunctionConfiguration", "FunctionRunV2", "RunTraceSpan"}

// ErrNoGraphQL is the error of a server that was started with --no-ui.
var ErrNoGraphQL = errors.New("the server has no GraphQL")

// schemaFor requests the fields of the probed types once. A failure is not
// cached, so the next call tries again.
func (c *Client) schemaFor(ctx context.Context) (schema, error) {
	c.mu.Lock()
	have, done := c.schema, c.probed
	c.mu.Unlock()
	if done {
		return have, nil
	}
	var q strings.Builder
	q.WriteString("{")
	for _, t := range probed {
		q.WriteString(t + `:__type(name:"` + t + `"){fields{name}} `)
	}
	q.WriteString("}")
	var types map[string]*struct{ Fields []struct{ Name string } }
	err := c.post(ctx, "describe its schema", q.String(), nil, &types)
	if errors.Is(err, ErrNoGraphQL) {
		c.mu.Lock()
		c.noGQL, c.probed = true, true
		c.mu.Unlock()
		return schema{}, nil
	}
	said, refusal := errors.AsType[*wire.ServerError](err)
	if err != nil && !(refusal && said.Status < 500) {
		return schema{}, err
	}
	// A server that does not describe itself is assumed to be the newest.
	all := schema{described: map[string]map[string]bool{}}
	for name, t := range types {
		if t == nil {
			continue
		}
		all.described[name] = map[string]bool{}
		for _, f := range t.Fields {
			all.described[name][f.Name] = true
		}
	}
	c.mu.Lock()
	c.schema, c.probed = all, true
	c.mu.Unlock()
	return all, nil
}

// unknownField is gqlparser's refusal of a field that a type does not have.
var unknownField = lazyregexp.New(`Cannot query field "(\w+)" on type "(\w+)"`)

// ask sends a query that is built for this server's schema. If the server
// refuses a field, ask removes it and sends the query again.
func (c *Client) ask(ctx context.Context, doing string, build func(schema) string, vars map[string]any, into any) error {
	have, err := c.schemaFor(ctx)
	if err != nil {
		return err
	}
	if !c.hasGraphQL() {
		return ErrNoGraphQL
	}
	for last := ""; ; {
		query := build(have)
		err := c.post(ctx, doing, query, vars, into)
		said, ok := errors.AsType[*wire.ServerError](err)
		if !ok {
			return err
		}
		m := unknownField.FindStringSubmatch(said.Words)
		if m == nil || query == last {
			return err
		}
		last = query
		have = have.without(m[2], m[1])
		c.mu.Lock()
		c.schema = have
		c.mu.Unlock()
	}
}

// post sends one GraphQL request. Refusals arrive as 200 with errors (from a
// resolver), 422 (validation) or 400, always with the message in the body.
func (c *Client) post(ctx context.Context, doing, query string, vars map[string]any, into any) error {
	body, err := json.Marshal(map[string]any{"query": query, "variables": vars})
	if err != nil {
		return err
	}
	r, err := c.send(ctx, wire.Request{
		Method: http.MethodPost, Path: "/v0/gql", Body: body, Header: http.Header{"Content-Type": {"application/json"}},
	}, !strings.HasPrefix(query, "mutation") || query == deleteApp)
	if err != nil {
		return err
	}
	var out struct {
		Data   json.RawMessage `json:"data"`
		Errors []struct {
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(r.Body, &out) != nil {
		if r.Status == http.StatusNotFound || r.Status == http.StatusMethodNotAllowed || r.Status == http.StatusOK {
			return ErrNoGraphQL
		}
		return wire.Refused(doing, r)
	}
	if len(out.Errors) > 0 || r.Status/100 != 2 {
		return wire.Refused(doing, r)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(out.Data, into); err != nil {
		return &pipeline.Finding{
			Code: model.CodeRefused, Severity: pipeline.Error, Err: err, What: "the Inngest server's answer cannot be used to " + doing,
			Why: "its answer cannot be read: " + err.Error(), Fix: "check the server's version: 1.4 and later are supported",
		}
	}
	return nil
}
