package kubecmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// A fleet is one rollout into several clusters: the preflights of all of them
// before anything is changed anywhere, then wave after wave, each cluster a
// pipeline of its own with its own lock, journal, evidence, rollback and
// receipt.
//
// What a preflight found out serves a later wave as well, as long as it is not
// old; what changes faster, the steps that are executing and who holds the
// lock, every cluster's pipeline asks again.
//
// # The manifest
//
// The checkout has one file, so it is stamped once, before the first wave. It
// says what was shipped last: it is put back when no cluster is left with the
// new image, as if the run had not been. As soon as one runs it, or may run it,
// the file stays: putting it back would let the next `kubectl apply` take that
// cluster back unseen. The journal of the first context tells of the stamp, as
// it does in a run into one cluster.
type fleet struct {
	*rolloutOptions // the first member's
	members         []*member
	sink            pipeline.Sink
	recording       sync.Mutex // receipts are written one after the other
	unkept          []error    // what went wrong while they were
}

// member is one cluster of a fleet.
type member struct {
	*rollout
	name    string
	out     pipeline.Outcome
	started bool
}

// runFleet runs a command in every context.
func runFleet(ctx context.Context, k *kube, o *rolloutOptions, command string) error {
	f, err := newFleet(k, o, command)
	if err != nil {
		return err
	}
	for _, m := range f.members {
		if err := m.findRunningTag(ctx); err != nil {
			return named(m.name, pipeline.AsFindings("find the tag that runs", err)[0])
		}
	}
	if err := f.validate(); err != nil {
		return err
	}
	return f.run(ctx)
}

// newFleet completes the options for every context.
func newFleet(k *kube, o *rolloutOptions, command string) (*fleet, error) {
	kubes, err := k.each(o.contexts)
	if err != nil {
		return nil, err
	}
	f := &fleet{}
	places := map[string]string{}
	for _, one := range kubes {
		own := *o
		own.filenames = slices.Clone(o.filenames)
		if err := own.complete(one); err != nil {
			return nil, err
		}
		o.stdinText = own.stdinText // read once
		name := own.conn.Context
		// Two names of one cluster would keep each other from the lock.
		place := own.conn.Server + " " + own.ref.Namespace + " " + own.ref.String()
		if other, ok := places[place]; ok {
			return nil, pipeline.UsageErrorf("usage", "name one of them", "contexts %s and %s lead to the same %s in %s", other, name, own.ref, own.ref.Namespace)
		}
		places[place] = name
		f.members = append(f.members, &member{name: name, rollout: &rollout{rolloutOptions: &own, command: command}})
	}
	f.rolloutOptions = f.members[0].rolloutOptions
	return f, nil
}

// validate says once what is wrong in every context.
func (f *fleet) validate() error {
	if f.waveSize < 1 {
		return pipeline.UsageErrorf("usage", "give it as --wave-size 1", "--wave-size %d is not above zero", f.waveSize)
	}
	if f.maxFailures < 0 {
		return pipeline.UsageErrorf("usage", "give it as --max-failures 0", "--max-failures %d is below zero", f.maxFailures)
	}
	for _, m := range f.members {
		if err := m.validate(); err != nil {
			return err
		}
	}
	return nil
}

// run rolls out everywhere and prints the verdicts.
func (f *fleet) run(ctx context.Context) error {
	p := f.pipeline()
	next := map[pipeline.End]string{}
	out, err := f.env.RunAll(p, next, func(sink pipeline.Sink) pipeline.Outcome {
		f.sink = sink
		out := pipeline.Run(ctx, p, sink)
		out.End = f.end(out)
		next[out.End] = f.next(out)
		return out
	})
	f.env.Warn("keep the receipt", errors.Join(f.unkept...))
	if perr := f.print(out); perr != nil {
		return perr
	}
	return err
}

