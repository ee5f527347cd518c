// Package model contains the types of Inngest that client, sdk and judge
// share: apps, functions, runs and the spans of their traces. It does not send
// requests.
package model

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Wanted identifies a registration: by the app's id in the worker, and by the
// URL under which the server should call the worker, including the SDK's path.
// Both count when an app is chosen; its place in the list never does.
type Wanted struct {
	App string `json:"app"`
	URL string `json:"url"`
}

// At reports whether an app is registered at the wanted URL.
func (w Wanted) At(a App) bool { return NormalizeURL(a.URL) == NormalizeURL(w.URL) }

// BySlug returns the functions sorted by slug.
func BySlug(all []Function) []Function {
	return slices.SortedFunc(slices.Values(all), func(a, b Function) int { return strings.Compare(a.Slug, b.Slug) })
}

func (c Concurrency) String() string {
	s := fmt.Sprintf("%d", c.Limit)
	if c.Scope != "" && c.Scope != "FUNCTION" {
		s += " per " + strings.ToLower(c.Scope)
	}
	if c.Key != "" {
		s += " by " + c.Key
	}
	return s
}

// MethodConnect is the method of an app whose worker dials the server.
const MethodConnect = "CONNECT"

// SortedKeys returns the keys of a map in order.
func SortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// NormalizeURL writes an app's URL as the server stores it: 127.0.0.1 and
// 0.0.0.0 become localhost, and a default port and the query parameters of
// probes are removed (pkg/util/normalize.go). Two URLs name the same worker if
// their normal forms are equal.
func NormalizeURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	q := u.Query()
	q.Del("deployId")
	q.Del("probe")
	u.RawQuery = q.Encode()
	host, port := u.Hostname(), u.Port()
	if (port == "80" && u.Scheme == "http") || (port == "443" && u.Scheme == "https") {
		port = ""
	}
	if u.Port() == "" {
		return u.String()
	}
	switch host {
	case "127.0.0.1", "0.0.0.0":
		host = "localhost"
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" {
		host += ":" + port
	}
	u.Host = host
	return u.String()
}

// App is one registration on the server.
type App struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// URL is what the server calls, SDK path included.
	URL string `json:"url"`
	// Error is the server's code for the last sync: unreachable, unauthorized,
	// no_functions, … It stays empty for an app whose worker is gone, because
	// the server does not call the worker again. So it does not show whether
	// the worker is alive.
	Error      string     `json:"error,omitempty"`
	Method     string     `json:"method,omitempty"` // SERVE, CONNECT, API; empty before 1.4.7
	SDK        string     `json:"sdk,omitempty"`    // "js v3.54.2"
	Framework  string     `json:"framework,omitempty"`
	AppVersion string     `json:"appVersion,omitempty"`
	Checksum   string     `json:"checksum,omitempty"`
	Functions  []Function `json:"functions"` // sorted by slug
	// Beside are other apps whose requests reach the same worker, at another path: its
	// pods execute their steps as well.
	Beside []App `json:"-"`
}

// String names the app and where it is registered.
func (a App) String() string { return fmt.Sprintf("%s at %s", a.Name, a.URL) }

// IDs lists the ids of the app and of those beside it; nil if the app has none.
func (a App) IDs() []string {
	var ids []string
	for _, one := range append([]App{a}, a.Beside...) {
		if one.ID != "" {
			ids = append(ids, one.ID)
		}
	}
	return ids
}

// Executes lists the functions of the app and of those beside it.
func (a App) Executes() []Function {
	all := slices.Clone(a.Functions)
	for _, one := range a.Beside {
		all = append(all, one.Functions...)
	}
	return all
}

// Slugs lists the app's functions.
func (a App) Slugs() []string {
	all := make([]string, len(a.Functions))
	for i, f := range a.Functions {
		all[i] = f.Slug
	}
	return all
}

// DefaultRetries is what the server uses for a function without retries
// (consts.DefaultRetryCount).
const DefaultRetries = 4

// Function is one function, as the server has it or as the worker serves it.
type Function struct {
	ID          string        `json:"id,omitempty"` // of the server
	Slug        string        `json:"slug"`         // APP-FUNCTION
	Name        string        `json:"name"`
	App         string        `json:"app"` // its name
	Triggers    []Trigger     `json:"triggers"`
	Retries     int           `json:"retries"`
	Concurrency []Concurrency `json:"concurrency,omitempty"`
	URL         string        `json:"url,omitempty"`
}

// FailureSuffix ends the slugs of the handlers that an SDK generates for
// onFailure; their retries are fixed at 1 there.
const FailureSuffix = "-failure"

// FailedEvent is what the server sends when a run has failed.
const FailedEvent = "inngest/function.failed"

