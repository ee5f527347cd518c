package catalog

// Version is the version of the encoded form. Decode refuses newer ones.
const Version = 1

// Catalog lists what the indexes of one worker image register.
type Catalog struct {
	Version int     `json:"version"`
	Indexes []Index `json:"indexes"`
	// Unresolved lists everything that cannot be determined without running
	// the program. If it is empty, the catalog is complete.
	Unresolved []Unresolved `json:"unresolved,omitempty"`
	// Orphans are functions that are created but that no index exports.
	Orphans []Function `json:"orphans,omitempty"`
	// Others are modules that register functions of these sources but are not
	// among the indexes. Functions that they register are not orphans.
	Others []Other `json:"others,omitempty"`
}

// Other is a module that registers functions but is not an index of the
// catalog.
type Other struct {
	Path string `json:"path"`
	Line int    `json:"line"` // of the call that registers them
	// Worker is the worker in .sbw.yaml that has it as an index, if there is one.
	Worker string `json:"worker,omitempty"`
	// Functions is how many functions it registers.
	Functions int `json:"functions"`
	// Only lists the ids of those that no index of the catalog registers, and
	// Perhaps the ids of others that it may register.
	Only    []string `json:"only,omitempty"`
	Perhaps []string `json:"perhaps,omitempty"`
	// Incomplete is the reason, with its place, why the module may register more
	// functions; empty if it cannot.
	Incomplete string `json:"incomplete,omitempty"`
}

// Index is one module whose exports are registered.
type Index struct {
	Path      string     `json:"path"`
	Functions []Function `json:"functions"`
	// Candidates are functions that may be registered as well; Unresolved says
	// why that is not known. They are checked like the others, but not
	// compared.
	Candidates []Function `json:"candidates,omitempty"`
	// SDK is the version of the npm package inngest, as precisely as the
	// sources state it: "3.54.2", "^3.54.0", or empty.
	SDK string `json:"sdk,omitempty"`
	// Incomplete means that functions may be missing; Unresolved says where.
	Incomplete bool `json:"incomplete,omitempty"`
}

// Function is one call of createFunction.
type Function struct {
	ID          string        `json:"id"`
	Name        string        `json:"name,omitempty"`
	App         string        `json:"app,omitempty"` // the id of the app that registers it, if known
	Retries     Retries       `json:"retries"`
	Triggers    []Trigger     `json:"triggers,omitempty"`
	Concurrency []Concurrency `json:"concurrency,omitempty"`
	// OnFailure means that the SDK registers a second function, ID +
	// "-failure".
	OnFailure bool   `json:"onFailure,omitempty"`
	File      string `json:"file"`
	Line      int    `json:"line"`
	// Via is the place (file:line) of the call of the factory that creates the
	// function: the innermost one whose arguments contain the id, or else the
	// one that calls createFunction.
	Via string `json:"via,omitempty"`
	// Uncalled means that the call was found, but that nothing calls the
	// function that contains it. Only orphans can have it.
	Uncalled bool `json:"uncalled,omitempty"`
	// Throws says why the SDK throws when the function is created, which stops
	// the worker. It is not encoded, because no such image can run.
	Throws string `json:"throws,omitempty"`
	// Handler is the number of the call of serve or connect that registers the
	// function, counted from 1. It is 0 for a function that is exported.
	Handler int `json:"-"`
	// Steps are the steps of the function's handler, or nil if they were not
	// looked for.
	Steps *Steps `json:"steps,omitempty"`
	// Batch is set if the function receives events in batches.
	Batch *Batch `json:"batch,omitempty"`
	// Undecided names the fields that cannot be determined ("retries",
	// "triggers"). Catalog.Unresolved says why.
	Undecided []string `json:"undecided,omitempty"`
}

// Steps are the steps that a handler may run. A run that is between two of them
// goes on with the code of the version that is there then.
type Steps struct {
	// IDs are in the order of the text, each once.
	IDs []Step `json:"ids"`
	// Open says that there may be others; Why says why, with its place.
	Open bool   `json:"open,omitempty"`
	Why  string `json:"why,omitempty"`
}

// Step is one step. Where it is run more than once, as in a loop, the SDK makes
// "ID:1", "ID:2" of the later ones (STEP_INDEXING_SUFFIX).
type Step struct {
	// Kind is the tool's name: run, sleep, waitForEvent, ai.infer.
	Kind string `json:"kind"`
	ID   string `json:"id"`
}

// Retries is how often a failed step is retried.
type Retries struct {
	Value    int  `json:"value"`
	Explicit bool `json:"explicit,omitempty"` // whether the source sets it; otherwise it is the server's default
}

// Batch describes how events are batched.
type Batch struct {
	MaxSize int `json:"maxSize"`
	// With lists options of the function that cannot be combined with
	// batching.
	With []string `json:"with,omitempty"`
}

// DefaultRetries is what the server uses for a function without retries
// (inngest: pkg/consts.DefaultRetryCount).
const DefaultRetries = 4

// Trigger is what starts a function: an event, with an optional CEL expression,
// or a schedule.
type Trigger struct {
	Event      string `json:"event,omitempty"`
	Expression string `json:"expression,omitempty"`
	Cron       string `json:"cron,omitempty"`
}

// String describes a trigger: "event a/b", "event a/b if …", "cron 0 * * * *".
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

// Concurrency is one limit on the number of steps that run at the same time.
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
	// What names the part of the catalog that is missing because of it.
	What string `json:"what"`
	// Why says why it cannot be determined.
	Why string `json:"why"`
}

// Empty reports whether the catalog contains nothing about Inngest.
func (c *Catalog) Empty() bool {
	for _, i := range c.Indexes {
		if len(i.Functions) > 0 {
			return false
		}
	}
	return len(c.Unresolved) == 0 && len(c.Orphans) == 0 && len(c.Others) == 0
}