// pipeline is the whole command: one stage a wave.
func (f *fleet) pipeline() pipeline.Pipeline {
	first := f.members[0]
	inner := make([]pipeline.Pipeline, len(f.members))
	for i, m := range f.members {
		inner[i] = m.pipeline()
	}
	p := pipeline.Pipeline{Name: first.command, KeepChanges: f.noRollback, Cleanup: f.close, Journal: inner[0].Journal,
		Checks: []pipeline.Check{{Name: "contexts", Run: func(ctx context.Context, _ *pipeline.Reporter) ([]*pipeline.Finding, error) {
			return f.check(ctx, inner), nil
		}}}}
	if first.command == "doctor" {
		p.Journal = nil
		return p
	}
	inner[0].Journal = nil // it is the whole run's
	if f.dryRun == "none" {
		p.Stages = append(p.Stages, pipeline.Stage{Name: "stamp", Run: first.stamp, Undo: f.unstamp})
	}
	waves := slices.Collect(slices.Chunk(f.members, f.waveSize))
	for i, wave := range waves {
		name := fmt.Sprintf("wave %d", i+1)
		last := i == len(waves)-1
		from := i * f.waveSize
		p.Stages = append(p.Stages, pipeline.Stage{Name: name,
			Run: func(ctx context.Context, rep *pipeline.Reporter) error {
				return f.wave(ctx, wave, inner[from:from+len(wave)], last, rep)
			},
			Undo: func(_ context.Context, rep *pipeline.Reporter) error { return f.unwave(wave, rep) },
		})
	}
	return p
}

// check runs the preflights of all contexts side by side.
func (f *fleet) check(ctx context.Context, inner []pipeline.Pipeline) []*pipeline.Finding {
	found := make([][]*pipeline.Finding, len(f.members))
	var wg sync.WaitGroup
	for i, m := range f.members {
		wg.Go(func() {
			found[i] = pipeline.RunChecks(ctx, inner[i].Checks, pipeline.NewReporter("preflight", about(m.name, f.sink)))
			m.out.Findings = found[i]
			m.out.Refused = slices.ContainsFunc(found[i], func(f *pipeline.Finding) bool { return f.Severity == pipeline.Error })
		})
	}
	wg.Wait()
	all := together(f.names(), found)
	if differs := f.oneDigest(ctx); differs != nil {
		all = append(all, differs)
	}
	return all
}

// oneDigest refuses a tag that is another image in another place: its
// registries differ, or it was moved between two of the questions.
func (f *fleet) oneDigest(ctx context.Context) *pipeline.Finding {
	of := map[string][]string{}
	for _, m := range f.members {
		if img, err := m.img.Get(ctx); err == nil && img.facts != nil { // else its check has told
			of[img.facts.Digest] = append(of[img.facts.Digest], m.name)
		}
	}
	if len(of) < 2 {
		return nil
	}
	var lines []string
	for digest, names := range of {
		lines = append(lines, strings.Join(names, ", ")+": "+digest)
	}
	slices.Sort(lines)
	return &pipeline.Finding{Code: "image-differs", Severity: pipeline.Error, Evidence: lines,
		What: fmt.Sprintf("tag %s is not the same image in all contexts", f.tag),
		Fix:  "publish it under a tag of its own and roll that out"}
}

