package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/inngest/wire"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// functionFields lists the fields of a function that a server's schema has.
func functionFields(s schema) string {
	trigger := s.pick("FunctionTrigger", "type", "value", "condition")
	config := s.pick("FunctionConfiguration", "retries{value}", "concurrency{scope limit{value isPlanLimit} key}")
	fields := s.pick("Function", "id", "name", "slug", "url", "appID", "triggers{"+trigger+"}", "configuration{"+config+"}")
	if !s.has("Function", "configuration") {
		fields += " " + s.pick("Function", "config")
	}
	return fields
}

type gqlFunction struct {
	ID, Name, Slug, URL, AppID string
	Triggers                   []struct{ Type, Value, Condition string }
	Configuration              *struct {
		Retries     struct{ Value int }
		Concurrency []struct {
			Scope, Key string
			Limit      struct {
				Value       int
				IsPlanLimit bool
			}
		}
	}
	// Config is the stored definition, before 1.6.4.
	Config string
}

func (g gqlFunction) function(app string) model.Function {
	f := model.Function{ID: g.ID, Slug: g.Slug, Name: g.Name, App: app, URL: g.URL, Retries: model.DefaultRetries}
	for _, t := range g.Triggers {
		if t.Type == "CRON" {
			f.Triggers = append(f.Triggers, model.Trigger{Cron: t.Value})
			continue
		}
		f.Triggers = append(f.Triggers, model.Trigger{Event: t.Value, Condition: t.Condition})
	}
	if c := g.Configuration; c != nil {
		f.Retries = c.Retries.Value
		for _, l := range c.Concurrency {
			// A server without plans reports its own lack of a limit as -1.
			if !l.Limit.IsPlanLimit && l.Limit.Value > 0 {
				f.Concurrency = append(f.Concurrency, model.Concurrency{Scope: l.Scope, Key: l.Key, Limit: l.Limit.Value})
			}
		}
	} else if g.Config != "" {
		var stored storedFunction
		if json.Unmarshal([]byte(g.Config), &stored) == nil {
			stored.fill(&f)
		}
	}
	return f
}

// storedFunction is a definition as the server stores it; REST returns it as
// well.
type storedFunction struct {
	Triggers []struct {
		Event, Cron, Expression string
	} `json:"triggers"`
	Steps []struct {
		URI     string `json:"uri"`
		Retries *int   `json:"retries"`
	} `json:"steps"`
	Concurrency json.RawMessage `json:"concurrency"`
}

func (s storedFunction) fill(f *model.Function) {
	f.Retries = model.DefaultRetries
	if len(s.Steps) > 0 {
		if r := s.Steps[0].Retries; r != nil {
			f.Retries = *r
		}
		f.URL = s.Steps[0].URI
	}
	f.Triggers = nil
	for _, t := range s.Triggers {
		f.Triggers = append(f.Triggers, model.Trigger{Event: t.Event, Cron: t.Cron, Condition: t.Expression})
	}
	f.Concurrency = model.ReadConcurrency(s.Concurrency)
}

// Apps lists every registration with its functions.
func (c *Client) Apps(ctx context.Context) ([]model.App, error) {
	var out struct {
		Apps []struct {
			ID, Name, ExternalID, URL, Error, Method, SDKLanguage, SDKVersion, Framework, AppVersion, Checksum string
			Functions                                                                                          []gqlFunction
		}
	}
	err := c.ask(ctx, "list apps", func(s schema) string {
		return "{apps{" + s.pick("App", "id", "name", "externalID", "url", "error", "method", "sdkLanguage", "sdkVersion", "framework",
			"appVersion", "checksum", "functions{"+functionFields(s)+"}") + "}}"
	}, nil, &out)
	if errors.Is(err, ErrNoGraphQL) {
		return c.appsByREST(ctx)
	}
	if err != nil {
		return nil, err
	}
	var all []model.App
	for _, a := range out.Apps {
		name := a.Name
		if name == "" {
			name = a.ExternalID
		}
		app := model.App{
			ID: a.ID, Name: name, URL: a.URL, Error: a.Error, Method: a.Method, Framework: a.Framework,
			SDK: strings.TrimSpace(a.SDKLanguage + " " + a.SDKVersion), AppVersion: a.AppVersion, Checksum: a.Checksum,
		}
		for _, f := range a.Functions {
			app.Functions = append(app.Functions, f.function(name))
		}
		app.Functions = model.BySlug(app.Functions)
		all = append(all, app)
	}
	return all, nil
}

