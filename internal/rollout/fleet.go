package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Fleet is one rollout into several clusters. The preflights of all clusters run
// before anything is changed anywhere. Then follows one wave after another, in which
// each cluster runs its own pipeline with its own lock, journal, evidence, rollback
// and receipt.
//
// A later wave reuses the results of a preflight as long as they are recent enough.
// Facts that change quickly, such as the executing steps and the holder of the lock,
// are determined again by each cluster's pipeline.
//
// # The manifest
//
// The checkout has one file, so it is stamped once, before the first wave. The file
// names what was shipped last. It is restored if no cluster is left with the new
// image, as if the run had not happened. As soon as one cluster runs the new image,
// or may run it, the file stays: restoring it would let the next `kubectl apply`
// silently revert that cluster. The journal of the first context records the stamp,
// as it does in a run into one cluster.
type Fleet struct {
	// Pipeline is the whole run, with one stage per wave.
	Pipeline pipeline.Pipeline
	// Next maps an outcome that leaves something to do to the command to type.
	Next map[pipeline.End]string

	members     []*member
	maxFailures int
	sink        pipeline.Sink
	stamp       *Run       // the first member's run, which stamps the file
	recording   sync.Mutex // guards writing receipts
	unkept      []error    // errors from writing receipts
}

// member is one cluster of a fleet.
type member struct {
	*Run
	name    string
	out     pipeline.Outcome
	started bool
	cancel  context.CancelCauseFunc // cancels its run while that is in progress
}

// FleetOptions say how a rollout proceeds through the clusters.
type FleetOptions struct {
	// WaveSize is the number of clusters that are rolled out at the same time.
	WaveSize int
	// MaxFailures is how many clusters may fail before no further wave is started.
	MaxFailures int
}

// Each is one cluster of a fleet with its options.
type Each struct {
	*Target
	Options
}

// NewFleet makes a rollout into several clusters, or a restart in them. It is a usage
// error to name the same cluster twice, since each would wait for the other's lock.
func NewFleet(all []Each, o FleetOptions) (*Fleet, error) {
	restart := len(all) > 0 && all[0].Restart
	command := "rollout"
	if restart {
		command = "restart"
	}
	f, err := newFleet(all, func(e Each, lost func(error)) *Run {
		return newRollout(command, e.Target, e.Options, lost)
	})
	if err != nil {
		return nil, err
	}
	f.maxFailures = o.MaxFailures
	first := f.members[0]
	f.stamp = first.Run
	f.Pipeline = pipeline.Pipeline{Name: command, Checks: f.checks(), Cleanup: f.close, KeepChanges: first.NoRollback}
	if first.DryRun == DryRunNone {
		first.keepJournal()
		f.Pipeline.Journal, first.Pipeline.Journal = first.journal, nil // the journal belongs to the whole run
		if !restart {
			f.Pipeline.Stages = []pipeline.Stage{stage("stamp", first.stampStage().Run, f.unstamp)}
		}
	}
	for _, m := range f.members {
		if m.DryRun != DryRunNone {
			m.Pipeline.Stages = m.dryRun()
			continue
		}
		if m != first {
			m.keepJournal()
		}
		own := stage("stamp", m.stampedOnce, nil)
		if restart {
			own = m.imageStage()
		}
		m.Pipeline.Stages = m.stages(own)
	}
	waves := slices.Collect(slices.Chunk(f.members, o.WaveSize))
	for i, wave := range waves {
		last := i == len(waves)-1
		f.Pipeline.Stages = append(f.Pipeline.Stages, stage(fmt.Sprintf("wave %d", i+1),
			func(ctx context.Context, rep *pipeline.Reporter) error { return f.wave(ctx, wave, last, rep) },
			func(_ context.Context, rep *pipeline.Reporter) error { return f.unwave(wave, rep) }))
	}
	return f, nil
}

// NewFleetDoctor makes a run that only performs the preflights of a rollout into
// several clusters.
func NewFleetDoctor(all []Each) (*Fleet, error) {
	f, err := newFleet(all, func(e Each, _ func(error)) *Run { return NewDoctor(e.Target, e.Options) })
	if err != nil {
		return nil, err
	}
	f.Pipeline = pipeline.Pipeline{Name: "doctor", Checks: f.checks(), Cleanup: f.close}
	return f, nil
}

