package inngestd

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// app is a row in the server's table of apps.
type app struct {
	id, name, url    string
	err              string
	method           string
	appVersion       string
	sdkLanguage, sdk string
	framework        string
	checksum         string
	archived         bool
	created          time.Time
}

// function is a row in the table of functions.
type function struct {
	id, appID, name, slug string
	config                functionConfig
	archived              bool
	created               time.Time
}

// functionConfig is what the server stores about a function. GraphQL's
// `config` and the REST route show its JSON.
type functionConfig struct {
	ID          string            `json:"id"`
	Version     int               `json:"fv"`
	Name        string            `json:"name"`
	Slug        string            `json:"slug"`
	Concurrency []stepConcurrency `json:"concurrency,omitempty"`
	Triggers    []trigger         `json:"triggers"`
	Steps       []stepConfig      `json:"steps,omitempty"`
}

type trigger struct {
	Event      string  `json:"event,omitempty"`
	Expression *string `json:"expression,omitempty"`
	Cron       string  `json:"cron,omitempty"`
}

type stepConfig struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	URI     string `json:"uri"`
	Retries *int   `json:"retries,omitempty"`
}

type stepConcurrency struct {
	Limit int     `json:"limit"`
	Key   *string `json:"key,omitempty"`
	Scope string  `json:"scope"`
}

// These are the scopes as the server writes them
// (pkg/enums/concurrency_scope.go). It reads them case-insensitively.
const (
	scopeFn      = "Fn"
	scopeEnv     = "Env"
	scopeAccount = "Account"
)

const (
	defaultRetries = 4
	maxRetries     = 20
)

func (f *function) retries() int {
	if r := f.config.Steps[0].Retries; r != nil {
		return *r
	}
	return defaultRetries
}

func (f *function) url() string { return f.config.Steps[0].URI }

// registration is the body of POST /fn/register.
type registration struct {
	URL          string        `json:"url"`
	DeployType   string        `json:"deployType"`
	SDK          string        `json:"sdk"`
	Framework    string        `json:"framework"`
	AppName      string        `json:"appName"`
	AppVersion   string        `json:"appVersion,omitempty"`
	Functions    []sdkFunction `json:"functions"`
	Capabilities struct {
		Connect string `json:"connect"`
	} `json:"capabilities"`
}

type sdkFunction struct {
	Name        string          `json:"name"`
	Slug        string          `json:"id"`
	Triggers    []trigger       `json:"triggers"`
	Concurrency json.RawMessage `json:"concurrency,omitempty"`
	Retries     *int            `json:"retries,omitempty"`
	Steps       map[string]struct {
		ID      string `json:"id"`
		Name    string `json:"name"`
		Runtime struct {
			URL string `json:"url"`
		} `json:"runtime"`
		Retries *struct {
			Attempts int `json:"attempts"`
		} `json:"retries"`
	} `json:"steps"`
}

// publicError is an error in the words that the server uses for clients
// (pkg/publicerr). The message is sent as "error".
type publicError struct {
	status  int
	message string
}

func (e publicError) Error() string { return e.message }

func (s *Server) register(w http.ResponseWriter, r *http.Request) {
	if kind := r.Header.Get(headerExpectedKind); kind != "" && kind != s.opts.Kind {
		plainJSON(w, http.StatusBadRequest, map[string]string{"error": fmt.Sprintf("Expected server kind %s, got %s", s.opts.Kind, kind)})
		return
	}
	var in registration
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		plainJSON(w, http.StatusBadRequest, map[string]string{"error": "Invalid request: " + err.Error()})
		return
	}
	s.mu.Lock()
	reply, err := s.registerLocked(in)
	s.mu.Unlock()
	if pub, ok := errors.AsType[publicError](err); ok {
		plainJSON(w, pub.status, map[string]any{"error": pub.message, "data": nil, "status": pub.status})
		return
	}
	plainJSON(w, http.StatusOK, reply)
}