// appsByREST lists the apps of a server without GraphQL: through /v2/apps if
// the server is new enough, and otherwise the apps whose names the caller
// knows.
func (c *Client) appsByREST(ctx context.Context) ([]model.App, error) {
	for _, name := range c.apps {
		// The server compares the escaped path with the name, so it finds nothing (1.43).
		if strings.Contains(name, "/") {
			return nil, NeedsGraphQL(ErrNoGraphQL, "find the functions of app "+name+", whose id contains a slash")
		}
	}
	var all []model.App
	cursor := ""
	for {
		q := url.Values{"limit": {"100"}}
		if cursor != "" {
			q.Set("cursor", cursor)
		}
		var out struct {
			Data []struct {
				ID, Name, Method, AppVersion string
				LatestSync                   struct{ Framework, SDKLanguage, SDKVersion, URL, Error string }
			}
			Page struct {
				Cursor  string
				HasMore bool
			}
		}
		err := c.rest(ctx, "list apps", http.MethodGet, "/v2/apps", q, &out)
		if said, ok := errors.AsType[*wire.ServerError](
			err,
		); ok &&
			(said.Status == http.StatusNotFound || said.Status == http.StatusNotImplemented) {
			for _, name := range c.apps {
				all = append(all, model.App{Name: name})
			}
			break
		}
		if err != nil {
			return nil, err
		}
		for _, a := range out.Data {
			s := a.LatestSync
			all = append(all, model.App{
				Name: a.Name, URL: s.URL, Error: s.Error, Method: a.Method, AppVersion: a.AppVersion,
				Framework: s.Framework, SDK: strings.TrimSpace(s.SDKLanguage + " " + s.SDKVersion),
			})
		}
		if !out.Page.HasMore || out.Page.Cursor == "" || out.Page.Cursor == cursor {
			break
		}
		cursor = out.Page.Cursor
	}
	var known []model.App
	for _, a := range all {
		if a.Name != "" {
			if err := c.fillFromREST(ctx, &a); err != nil {
				return nil, err
			}
		}
		// An app with a guessed name exists if it has functions.
		if a.URL != "" || len(a.Functions) > 0 {
			known = append(known, a)
		}
	}
	return known, nil
}

func (c *Client) fillFromREST(ctx context.Context, a *model.App) error {
	var rows []struct {
		InternalID string `json:"internal_id"`
		AppID      string `json:"app_id"`
		ID         string `json:"id"`
		Name       string
		Config     storedFunction
	}
	if err := c.rest(
		ctx,
		"list the functions of "+a.Name,
		http.MethodGet,
		"/v1/apps/"+url.PathEscape(a.Name)+"/functions",
		nil,
		&rows,
	); err != nil {
		return err
	}
	a.Functions = nil
	for _, r := range rows {
		f := model.Function{ID: r.InternalID, Slug: r.ID, Name: r.Name, App: a.Name}
		r.Config.fill(&f)
		a.ID = r.AppID
		if u, err := url.Parse(f.URL); err == nil && a.URL == "" {
			u.RawQuery = ""
			a.URL = u.String()
		}
		a.Functions = append(a.Functions, f)
	}
	a.Functions = model.BySlug(a.Functions)
	return nil
}

// CreateApp makes the server send its registration request to the worker at a
// URL, which proves the path that runs take. It returns what is registered at
// the URL afterwards. If the worker cannot be reached, the error is a
// *wire.ServerError with a word such as "unreachable" or "url_not_found", and
// the server keeps an app that has neither a name nor functions
// (pkg/coreapi/graph/resolvers/app_mutations.go). Without GraphQL the error is
// ErrNoGraphQL.
func (c *Client) CreateApp(ctx context.Context, url string) (model.App, error) {
	var out struct {
		CreateApp struct{ ID, Name, URL, Error string }
	}
	err := c.ask(ctx, "call the worker at "+url, func(schema) string {
		return `mutation($u:String!){createApp(input:{url:$u}){id name url error}}`
	}, map[string]any{"u": url}, &out)
	a := out.CreateApp
	return model.App{ID: a.ID, Name: a.Name, URL: a.URL, Error: a.Error}, err
}

// deleteApp may be sent again when an answer was lost: the server confirms the deletion
// of any id.
const deleteApp = `mutation($id:String!){deleteApp(id:$id)}`

// DeleteApp archives a registration: its runs stay, and a later registration
// of the same name revives it. The server confirms the deletion of any id,
// so the caller must check that the app is gone.
func (c *Client) DeleteApp(ctx context.Context, id string) error {
	err := c.ask(ctx, "delete the app", func(schema) string { return deleteApp }, map[string]any{"id": id}, nil)
	return NeedsGraphQL(err, "delete apps")
}

// NeedsGraphQL explains that a server without GraphQL (ErrNoGraphQL) cannot do something.
func NeedsGraphQL(err error, what string) error {
	if !errors.Is(err, ErrNoGraphQL) {
		return err
	}
	return &pipeline.Finding{
		Code: model.CodeNoUI, Severity: pipeline.Error, Err: err, What: "this Inngest server cannot " + what,
		Why: "it was started with --no-ui, which switches GraphQL off", Fix: "start it without --no-ui while you do this",
	}
}
