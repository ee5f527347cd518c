// Package pipeline is the frame of both plugins: checks that run concurrently before
// anything is changed, stages that run one after the other, events that report what
// they do, and an outcome that says how the run ended.
//
// A use case builds a Pipeline in one place, readable from top to bottom, and passes
// it to Run. Domain packages know nothing about commands or terminals: they take a
// context and a *Reporter, and return values and errors. An error that a person should
// read is a *Finding.
//
// # Ends
//
// Once a stage that may change something has started, a failure leads to one of three
// ends, which have different exit codes: nothing was changed (the stage failed before
// its change), it was changed and restored (every Undo succeeded), or it was changed
// and left, with what to do next.
//
// # To add a stage
//
// Add a Stage to a list in internal/publish or internal/rollout. Call Reporter.Changed
// right before its first change of anything outside this process, and give it an Undo
// if the change can be undone.
//
// The package imports only the standard library, which a test in internal/deps
// enforces, so that every other package can import it.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// Check is one question that is answered before anything is changed.
type Check struct {
	// Name is a noun phrase for the output: "push permission".
	Name string
	// Run returns what it found. An error that is not a *Finding is reported as a
	// Finding of severity Error with the code "internal". Run must not change anything
	// outside this process.
	Run func(ctx context.Context, r *Reporter) ([]*Finding, error)
}

// Stage is one step of the work.
type Stage struct {
	// Name is one or two words for the output: "push", "watch rollout".
	Name string
	// When, if set, is called right before the stage and reports whether to run it. A
	// stage that does not run is not mentioned anywhere: it belongs to an alternative.
	When func() bool
	// Run does the step.
	Run func(ctx context.Context, r *Reporter) error
	// Undo restores what Run changed. It is called, in the reverse order of the stages,
	// if this stage or a later one failed after this one reported Changed. Its context
	// outlives an interrupt and ends after Pipeline.UndoTimeout.
	Undo func(ctx context.Context, r *Reporter) error
	// Local means that the stage only changes the user's own files, which its
	// Undo restores: a run that failed with nothing else changed has changed nothing.
	Local bool
	// Proven means that by the time this stage runs everything before it is known
	// to work: an interrupt ends the run, and nothing is undone.
	Proven bool
}

// Pipeline is a whole command: checks, then stages.
type Pipeline struct {
	Name   string
	Checks []Check
	Stages []Stage
	// Cleanup runs after the stages and their Undos, whatever the end, and releases what
	// must not outlive the run (a lock, a port-forward). Its context outlives an
	// interrupt and ends after 30 s.
	Cleanup func(ctx context.Context, r *Reporter) error
	// OnFailure runs once between a failure and the first Undo, to save evidence that
	// an Undo would destroy.
	OnFailure func(ctx context.Context, r *Reporter, err error)
	// Closing, if set, is called when everything is over. It returns lines for the
	// closing summary: see Outcome.Closing.
	Closing func() []string
	// KeepChanges leaves changes in place if a stage fails.
	KeepChanges bool
	// UndoTimeout is the limit for all Undos together. Zero means 5 minutes.
	UndoTimeout time.Duration
	// Merge, if set, combines findings of the preflight that have the same cause.
	Merge func([]*Finding) []*Finding
	// Strict also refuses the run because of a warning of the preflight.
	Strict bool
	// Reported, if set, knows what was reported before this run started.
	Reported *Reported
	// Journal, if set, records on disk which stage the run is in, so that the next run
	// can report what a killed one left.
	Journal *Journal
}

const (
	defaultUndoTimeout = 5 * time.Minute
	cleanupTimeout     = 30 * time.Second
)

// Run runs p and reports to sink. It returns when everything is done or undone.
func Run(ctx context.Context, p Pipeline, sink Sink) Outcome {
	if p.Reported == nil {
		p.Reported = &Reported{}
	}
	run := &run{pipeline: p, sink: sink, outcome: Outcome{Name: p.Name, Started: now()}}
	return run.all(ctx)
}

// now is the only clock of the package.
func now() time.Time { return time.Now() }

type run struct {
	pipeline Pipeline
	sink     Sink
	outcome  Outcome
	mu       sync.Mutex // guards outcome.Findings while stages run
}