func (s *Server) registerLocked(in registration) (map[string]any, error) {
	in.URL = normalizeURL(in.URL)
	if in.AppName == "" {
		return nil, publicError{http.StatusBadRequest, "App ID required"}
	}
	fns, err := parseFunctions(in.Functions)
	if err != nil {
		return nil, publicError{http.StatusBadRequest, "At least one function is invalid"}
	}
	sum := checksum(in)
	s.dropPlaceholdersLocked(in.URL)
	reply := map[string]any{"ok": true, "modified": false, "sync_id": randomUUID()}
	for _, a := range s.apps {
		if !a.archived && a.checksum == sum && a.err == "" {
			// The same registration exists already: nothing is changed, and no
			// schedule either.
			reply["app_id"] = a.id
			return reply, nil
		}
	}
	a := s.upsertAppLocked(in, sum)
	s.replaceFunctionsLocked(a, fns)
	defer s.saveLocked()
	reply["modified"], reply["app_id"] = true, a.id
	return reply, nil
}

// dropPlaceholdersLocked removes the nameless rows that createApp has left for
// a URL that now registers.
func (s *Server) dropPlaceholdersLocked(url string) {
	for _, a := range s.apps {
		if a.name == "" && normalizeURL(a.url) == url {
			a.archived = true
		}
	}
}

func (s *Server) upsertAppLocked(in registration, sum string) *app {
	key := in.AppName
	same := func(a *app) bool { return a.name == in.AppName }
	if s.opts.KeyedByURL {
		key = in.URL
		same = func(a *app) bool { return a.id == uuidOf(key) }
	}
	var a *app
	for _, have := range s.apps {
		if same(have) {
			a = have
		}
	}
	if a == nil {
		a = &app{id: uuidOf(key), created: s.now()}
		s.apps = append(s.apps, a)
	}
	lang, version, _ := strings.Cut(in.SDK, ":")
	a.name, a.url, a.checksum, a.archived, a.err = in.AppName, in.URL, sum, false, ""
	a.sdkLanguage, a.sdk, a.framework, a.appVersion = lang, version, in.Framework, in.AppVersion
	a.method = "SERVE"
	if in.DeployType == "connect" && in.Capabilities.Connect == "v1" {
		a.method = "CONNECT"
		s.connections = append(
			s.connections,
			&connection{id: s.ids.next(s.now()), gateway: s.ids.next(s.now()), app: a, status: connectionReady, at: s.now()},
		)
	}
	return a
}

// replaceFunctionsLocked makes the app's functions those of the registration.
// A function with a known slug keeps its id even if its URL changes, so that
// it keeps its history. A function that is no longer served is archived.
func (s *Server) replaceFunctionsLocked(a *app, fns []functionConfig) {
	served := map[string]bool{}
	for _, c := range fns {
		served[c.Slug] = true
		f := s.activeFunctionLocked(a.id, c.Slug)
		if f == nil {
			c.ID, c.Version = uuidOf(c.Name+c.Steps[0].URI), 1
			f = s.functionLocked(c.ID)
			if f == nil {
				f = &function{id: c.ID, created: s.now()}
				s.functions = append(s.functions, f)
			}
		} else {
			c.ID, c.Version = f.id, f.config.Version+1
		}
		f.appID, f.name, f.slug, f.config, f.archived = a.id, c.Name, c.Slug, c, false
		s.scheduleLocked(f)
	}
	for _, f := range s.functions {
		if f.appID == a.id && !served[f.slug] {
			f.archived = true
			s.unscheduleLocked(f)
		}
	}
}

func (s *Server) activeFunctionLocked(appID, slug string) *function {
	for _, f := range s.functions {
		if f.appID == appID && f.slug == slug && !f.archived {
			return f
		}
	}
	return nil
}

func (s *Server) functionLocked(id string) *function {
	for _, f := range s.functions {
		if f.id == id {
			return f
		}
	}
	return nil
}

func (s *Server) appLocked(id string) *app {
	for _, a := range s.apps {
		if a.id == id {
			return a
		}
	}
	return nil
}

// functionsOfLocked lists an app's functions in the order of registration.
func (s *Server) functionsOfLocked(appID string) []*function {
	var all []*function
	for _, f := range s.functions {
		if f.appID == appID && !f.archived {
			all = append(all, f)
		}
	}
	return all
}

// plainJSON writes JSON without setting a content type, as several of the
// server's routes do. net/http then sends text/plain.
func plainJSON(w http.ResponseWriter, status int, v any) {
	raw, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(raw, '\n'))
}
