package rollout

import (
	"errors"
	"fmt"
	"time"

	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/probe"
)

// Result is what a rollout, undo or doctor came to. Fields are added and never
// renamed.
type Result struct {
	Workload  string             `json:"workload"`
	Namespace string             `json:"namespace"`
	Context   string             `json:"context,omitempty"`
	Tag       string             `json:"tag,omitempty"`
	Image     string             `json:"image,omitempty"`
	Previous  string             `json:"previous,omitempty"` // what ran before
	Revision  int64              `json:"revision,omitempty"` // that undo went back to
	DryRun    string             `json:"dryRun,omitempty"`   // client or server
	Seconds   float64            `json:"seconds"`
	Restored  []string           `json:"restored,omitempty"` // what was put back
	Changes   []Change           `json:"changes,omitempty"`  // made, or that a dry run would make
	Objects   []map[string]any   `json:"objects,omitempty"`  // that --dry-run=client would apply
	Diff      string             `json:"diff,omitempty"`     // with --diff
	Verdict   *verdict.Verdict   `json:"verdict,omitempty"`
	Probes    []probe.Answer     `json:"probes,omitempty"`
	Refreshed *inngest.Refreshed `json:"registration,omitempty"`
	Lost      []judge.LostRun    `json:"lostRuns,omitempty"`
	Settled   bool               `json:"oldPodsGone"`
	// Strategy is how the new version took the old one's place, or is to.
	Strategy *handover.Choice `json:"strategy,omitempty"`
	// SwitchedAt is when the Services were led to the new version.
	SwitchedAt time.Time `json:"switchedAt,omitzero"`
	// Container is the one that gets the image.
	Container string `json:"-"`
}

// Change is what became, or would become, of one object.
type Change struct {
	Object    string       `json:"object"` // deployment.apps/worker
	Namespace string       `json:"namespace,omitempty"`
	Action    apply.Action `json:"action"`
}

// Making is the image that the run makes live, "" while it is not known.
func (r *Run) Making() string { return r.making() }

// Previous is the image that ran before, "" where nothing did.
func (r *Run) Previous() string { return r.facts.previous() }

// Result returns what the run came to.
func (r *Run) Result(out pipeline.Outcome) Result {
	s := &r.found
	res := Result{
		Workload: r.Ref.String(), Namespace: r.Ref.Namespace, Context: r.Conn.Context,
		Tag: r.tag(), Image: r.making(), Previous: r.facts.previous(), Restored: r.restored(), Seconds: out.Duration.Seconds(),
		Probes: s.probes, Refreshed: s.refreshed, Lost: s.lost, Settled: s.settled, Container: r.container(),
	}
	if c, ok := r.facts.choice.Peek(); ok && c.Strategy != "" {
		res.Strategy = &c
	}
	res.SwitchedAt = s.handed
	if s.revision != nil {
		res.Revision = s.revision.Number
	}
	if r.DryRun != DryRunNone {
		res.DryRun = string(r.DryRun)
	}
	for _, one := range s.applied {
		res.Changes = append(res.Changes, Change{Object: one.String(), Namespace: one.Namespace, Action: one.Action})
	}
	for _, o := range s.rendered {
		res.Objects = append(res.Objects, o.Object)
	}
	if text, err := r.DiffText(); err == nil { // else whoever prints the diff reports it
		res.Diff = text
	}
	if s.watched.Verdict.State != "" {
		res.Verdict = &s.watched.Verdict
	}
	return res
}

// tag is the tag that the run makes live.
func (r *Run) tag() string {
	if r.Image.Tag != "" {
		return r.Image.Tag
	}
	return imageref.Split(r.making()).Tag
}

// restored names what was put back: the workload's image, and that of the file.
func (r *Run) restored() []string {
	s := &r.found
	all := s.restored
	if w := s.stamped; len(w) > 0 && s.unstamped { // the oldest first: its text is what is there again
		all = append(all, fmt.Sprintf("%s: %s", r.Short(w[0].File), w[0].Old))
	}
	return all
}

// DiffText is what the apply changed, or would change; empty where it was not
// asked for.
func (r *Run) DiffText() (string, error) {
	if !r.Diff {
		return "", nil
	}
	return apply.Diff(r.found.applied)
}

// Rendered are the objects that --dry-run=client would apply.
func (r *Run) Rendered() []apply.Object { return r.found.rendered }

// Warning returns err as a finding when it is no graver than a warning, else nil.
func Warning(err error) *pipeline.Finding {
	if f, ok := errors.AsType[*pipeline.Finding](err); ok && f.Severity < pipeline.Error {
		return f
	}
	return nil
}

// count is a number with its noun: 1 function, 2 functions.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
