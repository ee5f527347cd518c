package rollout

import (
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// FleetResult is the result of a run into several contexts. Fields are added and
// never renamed.
type FleetResult struct {
	Tag      string       `json:"tag,omitempty"`
	DryRun   string       `json:"dryRun,omitempty"`
	Manifest *StampResult `json:"manifest,omitempty"`
	Seconds  float64      `json:"seconds"`
	// Contexts are in the order of the waves.
	Contexts []ContextResult `json:"contexts"`
	// ChecksOnly is set if only the preflights were to run.
	ChecksOnly bool `json:"-"`
}

// StampResult is what happened to the checkout's manifest file.
type StampResult struct {
	File     string `json:"file"`
	Image    string `json:"image"` // the image that the file names now
	Restored bool   `json:"restored"`
}

// ContextResult is the result of one cluster.
type ContextResult struct {
	Run     *Run
	Name    string
	Outcome pipeline.Outcome
	// Started is false if the cluster's turn did not come.
	Started bool
	Result
}

// Result returns the result of the run.
func (f *Fleet) Result(out pipeline.Outcome) FleetResult {
	first := f.members[0]
	res := FleetResult{
		Tag:        first.Image.Tag,
		Seconds:    out.Duration.Seconds(),
		Manifest:   f.stamped(),
		Contexts:   []ContextResult{},
		ChecksOnly: f.stamp == nil,
	}
	if first.DryRun != DryRunNone {
		res.DryRun = string(first.DryRun)
	}
	for _, m := range f.members {
		res.Contexts = append(res.Contexts, ContextResult{Run: m.Run, Name: m.name, Outcome: m.out, Started: m.started, Result: m.Result(m.out)})
	}
	return res
}

func (f *Fleet) stamped() *StampResult {
	if f.stamp == nil || len(f.stamp.found.stamped) == 0 {
		return nil
	}
	written := f.stamp.found.stamped
	s := &StampResult{File: written[0].File, Image: written[len(written)-1].New}
	if f.stamp.found.unstamped {
		s.Image, s.Restored = written[0].Old, true
	}
	return s
}

// Now returns the image that the context has now ("" if none), and whether that is
// known.
func (c ContextResult) Now() (image string, known bool) {
	switch {
	case c.Started && c.Outcome.End == pipeline.Done:
		return c.Image, true
	case c.Started && c.Outcome.End == pipeline.Left:
		return "", false
	}
	return c.Previous, true
}