func newFleet(all []Each, make func(Each, func(error)) *Run) (*Fleet, error) {
	f := &Fleet{Next: map[pipeline.End]string{}}
	places := map[string]string{}
	for _, e := range all {
		name, place := e.Conn.Context, e.Conn.Server+" "+e.where()
		if other, ok := places[place]; ok {
			return nil, pipeline.UsageErrorf(
				pipeline.CodeUsage,
				"name only one of them",
				"contexts %s and %s refer to the same %s in %s",
				other,
				name,
				e.Ref,
				e.Ref.Namespace,
			)
		}
		places[place] = name
		m := &member{name: name}
		m.Run = make(e, func(err error) { m.cancel(err) })
		m.Pipeline.Reported = &pipeline.Reported{}
		f.members = append(f.members, m)
	}
	return f, nil
}

// Run runs the fleet's pipeline. The outcome is the worst outcome among the clusters.
func (f *Fleet) Run(ctx context.Context, sink pipeline.Sink) pipeline.Outcome {
	f.sink = sink
	out := pipeline.Run(ctx, f.Pipeline, sink)
	out.End = f.end(out)
	f.Next[out.End] = f.next(out)
	return out
}

// Unkept returns the errors that occurred while receipts were stored.
func (f *Fleet) Unkept() error { return errors.Join(f.unkept...) }

// checks runs the preflights of all contexts concurrently.
func (f *Fleet) checks() []pipeline.Check {
	return []pipeline.Check{{Name: "contexts", Run: func(ctx context.Context, _ *pipeline.Reporter) ([]*pipeline.Finding, error) {
		found := make([][]*pipeline.Finding, len(f.members))
		var wg sync.WaitGroup
		for i, m := range f.members {
			wg.Go(func() {
				found[i] = joinForbidden(pipeline.RunChecks(ctx, m.Pipeline.Checks, pipeline.NewReporter("preflight", about(m.name, f.sink))))
				m.out.Findings = found[i]
				for _, f := range found[i] {
					m.Pipeline.Reported.First(f) // so that its own run does not report it again
				}
				m.out.Refused = slices.ContainsFunc(found[i], func(f *pipeline.Finding) bool { return f.Severity == pipeline.Error })
			})
		}
		wg.Wait()
		all := Together(f.names(), found)
		if differs := f.oneDigest(); differs != nil {
			all = append(all, differs)
		}
		return all, nil
	}}}
}

// oneDigest refuses a tag that refers to different images in different contexts: the
// contexts use different registries, or the tag was moved between two requests.
func (f *Fleet) oneDigest() *pipeline.Finding {
	of := map[string][]string{}
	for _, m := range f.members {
		if img, ok := m.facts.resolved.Peek(); ok && img.found != nil { // otherwise its check has reported the reason
			of[img.found.Digest] = append(of[img.found.Digest], m.name)
		}
	}
	if len(of) < 2 || f.members[0].Restart { // each cluster keeps its own image
		return nil
	}
	var lines []string
	for digest, names := range of {
		lines = append(lines, strings.Join(names, ", ")+": "+digest)
	}
	slices.Sort(lines)
	return &pipeline.Finding{Code: CodeImageDiffers, Severity: pipeline.Error, Evidence: lines,
		What: fmt.Sprintf("tag %s is not the same image in all contexts", f.members[0].subject()),
		Fix:  "publish it under a separate tag and roll that out"}
}

// wave rolls out into several clusters at the same time.
func (f *Fleet) wave(ctx context.Context, wave []*member, last bool, rep *pipeline.Reporter) error {
	var wg sync.WaitGroup
	for _, m := range wave {
		m.started = true
		wg.Go(func() { f.roll(ctx, m) })
		if m.DryRun != DryRunNone {
			wg.Wait() // a dry run changes nothing and is easier to read one cluster after another
		}
	}
	wg.Wait()
	for _, m := range wave {
		if m.changed() {
			rep.Changed()
		}
	}
	return f.stop(wave, last)
}

// stop returns the error that ends the run after a wave: more clusters have failed
// than allowed, or it was the last wave and some have failed.
func (f *Fleet) stop(wave []*member, last bool) error {
	var failed []*member
	for _, m := range f.members {
		if m.started && m.out.End != pipeline.Done {
			failed = append(failed, m)
		}
	}
	interrupted := slices.ContainsFunc(wave, func(m *member) bool { return m.out.Interrupted })
	if len(failed) == 0 || len(failed) <= f.maxFailures && !last && !interrupted {
		return nil
	}
	var errs []error
	for _, m := range failed {
		for _, found := range pipeline.AsFindings(m.name, m.out.Err) {
			if errors.Is(found.Err, pipeline.ErrInterrupted) {
				continue
			}
			errs = append(errs, Named(m.name, found))
		}
	}
	if interrupted {
		errs = append(errs, pipeline.ErrInterrupted)
	}
	return errors.Join(errs...)
}

