package inngest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// schema is what this server's GraphQL has: fields by type. A type that is not
// in it is taken to be the newest, until the server says otherwise.
type schema map[string]map[string]bool

// has reports whether a field may be asked for.
func (s schema) has(typ, field string) bool {
	fields, known := s[typ]
	return !known || fields[field]
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

// without returns the schema less one field.
func (s schema) without(typ, field string) schema {
	all := schema{}
	for t, fields := range s {
		all[t] = fields
	}
	fields := map[string]bool{}
	for f := range s[typ] {
		fields[f] = f != field
	}
	if s[typ] == nil {
		return s // not known at all: nothing to take from
	}
	all[typ] = fields
	return all
}

// probed are the types whose fields differ between versions.
var probed = [...]string{"Query", "App", "Function", "FunctionTrigger", "FunctionConfiguration", "FunctionRunV2", "RunTraceSpan"}

// errNoGraphQL says that the server was started with --no-ui.
var errNoGraphQL = errors.New("the server has no GraphQL")

// schemaFor asks once for the fields of the probed types. A failure is not
// kept, so that the next call asks again.
func (c *Client) schemaFor(ctx context.Context) (schema, error) {
	c.mu.Lock()
	have, off := c.schema, c.noGQL
	c.mu.Unlock()
	if have != nil || off {
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
	if errors.Is(err, errNoGraphQL) {
		c.mu.Lock()
		c.noGQL = true
		c.mu.Unlock()
		return nil, nil
	}
	said, refusal := errors.AsType[*ServerError](err)
	if err != nil && !(refusal && said.Status < 500) {
		return nil, err
	}
	// A server that does not describe itself is taken for the newest.
	all := schema{}
	for name, t := range types {
		if t == nil {
			continue
		}
		all[name] = map[string]bool{}
		for _, f := range t.Fields {
			all[name][f.Name] = true
		}
	}
	c.mu.Lock()
	c.schema = all
	c.mu.Unlock()
	return all, nil
}

// unknownField is gqlparser's refusal of a field that a type does not have.
var unknownField = regexp.MustCompile(`Cannot query field "(\w+)" on type "(\w+)"`)

// ask sends a query that is built for this server's schema. A field that the
// server turns out not to have is left out and the query sent again.
func (c *Client) ask(ctx context.Context, doing string, build func(schema) string, vars map[string]any, into any) error {
	have, err := c.schemaFor(ctx)
	if err != nil {
		return err
	}
	if !c.hasGraphQL() {
		return errNoGraphQL
	}
	for last := ""; ; {
		query := build(have)
		err := c.post(ctx, doing, query, vars, into)
		said, ok := errors.AsType[*ServerError](err)
		if !ok {
			return err
		}
		m := unknownField.FindStringSubmatch(said.Words)
		if m == nil || query == last {
			return err
		}
		last = query
		if have[m[2]] == nil {
			have = have.knowing(m[2], query)
		}
		have = have.without(m[2], m[1])
		c.mu.Lock()
		c.schema = have
		c.mu.Unlock()
	}
}

var word = regexp.MustCompile(`\w+`)

// knowing adds a type that was not described: everything that the query names
// is taken to be in it.
func (s schema) knowing(typ, query string) schema {
	all := schema{}
	for t, fields := range s {
		all[t] = fields
	}
	fields := map[string]bool{}
	for _, name := range word.FindAllString(query, -1) {
		fields[name] = true
	}
	all[typ] = fields
	return all
}

// post sends one GraphQL request. Refusals come as 200 with errors (a
// resolver's), 422 (validation) or 400, always with the words in the body.
func (c *Client) post(ctx context.Context, doing, query string, vars map[string]any, into any) error {
	body, err := json.Marshal(map[string]any{"query": query, "variables": vars})
	if err != nil {
		return err
	}
	r, err := c.end.send(ctx, serverEnd, exchange{
		method: http.MethodPost, path: "/v0/gql", body: body, header: http.Header{"Content-Type": {"application/json"}},
	})
	if err != nil {
		return err
	}
	var out struct {
		Data   json.RawMessage `json:"data"`
		Errors []struct {
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(r.body, &out) != nil {
		if r.status == http.StatusNotFound || r.status == http.StatusMethodNotAllowed || r.status == http.StatusOK {
			return errNoGraphQL
		}
		return refused(doing, r)
	}
	if len(out.Errors) > 0 || r.status/100 != 2 {
		return refused(doing, r)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(out.Data, into); err != nil {
		return &pipeline.Finding{
			Code: "inngest-refused", Severity: pipeline.Error, Err: err, What: "the Inngest server did not " + doing,
			Why: "its answer cannot be read: " + err.Error(), Fix: "check the server's version: 1.4 and later are known",
		}
	}
	return nil
}
