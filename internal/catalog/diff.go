package catalog

// Registered is a function as the Inngest server has it.
type Registered struct {
	ID       string // without the app's prefix
	Retries  int
	Triggers []Trigger
}

// FromRegistered makes functions that can be compared with an index.
func FromRegistered(rs []Registered) []Function { return nil }

// Change is one function that differs.
type Change struct {
	ID     string    `json:"id"`
	Before *Function `json:"before,omitempty"`
	After  *Function `json:"after,omitempty"`
	What   []string  `json:"what,omitempty"` // "retries 4 → 0", "triggers …"
}

// Difference is what lies between two lists of functions.
type Difference struct {
	Added   []Change `json:"added,omitempty"`
	Removed []Change `json:"removed,omitempty"`
	Changed []Change `json:"changed,omitempty"`
}

// Empty reports whether there is no difference.
func (d Difference) Empty() bool { return len(d.Added)+len(d.Removed)+len(d.Changed) == 0 }

// Diff compares what was with what is.
func Diff(before, after []Function) Difference { return Difference{} }