// reporter returns the Reporter of a stage. Its findings become part of the outcome.
func (r *run) reporter(stage string) *Reporter {
	return &Reporter{stage: stage, sink: r.sink, first: func(f *Finding) bool {
		if !r.pipeline.Reported.First(f) {
			return false
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.outcome.Findings = append(r.outcome.Findings, f)
		return true
	}}
}

func (r *run) all(ctx context.Context) Outcome {
	p := r.pipeline
	p.Journal.begin(p.Name)
	cause := r.preflight(ctx)
	var changed []*Reporter
	var stages []Stage
	keep := p.KeepChanges
	if cause == nil {
		for _, s := range p.Stages {
			if s.When != nil && !s.When() {
				continue
			}
			rep := r.reporter(s.Name)
			rep.onChange = func() { p.Journal.note(s.Name, "changing") }
			err := r.stage(ctx, s.Name, rep, s.Run)
			if rep.HasChanged() {
				changed, stages = append(changed, rep), append(stages, s)
			}
			if err != nil {
				cause = err
				keep = keep || s.Proven && interrupted(ctx)
				break
			}
		}
	}
	r.outcome.Err = cause
	switch {
	case cause == nil:
		r.outcome.End = Done
	case r.outcome.Refused:
		r.outcome.End = RefusedByPreflight
	case len(changed) == 0:
		r.outcome.End = Unchanged
	default:
		if p.OnFailure != nil {
			saving, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
			p.OnFailure(saving, r.reporter("evidence"), cause)
			cancel()
		}
		r.outcome.End = Left
		if !keep {
			r.undo(ctx, stages)
		}
	}
	if p.Cleanup != nil {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
		err := p.Cleanup(clean, r.reporter("clean up"))
		cancel()
		if err != nil {
			err = explained(err, CodeNotCleaned, "cannot clean up after the run", "")
			r.outcome.UndoErrs = append(r.outcome.UndoErrs, fmt.Errorf("cannot clean up: %w", err))
		}
	}
	r.outcome.Interrupted = cause != nil && interrupted(ctx)
	if p.Closing != nil {
		r.outcome.Closing = p.Closing()
	}
	r.outcome.Duration = now().Sub(r.outcome.Started)
	p.Journal.end(r.outcome.End, keep)
	return r.outcome
}

func interrupted(ctx context.Context) bool {
	return ctx.Err() != nil && errors.Is(context.Cause(ctx), ErrInterrupted)
}

// preflight runs all checks concurrently and reports all findings together, in the
// order of the checks.
func (r *run) preflight(ctx context.Context) error {
	checks := r.pipeline.Checks
	if len(checks) == 0 {
		return nil
	}
	const name = "preflight"
	rep := r.reporter(name)
	return r.stage(ctx, name, rep, func(ctx context.Context, rep *Reporter) error {
		found := RunChecks(ctx, checks, rep)
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if r.pipeline.Merge != nil {
			found = r.pipeline.Merge(found)
		}
		var errs []error
		for _, f := range found {
			rep.Finding(f)
			if f.Severity == Error || (r.pipeline.Strict && f.Severity == Warning) {
				errs = append(errs, f)
			}
		}
		r.outcome.Refused = len(errs) > 0
		return errors.Join(errs...)
	})
}

// RunChecks runs the checks concurrently and returns their findings in the order of the
// checks. A finding of several checks is returned once.
func RunChecks(ctx context.Context, checks []Check, rep *Reporter) []*Finding {
	found := make([][]*Finding, len(checks))
	var wg sync.WaitGroup
	for i, c := range checks {
		wg.Go(func() {
			rep.Progress(Progress{Item: c.Name, Total: 1})
			fs, err := c.safely(ctx, rep)
			if err != nil {
				fs = append(fs, AsFindings(c.Name, err)...)
			}
			found[i] = fs
			rep.Progress(Progress{Item: c.Name, Done: 1, Total: 1})
		})
	}
	wg.Wait()
	var all []*Finding
	var seen Reported
	for _, f := range slices.Concat(found...) {
		if seen.First(f) {
			all = append(all, f)
		}
	}
	return all
}

// safely runs a check and turns a panic into an error. A panic in a goroutine would end
// the process and leave the terminal as the live view had it.
func (c Check) safely(ctx context.Context, rep *Reporter) (found []*Finding, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a bug in this program: %v\n%s", p, debug.Stack())
		}
	}()
	return c.Run(ctx, rep)
}

func (r *run) stage(ctx context.Context, name string, rep *Reporter, do func(context.Context, *Reporter) error) error {
	start := now()
	r.pipeline.Journal.note(name, "started")
	r.sink.Emit(Event{Time: start, Kind: StageStarted, Stage: name})
	err := ctx.Err()
	if err != nil {
		err = context.Cause(ctx)
	} else {
		err = do(ctx, rep)
		if err != nil && ctx.Err() != nil && errors.Is(context.Cause(ctx), ErrInterrupted) && !errors.Is(err, ErrInterrupted) {
			err = fmt.Errorf("%w (%w)", ErrInterrupted, err)
		}
	}
	rec := StageRecord{Name: name, Started: start, Duration: now().Sub(start), Skipped: rep.skipped}
	if err != nil {
		rec.Error = err.Error()
	}
	r.outcome.Stages = append(r.outcome.Stages, rec)
	r.sink.Emit(Event{Time: now(), Kind: StageFinished, Stage: name, Duration: rec.Duration, Err: err, Text: rep.skipped})
	return err
}

func (r *run) undo(ctx context.Context, stages []Stage) {
	timeout := r.pipeline.UndoTimeout
	if timeout == 0 {
		timeout = defaultUndoTimeout
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	restored := true
	for i := len(stages) - 1; i >= 0; i-- {
		s := stages[i]
		if s.Undo == nil {
			restored = false
			continue
		}
		name := "undo " + s.Name
		if err := r.stage(ctx, name, r.reporter(name), s.Undo); err != nil {
			restored = false
			what, fix := "cannot restore what the stage "+s.Name+" had changed", "compare what is there now with what should be there"
			err = explained(err, CodeNotRestored, what, fix)
			r.outcome.UndoErrs = append(r.outcome.UndoErrs, fmt.Errorf("%s: %w", name, err))
		}
	}
	switch {
	case restored && !slices.ContainsFunc(stages, func(s Stage) bool { return !s.Local }):
		r.outcome.End = Unchanged
	case restored:
		r.outcome.End = Restored
	}
}

// explained turns an error that contains no finding into one with this code.
func explained(err error, code Code, what, fix string) error {
	if _, ok := errors.AsType[*Finding](err); ok {
		return err
	}
	return &Finding{Code: code, Severity: Error, What: what, Why: err.Error(), Fix: fix, Err: err}
}
