package catalog

import (
	"context"
	"errors"
)

// Version is the version of the encoded form; a reader refuses a newer one.
const Version = 1

// Options say what to read.
type Options struct {
	// Root is the repository's root; everything in a Catalog is relative to it.
	Root string
	// Indexes are the modules whose exports a worker registers, relative to Root.
	Indexes []string
	// Env holds the environment variables whose value in the worker is known;
	// a value that depends on any other one is unresolved.
	Env map[string]string
}

// Catalog is what the indexes of one worker image register.
type Catalog struct {
	Version int     `json:"version"`
	Indexes []Index `json:"indexes"`
	// Unresolved is everything that could not be decided without running the
	// program. An empty list means that the catalog is complete.
	Unresolved []Unresolved `json:"unresolved,omitempty"`
	// Orphans are functions that are created but exported from no index.
	Orphans []Function `json:"orphans,omitempty"`
}

// Index is one module whose exports are registered.
type Index struct {
	Path      string     `json:"path"`
	Functions []Function `json:"functions"`
	// Incomplete says that functions may be missing: an Unresolved tells which.
	Incomplete bool `json:"incomplete,omitempty"`
}

// Function is one call of createFunction.
type Function struct {
	ID          string        `json:"id"`
	Name        string        `json:"name,omitempty"`
	App         string        `json:"app,omitempty"` // the client's id, where it can be decided
	Retries     Retries       `json:"retries"`
	Triggers    []Trigger     `json:"triggers,omitempty"`
	Concurrency []Concurrency `json:"concurrency,omitempty"`
	// OnFailure says that the SDK registers a second function, ID + "-failure".
	OnFailure bool   `json:"onFailure,omitempty"`
	File      string `json:"file"`
	Line      int    `json:"line"`
	// Undecided names the fields that could not be decided ("retries",
	// "triggers"); Catalog.Unresolved says why.
	Undecided []string `json:"undecided,omitempty"`
}

// Retries is how often a failed step is tried again.
type Retries struct {
	Value    int  `json:"value"`
	Explicit bool `json:"explicit,omitempty"` // written in the source; else the server's default
}

// DefaultRetries is what the server uses where a function says nothing
// (inngest: pkg/consts.DefaultRetryCount).
const DefaultRetries = 4

// Trigger is what starts a function: an event, with an optional CEL expression,
// or a schedule.
type Trigger struct {
	Event      string `json:"event,omitempty"`
	Expression string `json:"expression,omitempty"`
	Cron       string `json:"cron,omitempty"`
}

// Concurrency is one limit on steps that run at the same time.
type Concurrency struct {
	Limit int    `json:"limit"`
	Key   string `json:"key,omitempty"`
	Scope string `json:"scope,omitempty"`
}

// Unresolved is one thing that could not be decided statically.
type Unresolved struct {
	File string `json:"file"`
	Line int    `json:"line"`
	// What is missing from the catalog because of it.
	What string `json:"what"`
	// Why it cannot be decided.
	Why string `json:"why"`
}

// ErrNoFunctions is returned by Read where none of the indexes exists or none
// of them leads to Inngest.
var ErrNoFunctions = errors.New("no Inngest functions")

// Read reads the catalog of the indexes.
func Read(ctx context.Context, o Options) (*Catalog, error) {
	return nil, errors.New("not yet")
}