// wave rolls out into some of the clusters at once.
func (f *fleet) wave(ctx context.Context, wave []*member, inner []pipeline.Pipeline, last bool, rep *pipeline.Reporter) error {
	var wg sync.WaitGroup
	for i, m := range wave {
		m.started = true
		wg.Go(func() { f.roll(ctx, m, inner[i]) })
		if f.dryRun != "none" {
			wg.Wait() // it changes nothing, and is read from top to bottom
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

// stop is the error that ends the run after a wave: more have failed than may,
// or it was the last one and some have.
func (f *fleet) stop(wave []*member, last bool) error {
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
			errs = append(errs, named(m.name, found))
		}
	}
	if interrupted {
		errs = append(errs, pipeline.ErrInterrupted)
	}
	return errors.Join(errs...)
}

// roll is one cluster's whole run, its receipt included.
func (f *fleet) roll(ctx context.Context, m *member, p pipeline.Pipeline) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	m.lose = cancel
	p.Checks = nil
	for i, s := range p.Stages {
		if s.Name == "stamp" {
			p.Stages[i] = pipeline.Stage{Name: s.Name, Run: m.stampedOnce}
		}
	}
	found := m.out.Findings
	m.out = pipeline.Run(ctx, p, within(m.name, f.sink))
	m.out.Findings = append(found, m.out.Findings...)
	f.recording.Lock()
	defer f.recording.Unlock()
	if err := m.record(ctx, m.out); err != nil {
		for _, found := range pipeline.AsFindings("keep the receipt", err) {
			f.unkept = append(f.unkept, named(m.name, found))
		}
	}
}

// stampedOnce stands for the stamp in one cluster's stages.
func (r *rollout) stampedOnce(ctx context.Context, rep *pipeline.Reporter) error {
	rep.Skipped("once for all contexts")
	return r.keepImages(ctx)
}

// changed tells whether the cluster is not, or was not for a while, what it was.
func (m *member) changed() bool {
	switch m.out.End {
	case pipeline.Done, pipeline.Restored, pipeline.Left:
		return m.started
	}
	return false
}

// unwave has nothing to do: each cluster puts back its own. It fails where one
// could not.
func (f *fleet) unwave(wave []*member, rep *pipeline.Reporter) error {
	var errs []error
	for _, m := range wave {
		switch {
		case m.out.End == pipeline.Left:
			errs = append(errs, &pipeline.Finding{Code: "context-left", Severity: pipeline.Error,
				What: fmt.Sprintf("%s: what was changed is left as it is", m.name), Fix: "look with `kubectl sbw status --context " + m.name + "`"})
		case m.out.End == pipeline.Done && m.started:
			rep.Notef("%s keeps %s", m.name, m.current())
		}
	}
	return errors.Join(errs...)
}

// unstamp puts the manifest back if no cluster has the new image.
func (f *fleet) unstamp(ctx context.Context, rep *pipeline.Reporter) error {
	if has := f.having(); len(has) > 0 {
		rep.Skipped("%s may run it", strings.Join(has, ", "))
		return nil
	}
	return f.members[0].unstamp(ctx, rep)
}

// having are the contexts that run the new image, or may.
func (f *fleet) having() []string {
	var has []string
	for _, m := range f.members {
		if m.started && (m.out.End == pipeline.Done || m.out.End == pipeline.Left) {
			has = append(has, m.name)
		}
	}
	return has
}

// end is the worst of what came of the clusters.
func (f *fleet) end(out pipeline.Outcome) pipeline.End {
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

// next says what to type after a run that did not end well everywhere.
func (f *fleet) next(out pipeline.Outcome) string {
	if out.End == pipeline.Done || f.dryRun != "none" || f.command() == "doctor" {
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
			return fmt.Sprintf("`kubectl sbw status --contexts %s` says what runs there", strings.Join(f.having(), ","))
		}
		return ""
	}
	return fmt.Sprintf("%s without %s: `kubectl sbw rollout --contexts %s --tag %s` goes on", strings.Join(f.having(), ", "), strings.Join(missing, ", "), strings.Join(missing, ","), f.tag)
}

// close ends what the checks opened of clusters whose turn did not come.
func (f *fleet) close(ctx context.Context, rep *pipeline.Reporter) error {
	var errs []error
	for _, m := range f.members {
		if !m.started {
			errs = append(errs, m.close(ctx, rep))
		}
	}
	return errors.Join(errs...)
}

func (f *fleet) names() []string {
	var all []string
	for _, m := range f.members {
		all = append(all, m.name)
	}
	return all
}

func (f *fleet) command() string { return f.members[0].command }
