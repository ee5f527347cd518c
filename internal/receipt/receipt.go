// Package receipt records what was shipped, by which user and with what result.
// Store keeps a JSON document in the user's state directory for each run of
// either plugin. Record and History keep a short history in the annotations of
// the workload itself. Hook passes each document on to a command.
//
// The file is for the user who shipped. It is complete and includes the evidence.
// The annotations are for everyone who can read the workload. They contain one
// line per run, and their number and size are limited. A hook is a command of the
// user's choice that gets the document on stdin.
//
// # Decisions
//
// A receipt is written once, at the end of a run, and never modified. Readers
// accept documents of other versions: unknown fields are ignored, and missing
// ones are empty. If a receipt cannot be stored, or a hook fails, the run does
// not fail but warns, because the cluster has already changed by then.
//
// # Adding a field
//
// Add it with omitempty. Increase Version only if a field changes its meaning.
package receipt

import (
	"encoding/json"
	"math"
	"time"

	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Version is the version of the documents that are written.
const Version = 1

// Receipt is one run.
type Receipt struct {
	Version int    `json:"version"`
	Command string `json:"command"` // publish, rollout, undo
	Program string `json:"program,omitempty"`
	Worker  string `json:"worker"`

	Image    Image  `json:"image"`
	Previous string `json:"previous,omitempty"` // the reference that was replaced
	Commit   string `json:"commit,omitempty"`
	Dirty    bool   `json:"dirty,omitempty"` // built from a tree with uncommitted changes
	Source   string `json:"source,omitempty"`
	By       By     `json:"by"`

	Started time.Time `json:"started"`
	Seconds float64   `json:"seconds"`
	Stages  []Stage   `json:"stages,omitempty"`

	// End is the name of the outcome in package pipeline; Code is the exit code.
	End         string     `json:"end"`
	Code        int        `json:"exitCode"`
	Interrupted bool       `json:"interrupted,omitempty"`
	Error       string     `json:"error,omitempty"`
	NotUndone   []string   `json:"notUndone,omitempty"` // what went wrong while restoring
	Findings    []Finding  `json:"findings,omitempty"`
	Evidence    []Evidence `json:"evidence,omitempty"`

	Target    *Target         `json:"target,omitempty"`    // of a rollout
	Functions []string        `json:"functions,omitempty"` // IDs of the functions that are registered at the end
	Inngest   *Inngest        `json:"inngest,omitempty"`
	Manifest  json.RawMessage `json:"manifest,omitempty"` // the changes to manifest files, so that they can be undone

	// Path is the file that the document was read from or written to.
	Path string `json:"-"`
}

// Image is what was shipped.
type Image struct {
	Repository string   `json:"repository"`
	Tag        string   `json:"tag,omitempty"`
	Digest     string   `json:"digest,omitempty"`
	Platforms  []string `json:"platforms,omitempty"`
	Bytes      int64    `json:"bytes,omitempty"`  // of all layers, compressed
	Pushed     int64    `json:"pushed,omitempty"` // the part that was sent
}

// String returns the reference, REPOSITORY:TAG@DIGEST.
func (i Image) String() string {
	return imageref.Reference{Repository: imageref.Split(i.Repository).Repository, Tag: i.Tag, Digest: i.Digest}.String()
}

// ParseImage splits a reference. Missing parts are empty.
func ParseImage(ref string) Image {
	r := imageref.Split(ref)
	return Image{Repository: r.Repository.String(), Tag: r.Tag, Digest: r.Digest}
}

// By is the user who shipped.
type By struct {
	GitHub string `json:"github,omitempty"` // login
	Kube   string `json:"kube,omitempty"`   // the user as the API server sees it
	Host   string `json:"host,omitempty"`
}

// String returns the name that people know: the login, or else the cluster's
// user.
func (b By) String() string {
	if b.GitHub != "" {
		return b.GitHub
	}
	return b.Kube
}

// Stage is a stage and how long it took.
type Stage struct {
	Name    string    `json:"name"`
	Started time.Time `json:"started"`
	Seconds float64   `json:"seconds"`
	Skipped string    `json:"skipped,omitempty"`
	Error   string    `json:"error,omitempty"`
}

// Finding is the stored form of a pipeline.Finding.
type Finding struct {
	Code     string   `json:"code"`
	Severity string   `json:"severity"`
	What     string   `json:"what"`
	Why      string   `json:"why,omitempty"`
	Fix      string   `json:"fix,omitempty"`
	Where    string   `json:"where,omitempty"`
	Evidence []string `json:"evidence,omitempty"`
}

// Evidence is the full text of something that a rollback would have destroyed: a
// container's log, its state, events.
type Evidence struct {
	Title string `json:"title"` // pod/x container/y, previous log
	Text  string `json:"text"`
}

// Target is the workload that was changed, in its state at the end of the run.
type Target struct {
	Context    string `json:"context,omitempty"`
	Namespace  string `json:"namespace"`
	Kind       string `json:"kind"`
	Name       string `json:"name"`
	Container  string `json:"container,omitempty"`
	ReplicaSet string `json:"replicaSet,omitempty"`
	// Made is the revision that this run rolled out. It differs from Revision if it
	// was rolled back.
	Made string `json:"made,omitempty"`
	Pods []Pod  `json:"pods,omitempty"`
}

// Pod is a pod that was serving at the end.
type Pod struct {
	Name    string `json:"name"`
	UID     string `json:"uid"`
	Node    string `json:"node,omitempty"`
	ImageID string `json:"imageID,omitempty"`
}

// Inngest is the result of the registration.
type Inngest struct {
	Server  string   `json:"server,omitempty"`
	App     string   `json:"app,omitempty"`
	URL     string   `json:"url,omitempty"` // the worker's app ID on the server
	Synced  bool     `json:"synced"`
	Missing []string `json:"missing,omitempty"` // in the catalog, not registered
	Extra   []string `json:"extra,omitempty"`
	Removed []string `json:"removed,omitempty"` // stale apps that were deleted
}

// Finish adds the outcome of the run to the receipt.
func (r *Receipt) Finish(o pipeline.Outcome) {
	r.Version = Version
	r.Started, r.Seconds = o.Started.UTC(), seconds(o.Duration)
	r.End, r.Code, r.Interrupted = o.End.String(), o.ExitCode(), o.Interrupted
	if o.Err != nil {
		r.Error = o.Err.Error()
	}
	for _, err := range o.UndoErrs {
		r.NotUndone = append(r.NotUndone, err.Error())
	}
	for _, f := range o.Findings {
		r.Findings = append(r.Findings, Finding{string(f.Code), f.Severity.String(), f.What, f.Why, f.Fix, f.Where, f.Evidence})
	}
	for _, s := range o.Stages {
		r.Stages = append(r.Stages, Stage{s.Name, s.Started.UTC(), seconds(s.Duration), s.Skipped, s.Error})
	}
}

// seconds converts a duration to seconds, rounded to the millisecond.
func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }
