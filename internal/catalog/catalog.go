package catalog

// Version is the version of the encoded form; a reader refuses a newer one.
const Version = 1

// Catalog is what the indexes of one worker image register.
type Catalog struct {
	Version int     `json:"version"`
	Indexes []Index `json:"indexes"`
	// Unresolved is everything that cannot be determined without running the
	// program. An empty list means that the catalog is complete.
	Unresolved []Unresolved `json:"unresolved,omitempty"`
	// Orphans are functions that are created but exported from no index.
	Orphans []Function `json:"orphans,omitempty"`
}

// Index is one module whose exports are registered.
type Index struct {
	Path      string     `json:"path"`
	Functions []Function `json:"functions"`
	// Candidates are functions that may be registered as well: whether they are
	// is Unresolved. They are checked like the others, but not compared.
	Candidates []Function `json:"candidates,omitempty"`
	// SDK is the version of the npm package inngest, as exactly as the sources
	// give it: "3.54.2", "^3.54.0", or empty.
	SDK string `json:"sdk,omitempty"`
	// Incomplete says that functions may be missing; Unresolved says where.
	Incomplete bool `json:"incomplete,omitempty"`
}

// Function is one call of createFunction.
type Function struct {
	ID          string        `json:"id"`
	Name        string        `json:"name,omitempty"`
	App         string        `json:"app,omitempty"` // the id of the app that registers it, where it is known
	Retries     Retries       `json:"retries"`
	Triggers    []Trigger     `json:"triggers,omitempty"`
	Concurrency []Concurrency `json:"concurrency,omitempty"`
	// OnFailure says that the SDK registers a second function, ID + "-failure".
	OnFailure bool   `json:"onFailure,omitempty"`
	File      string `json:"file"`
	Line      int    `json:"line"`
	// Via is the place (file:line) of the call that led to createFunction, for
	// a function that a factory makes.
	Via string `json:"via,omitempty"`
	// Uncalled says that the call was found but that nothing calls the function
	// it is written in; only an orphan can have it.
	Uncalled bool `json:"uncalled,omitempty"`
	// Throws says why the SDK throws when it is created, which the worker does
	// not survive. The encoded form leaves it out: no such image runs.
	Throws string `json:"throws,omitempty"`
	// Handler numbers the call of serve or connect that registers the function,
	// from 1; it is 0 for one that is exported.
	Handler int `json:"-"`
	// Batch is set where the function takes events in batches.
	Batch *Batch `json:"batch,omitempty"`
	// Undecided names the fields that cannot be determined ("retries",
	// "triggers"); Catalog.Unresolved says why.
	Undecided []string `json:"undecided,omitempty"`
}

// Retries is how often a failed step is tried again.
type Retries struct {
	Value    int  `json:"value"`
	Explicit bool `json:"explicit,omitempty"` // written in the source; else the server's default
}

// Batch is how events are batched.
type Batch struct {
	MaxSize int `json:"maxSize"`
	// With are the options of the function that cannot be combined with it.
	With []string `json:"with,omitempty"`
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

// String names a trigger: "event a/b", "event a/b if …", "cron 0 * * * *".
func (t Trigger) String() string {
	switch {
	case t.Cron == "" && t.Event == "":
		return "nothing"
	case t.Cron != "":
		return "cron " + t.Cron
	case t.Expression != "":
		return "event " + t.Event + " if " + t.Expression
	}
	return "event " + t.Event
}

// Concurrency is one limit on steps that run at the same time.
type Concurrency struct {
	Limit int    `json:"limit"`
	Key   string `json:"key,omitempty"`
	Scope string `json:"scope,omitempty"`
}

// Unresolved is one thing that cannot be determined from the sources.
type Unresolved struct {
	Index string `json:"index,omitempty"`
	File  string `json:"file"`
	Line  int    `json:"line"`
	// What is missing from the catalog because of it.
	What string `json:"what"`
	// Why it cannot be determined.
	Why string `json:"why"`
}

// Empty reports whether the catalog has nothing about Inngest to report.
func (c *Catalog) Empty() bool {
	for _, i := range c.Indexes {
		if len(i.Functions) > 0 {
			return false
		}
	}
	return len(c.Unresolved) == 0 && len(c.Orphans) == 0
}