// roll runs the whole pipeline of one cluster and stores its receipt.
func (f *Fleet) roll(ctx context.Context, m *member) {
	ctx, m.cancel = context.WithCancelCause(ctx)
	defer m.cancel(nil)
	p := m.Pipeline
	p.Checks = nil // the fleet's preflight has run them
	found := m.out.Findings
	m.out = pipeline.Run(ctx, p, within(m.name, f.sink))
	m.out.Findings = append(found, m.out.Findings...)
	f.recording.Lock()
	defer f.recording.Unlock()
	if err := m.Record(ctx, m.out); err != nil {
		for _, found := range pipeline.AsFindings("cannot store the receipt", err) {
			f.unkept = append(f.unkept, Named(m.name, found))
		}
	}
}

// stampedOnce replaces the stamp stage in the stages of a single cluster.
func (r *Run) stampedOnce(ctx context.Context, rep *pipeline.Reporter) error {
	rep.Skipped("once for all contexts")
	return r.killed().keepImages(ctx)
}

// changed reports whether the cluster was changed, even if the change was undone.
func (m *member) changed() bool {
	switch m.out.End {
	case pipeline.Done, pipeline.Restored, pipeline.Left:
		return m.started
	}
	return false
}

// unwave restores nothing itself, because each cluster restores its own changes. It
// fails if one of them could not.
func (f *Fleet) unwave(wave []*member, rep *pipeline.Reporter) error {
	var errs []error
	for _, m := range wave {
		switch {
		case m.out.End == pipeline.Left:
			errs = append(errs, &pipeline.Finding{Code: CodeContextLeft, Severity: pipeline.Error,
				What: fmt.Sprintf("%s: what was changed is left as it is", m.name), Fix: "check it with `kubectl sbw status --context " + m.name + "`"})
		case m.out.End == pipeline.Done && m.started:
			rep.Notef("%s keeps %s", m.name, m.making())
		}
	}
	return errors.Join(errs...)
}

// unstamp restores the manifest if no cluster has the new image.
func (f *Fleet) unstamp(ctx context.Context, rep *pipeline.Reporter) error {
	if has := f.having(); len(has) > 0 {
		rep.Skipped("%s may run it", strings.Join(has, ", "))
		return nil
	}
	return f.stamp.stampStage().Undo(ctx, rep)
}

// having returns the contexts that run the new image or may run it.
func (f *Fleet) having() []string {
	var has []string
	for _, m := range f.members {
		if m.started && (m.out.End == pipeline.Done || m.out.End == pipeline.Left) {
			has = append(has, m.name)
		}
	}
	return has
}

// end returns the worst outcome among the clusters.
func (f *Fleet) end(out pipeline.Outcome) pipeline.End {
	if out.End == pipeline.Done || out.Refused {
		return out.End
	}
	worst := pipeline.Unchanged
	if len(out.UndoErrs) > 0 {
		worst = pipeline.Left
	}
	for _, m := range f.members {
		if m.started {
			worst = max(worst, m.out.End)
		}
	}
	return worst
}

// next suggests what to type after a run that did not succeed everywhere.
func (f *Fleet) next(out pipeline.Outcome) string {
	if out.End == pipeline.Done || f.stamp == nil || f.stamp.DryRun != DryRunNone {
		return ""
	}
	var missing []string
	for _, m := range f.members {
		if !m.started || m.out.End != pipeline.Done {
			missing = append(missing, m.name)
		}
	}
	if len(missing) == len(f.members) {
		if out.End == pipeline.Left {
			return fmt.Sprintf("`kubectl sbw status --contexts %s` shows what is running there", strings.Join(f.having(), ","))
		}
		return ""
	}
	return fmt.Sprintf(
		"%s without %s: `kubectl sbw rollout --contexts %s --tag %s` continues the rollout",
		strings.Join(f.having(), ", "),
		strings.Join(missing, ", "),
		strings.Join(missing, ","),
		f.members[0].subject(),
	)
}

// close closes what the checks opened for clusters whose turn did not come.
func (f *Fleet) close(ctx context.Context, rep *pipeline.Reporter) error {
	var errs []error
	for _, m := range f.members {
		if !m.started {
			errs = append(errs, m.close(ctx, rep))
		}
	}
	return errors.Join(errs...)
}

func (f *Fleet) names() []string {
	var all []string
	for _, m := range f.members {
		all = append(all, m.name)
	}
	return all
}
