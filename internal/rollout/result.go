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

// Result is the result of a rollout, undo or doctor. Fields are added and never
// renamed.
type Result struct {
	Workload  string           `json:"workload,omitempty" doc:"the workload, as KIND/NAME"`
	Namespace string           `json:"namespace,omitempty" doc:"its namespace"`
	Context   string           `json:"context,omitempty" doc:"the kubeconfig's context"`
	Tag       string           `json:"tag,omitempty" doc:"the tag that was to be rolled out"`
	Image     string           `json:"image,omitempty" doc:"the image that was to be rolled out: NAME:TAG@sha256:…"`
	Previous  string           `json:"previous,omitempty" doc:"the image that was running before"`
	Revision  int64            `json:"revision,omitempty" doc:"the revision that undo went back to"`
	DryRun    string           `json:"dryRun,omitempty" doc:"client or server"`
	Seconds   float64          `json:"seconds" doc:"how long it took"`
	Restored  []string         `json:"restored,omitempty" doc:"what was restored"`
	Changes   []Change         `json:"changes,omitempty" doc:"what was changed, or would be by a dry run, each with object, namespace, action"`
	Objects   []map[string]any `json:"objects,omitempty" doc:"the objects that --dry-run=client would apply"`
	Diff      string           `json:"diff,omitempty" doc:"with --diff, the difference"`
	Proof
	Strategy *handover.Choice `json:"strategy,omitempty" doc:"how the new version replaces the old one, and why"`
	// SwitchedAt is zero if there was no switch.
	SwitchedAt time.Time `json:"switchedAt,omitzero" doc:"when the Services switched to the new version"`
	// Startup is nil if no new pod ran.
	Startup *Startup `json:"startup,omitempty" doc:"where the time until a new pod was Ready went, with pod and seconds"`
	// DrainSeconds is zero if the old pods were not waited for.
	DrainSeconds float64 `json:"drainSeconds,omitempty" doc:"the time from the switch until no step was executing on the old pods"`
	// Container is the container that gets the image.
	Container string `json:"-"`
}

// Proof is what a run has found out about the version that it made live. Its fields
// are among those of the Result, in the documents too.
type Proof struct {
	Verdict   *verdict.Verdict   `json:"verdict,omitempty" doc:"the state of the rollout, with state, cause, wanted, updated, ready, pods"`
	Probes    []probe.Answer     `json:"probes,omitempty" doc:"what the new pods answered"`
	Refreshed *inngest.Refreshed `json:"registration,omitempty" doc:"what was registered with Inngest"`
	Lost      []judge.LostRun    `json:"lostRuns,omitempty" doc:"runs that the restart killed"`
	Settled   bool               `json:"oldPodsGone" doc:"whether the pods of the previous version are gone"`
}

// Change is what happened, or would happen, to one object.
type Change struct {
	Object    string       `json:"object"` // deployment.apps/worker
	Namespace string       `json:"namespace,omitempty"`
	Action    apply.Action `json:"action"`
}

// Result returns the result of the run.
func (r *Run) Result(out pipeline.Outcome) Result {
	s := &r.found
	res := Result{
		Workload: r.Ref.String(), Namespace: r.Ref.Namespace, Context: r.Conn.Context,
		Tag: r.tag(), Image: r.making(), Previous: r.facts.previous(), Restored: r.restored(), Seconds: out.Duration.Seconds(),
		Proof:     Proof{Probes: s.probes, Refreshed: s.refreshed, Lost: s.lost, Settled: s.settled},
		Container: r.container(),
	}
	if c, ok := r.facts.choice.Peek(); ok && c.Strategy != "" {
		res.Strategy = &c
	}
	res.SwitchedAt, res.Startup, res.DrainSeconds = s.handed, s.startup, s.drainTook().Seconds()
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
	if text, err := r.DiffText(); err == nil { // an error is reported where the diff is printed
		res.Diff = text
	}
	if s.watched.Verdict.State != "" {
		res.Verdict = &s.watched.Verdict
	}
	return res
}

// tag returns the tag that the run makes live.
func (r *Run) tag() string {
	if r.Image.Tag != "" {
		return r.Image.Tag
	}
	return imageref.Split(r.making()).Tag
}

// restored names what was restored: the workload's image, and the image in the file.
func (r *Run) restored() []string {
	s := &r.found
	all := s.restored
	if w := s.stamped; len(w) > 0 && s.unstamped { // oldest first: the file has that edit's original text again
		all = append(all, fmt.Sprintf("%s: %s", r.Short(w[0].File), w[0].Old))
	}
	return all
}

// DiffText returns what the apply changed, or would change. It is empty if no diff was
// requested.
func (r *Run) DiffText() (string, error) {
	if !r.Diff {
		return "", nil
	}
	return apply.Diff(r.found.applied)
}

// Rendered returns the objects that --dry-run=client would apply.
func (r *Run) Rendered() []apply.Object { return r.found.rendered }

// Warning returns err as a finding if it is at most a warning, else nil.
func Warning(err error) *pipeline.Finding {
	if f, ok := errors.AsType[*pipeline.Finding](err); ok && f.Severity < pipeline.Error {
		return f
	}
	return nil
}

// count formats a number with its noun: 1 function, 2 functions.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
