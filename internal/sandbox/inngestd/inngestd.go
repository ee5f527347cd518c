// Package inngestd is a double of the self-hosted Inngest server, which no
// package registry offers. Real workers register with it. It answers like the
// real server, and really executes their functions through the SDK's protocol,
// so a worker that is killed in the middle of a step fails and recovers as it
// would with the real server.
//
// Recordings of the real server under testdata/recordings keep it honest: a
// test sends each recorded request to a double in the recorded state and
// compares the answers, so it cannot drift unnoticed. Behaviour that is not
// recorded was read from the server's source (v1.43: pkg/devserver/api.go,
// pkg/coreapi, pkg/api, pkg/execution/executor, pkg/execution/driver).
//
// The state is in memory and, with Options.File, in a file; see state.go for what a
// restart loses.
//
// # What it leaves out
//
// Debounce, batching, rate limits, throttling, priorities, concurrency limits
// and cancellation by events are stored and shown, but do not affect the runs.
// Expressions are supported if they compare a field with a literal, which is
// what the SDK generates for failure handlers. Checkpoints and connect workers
// are refused with a message that says so.
//
// # To add a recording
//
// Put the file into testdata/recordings. If the test does not build its state
// yet, add a builder to replay_test.go; a file without a state fails the test.
package inngestd

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/vektah/gqlparser/v2/ast"
)

// Options describe the server that the double imitates. The zero value is
// `inngest start` without keys, which accepts every request.
type Options struct {
	// SigningKey is the server's --signing-key; empty turns off authentication
	// and the signing of calls to workers.
	SigningKey string
	// EventKeys are the server's --event-key values; empty accepts any key.
	EventKeys []string
	// Kind is the value of X-Inngest-Server-Kind: "cloud" (the default, as in
	// `inngest start`) or "dev".
	Kind string
	// NoUI is --no-ui: no GraphQL, no pages.
	NoUI bool
	// Without removes fields from the GraphQL schema, given as "App.method",
	// to imitate an older server.
	Without []string
	// KeyedByURL treats two URLs as two apps even if they have the same name,
	// like servers before 1.15.
	KeyedByURL bool
	// Crons runs functions on their schedules; without it, schedules are only
	// shown.
	Crons bool
	// HTTP is the client that calls the workers. Its timeout, if any, applies
	// to each step.
	HTTP *http.Client
	// Backoff returns the wait before attempt+1; nil means Table.
	Backoff func(attempt int) time.Duration
	// Now is the clock for the times in runs; nil means time.Now.
	Now func() time.Time
	// File keeps the state across restarts; empty keeps it in memory only. It is written
	// when an app changes and by Close.
	File string
	// Log gets what the real server would log; nil discards it.
	Log *slog.Logger
}

// Server is the double. It is an http.Handler; Close ends its runs.
type Server struct {
	opts   Options
	mux    *http.ServeMux
	client *http.Client
	log    *slog.Logger
	schema *ast.Schema
	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	calls  sync.WaitGroup // open requests to workers

	mu        sync.Mutex
	draining  bool // no further request to a worker begins
	ids       ulids
	apps      []*app
	functions []*function
	events    map[string]*event
	runs      []*run
	// connections are those of workers in connect mode; a registration by one
	// stands for its connection.
	connections []*connection
	waiting     []*waiter
	schedule    map[string]context.CancelFunc // keyed by function id
}

// New creates an empty server.
func New(o Options) *Server {
	if o.Kind == "" {
		o.Kind = "cloud"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Backoff == nil {
		o.Backoff = Table
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		opts: o, log: o.Log, client: callClient(o.HTTP),
		schema: loadSchema(o.Without),
		events: map[string]*event{}, schedule: map[string]context.CancelFunc{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.routes()
	if o.File != "" {
		if err := s.load(); err != nil {
			s.log.Error("the state cannot be read", "error", err)
		}
	}
	return s
}

// Drain waits until no worker executes anything, and starts nothing else: what the real
// server does on SIGTERM.
func (s *Server) Drain() {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	s.calls.Wait()
}

// Close ends every run and schedule, waits for their goroutines, and saves the state.
func (s *Server) Close() {
	s.mu.Lock()
	s.draining = true // what follows from the end is not recorded
	s.mu.Unlock()
	s.cancel()
	s.tasks.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saveLocked()
}

func (s *Server) now() time.Time { return s.opts.Now().UTC() }

// ServeHTTP answers like the real server: with the same headers on every
// answer, and with pages for unknown paths unless NoUI is set.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Origin")
	w.Header().Set(headerServerKind, s.opts.Kind)
	w.Header().Set("Date", s.now().Format(http.TimeFormat)) // by the same clock as all other times
	s.mux.ServeHTTP(w, r)
}

func (s *Server) routes() {
	m := http.NewServeMux()
	m.HandleFunc("GET /health", s.health)
	m.HandleFunc("POST /e/{key}", s.receiveEvent)
	m.HandleFunc("POST /fn/register", s.auth(s.register))
	m.HandleFunc("GET /v1/apps/{name}/functions", s.auth(s.appFunctions))
	m.HandleFunc("GET /v1/events", s.auth(s.listEvents))
	m.HandleFunc("GET /v1/events/{id}/runs", s.auth(s.eventRuns))
	m.HandleFunc("GET /v1/runs/{id}", s.auth(s.oneRun))
	if !slices.Contains(s.opts.Without, "Query.workerConnections") { // nor did older servers have this route
		m.HandleFunc("GET /v0/connect/envs/{env}/conns", s.auth(s.listConnections))
	}
	m.HandleFunc("GET /v2/apps", s.auth(s.listApps))
	m.HandleFunc("GET /v2/runs", s.auth(s.listRuns))
	m.HandleFunc("GET /v2/runs/{id}/trace", s.auth(s.runTraceREST))
	m.HandleFunc("POST /v2/runs/{id}/cancel", s.auth(s.cancelREST))
	m.HandleFunc("POST /v2/runs/{id}/rerun", s.auth(s.rerunREST))
	m.HandleFunc("POST /v2/apps/{id}/syncs", s.auth(s.syncREST))
	if !s.opts.NoUI {
		m.HandleFunc("POST /v0/gql", s.graphQL)
		// The real server answers every unknown path with its single page.
		m.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("<!doctype html><title>Inngest Server</title>\n"))
		})
	}
	s.mux = m
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"status": 200, "message": "OK"})
}