// IsFailureHandler reports whether an SDK generated the function for the
// onFailure of another one: it listens to the failures of exactly that function.
// Its slug alone does not show that, because users name functions like that, too;
// one of theirs may even listen to the failures of all functions.
func (f Function) IsFailureHandler() bool {
	of, ok := strings.CutSuffix(f.Slug, FailureSuffix)
	return ok && slices.ContainsFunc(f.Triggers, func(t Trigger) bool {
		// event.data.function_id == 'SLUG', for any of the SDKs
		return t.Event == FailedEvent && strings.Contains(strings.ReplaceAll(t.Condition, `"`, "'"), "'"+of+"'")
	})
}

// LocalID returns the function's id in its source, without the app's name.
func (f Function) LocalID() string { return strings.TrimPrefix(f.Slug, f.App+"-") }

// Trigger starts a function.
type Trigger struct {
	Event     string `json:"event,omitempty"`
	Cron      string `json:"cron,omitempty"`
	Condition string `json:"condition,omitempty"`
}

func (t Trigger) String() string {
	s := t.Event
	if t.Cron != "" {
		s = "cron " + t.Cron
	}
	if t.Condition != "" {
		s += " if " + t.Condition
	}
	return s
}

// Concurrency is one limit of a function. It does not include the limit of the
// server's plan, which the function does not set.
type Concurrency struct {
	Scope string `json:"scope,omitempty"`
	Key   string `json:"key,omitempty"`
	Limit int    `json:"limit"`
}

// RunStatus is a run's state. The server may have more than these.
type RunStatus string

// These are states of runs.
const (
	Completed RunStatus = "COMPLETED"
	Failed    RunStatus = "FAILED"
	Cancelled RunStatus = "CANCELLED"
	Running   RunStatus = "RUNNING" // executing, sleeping, waiting, or before a retry
	Queued    RunStatus = "QUEUED"
	Skipped   RunStatus = "SKIPPED" // since 1.17
)

// Ended reports whether the run has reached its final state. An unknown state
// counts as not ended, so that the run is shown and not dropped.
func (s RunStatus) Ended() bool {
	return s == Completed || s == Failed || s == Cancelled || s == Skipped
}

// Run is one run of a function. Started and Ended are zero until a trace has
// been read, because the list's times have misleading names.
type Run struct {
	ID         string    `json:"id"`
	AppID      string    `json:"appID"`
	FunctionID string    `json:"functionID"`
	Slug       string    `json:"function"` // empty when the server no longer knows the function
	Status     RunStatus `json:"status"`
	Queued     time.Time `json:"queuedAt,omitzero"`
	Started    time.Time `json:"startedAt,omitzero"`
	Ended      time.Time `json:"endedAt,omitzero"`
	Event      string    `json:"event,omitempty"`
	Cron       string    `json:"cron,omitempty"`
	// Step is the current step of an active run, Attempt its number from 0,
	// and Error the message of the last failure.
	Step    string `json:"step,omitempty"`
	Attempt int    `json:"attempt"`
	Error   string `json:"error,omitempty"`

	// FailedAt is when the last attempt began if it failed and another one
	// follows; zero otherwise.
	FailedAt time.Time `json:"-"`
	// CutAfter is the time after which each attempt of the failed step was cut
	// off; zero if the times differ.
	CutAfter time.Duration `json:"-"`

	Events []string `json:"-"` // ids of the events that triggered it
}

// Span is a node of a run's trace.
type Span struct {
	Name     string     `json:"name"`
	Status   RunStatus  `json:"status"` // WAITING as well
	Attempts int        `json:"attempts"`
	Queued   time.Time  `json:"queuedAt"`
	Started  *time.Time `json:"startedAt"`
	Ended    *time.Time `json:"endedAt"`
	StepOp   string     `json:"stepOp"` // RUN, SLEEP, INVOKE, WAIT_FOR_EVENT, …; empty until the server knows it
	StepID   string     `json:"stepID"`
	Root     bool       `json:"isRoot"`
	OutputID string     `json:"outputID"`
	Children []Span     `json:"childrenSpans"`
	// Failure is the error message of a failed span if the server includes it
	// (REST); otherwise OutputID is used to read it.
	Failure string `json:"-"`
}

// Began is when the span started or, before that, when it was queued.
func (s *Span) Began() time.Time {
	if s.Started != nil {
		return *s.Started
	}
	return s.Queued
}

// Walk visits a span and all of its descendants, each with its parent.
func Walk(s *Span, visit func(s, parent *Span)) {
	var down func(s, parent *Span)
	down = func(s, parent *Span) {
		visit(s, parent)
		for i := range s.Children {
			down(&s.Children[i], s)
		}
	}
	down(s, nil)
}

// URLAppID returns the id that a server before 1.15 gives an app, and that
// every server gives the placeholder of createApp: a name-based UUID of the
// normalised URL (pkg/inngest DeterministicAppUUID).
func URLAppID(url string) string {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte(NormalizeURL(url))).String()
}
